"""Where logs go: standard error, a file that may be rotated, a syslog. One JSON object a line in each."""

import json
import socket
import subprocess
import sys

import pytest

from zentry_web.config import Config

pytestmark = [pytest.mark.unit, pytest.mark.asvs("16.4.3")]

PROGRAM = (
    "import sys, os; from zentry_web.logs import configure_logs; import structlog;"
    "configure_logs(target=sys.argv[1]); log = structlog.get_logger('x'); log.info('first', text='a\\nb');"
    "[os.rename(each, each + '.1') for each in sys.argv[2:]]; log.info('second')"
)


def run(target, *rotated):
    done = subprocess.run([sys.executable, "-c", PROGRAM, target, *rotated], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def test_a_file_gets_them_also_after_it_was_rotated(tmp_path):
    path = tmp_path / "zentry.log"
    assert run(str(path), str(path)) == ""
    assert json.loads((tmp_path / "zentry.log.1").read_text())["event"] == "first"
    assert json.loads(path.read_text())["event"] == "second"
    assert (tmp_path / "zentry.log.1").stat().st_mode & 0o077 == 0


def test_a_syslog_gets_them_by_socket_and_by_network(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as here, socket.socket(type=socket.SOCK_DGRAM) as there:
        here.bind(str(tmp_path / "log"))
        there.bind(("127.0.0.1", 0))
        for listener, target in (
            (here, f"syslog:{tmp_path}/log"),
            (there, f"syslog://127.0.0.1:{there.getsockname()[1]}"),
        ):
            run(target)
            listener.settimeout(10)
            head, _, body = listener.recv(4096).decode().rstrip("\0").partition("zentry: ")
            assert head == "<30>", "facility daemon, severity info"
            assert json.loads(body)["text"] == "a\nb"


@pytest.mark.parametrize("target", ["zentry.log", "syslog:", "syslog://", "tcp://logs:514", "syslog://logs:x"])
def test_what_is_no_place_for_logs_is_refused_at_start(tmp_path, target):
    with pytest.raises(ValueError, match="logs go to"):
        Config(data=tmp_path, log=target)
