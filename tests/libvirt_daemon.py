"""A libvirt daemon of a test's own, which may be killed without harm to any other on the machine. Needs root.

It lives in a mount namespace in which the folders libvirt insists on are its own.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.compute_contract import wait_for
from tests.libvirt_fixture import ROOT
from zentry_web.adapters.compute.libvirt.driver import answers

_FOLDERS = {
    "run": "/run/libvirt",
    "lib": "/var/lib/libvirt",
    "log": "/var/log/libvirt",
    "etc": "/etc/libvirt",
    "cache": "/var/cache/libvirt",
}
_LIBVIRTD_CONF = """auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_group = "libvirt"
unix_sock_rw_perms = "0770"
"""
_QEMU_CONF = """user = "libvirt-qemu"
group = "libvirt-qemu"
"""
MAX_LOG_BYTES = 131_072
_VIRTLOGD_CONF = f"max_size = {MAX_LOG_BYTES}\nmax_backups = 1\n"


class PrivateLibvirtd:
    """The daemon; ``uri`` reaches it."""

    def __init__(self, folder: Path) -> None:
        assert os.geteuid() == 0, "a libvirt daemon of a test's own needs root"
        self._folder = folder
        accounts = ". scripts/lib.sh; make_libvirt_accounts"
        subprocess.run(["bash", "-ec", accounts], cwd=ROOT, check=True, capture_output=True, timeout=60)
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True)
        # Probing QEMU's abilities takes 8 s; what another daemon found out holds here too.
        known = Path("/var/cache/libvirt/qemu")
        if known.is_dir():
            shutil.copytree(known, folder / "cache" / "qemu")
        (folder / "etc" / "libvirtd.conf").write_text(_LIBVIRTD_CONF)
        (folder / "etc" / "qemu.conf").write_text(_QEMU_CONF)
        (folder / "etc" / "virtlogd.conf").write_text(_VIRTLOGD_CONF)
        self.uri = f"qemu+unix:///system?socket={folder / 'run' / 'libvirt-sock'}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binds = "".join(
            f"mkdir -p {path}; mount --bind {self._folder / name} {path}; " for name, path in _FOLDERS.items()
        )
        # A second virtlogd finds the first and ends.
        logs = "virtlogd --config /etc/libvirt/virtlogd.conf --pid-file /run/libvirt/virtlogd.pid & "
        daemon = "exec libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirt/test.pid"
        with (self._folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                ["unshare", "--mount", "--propagation", "private", "--", "sh", "-ec", binds + logs + daemon],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
                start_new_session=True,
            )
        wait_for(lambda: answers(self.uri), 60, "libvirtd")

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL; its guests live on."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(timeout=10)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=20)
            if self._process.poll() is None:
                self.kill()
        note = self._folder / "run" / "virtlogd.pid"
        if note.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(note.read_text()), signal.SIGTERM)


@contextlib.contextmanager
def private_libvirtd(folder: Path) -> Iterator[PrivateLibvirtd]:
    """A running daemon, stopped at the end."""
    daemon = PrivateLibvirtd(folder)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


def seconds_of(began: float) -> float:
    return time.monotonic() - began
