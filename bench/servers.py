"""Starting and stopping what is measured: processes of our own, on free ports, with a data folder of their own."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from zentry_web.cli import _web_command
from zentry_web.config import Config

START_SECONDS = 60
STOP_SECONDS = 30
POLL_SECONDS = 0.05


class Process:
    """One process with its children in a group of their own; its output goes to a file."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """Of the process itself, and of its group."""
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def pause(self) -> None:
        """Hold it still, with its children."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it as an operator would; by force when it does not listen."""
        if self.is_alive():
            self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_config(folder: Path, **settings: object) -> Config:
    """Settings for a Zentry in ``folder`` on a free port; nothing of the caller's Zentry shines through."""
    values: dict[str, object] = {"data": folder, "compute": "simulator", "simulator_boot_seconds": 0.5}
    values["rate_factor"] = 1000  # what is measured is not to be slowed down
    return Config(port=free_port(), **(values | settings))  # type: ignore[arg-type]


def environment_of(config: Config, **settings: object) -> dict[str, str]:
    """The environment that gives a process the settings of ``config``, but for those given."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ZENTRY_", "PROMETHEUS_"))}
    names = (
        "data", "compute", "base_url", "libvirt_uri", "sample_seconds", "simulator_boot_seconds", "starting_credits",
        "rate_factor",
    )  # fmt: skip
    no_quotas = {name: "none" for name in Config.model_fields if name.startswith("quota_")}
    values = {name: getattr(config, name) for name in names} | no_quotas | settings
    return own | {f"ZENTRY_{name.upper()}": str(value) for name, value in values.items()} | {"PORT": str(config.port)}


@contextlib.contextmanager
def web(config: Config, folder: Path) -> Iterator[Process]:
    """Zentry's web server as ``zentry web`` runs it."""
    command = [sys.executable, "-m", "zentry_web", "web"]
    with _running(command, environment_of(config), folder / "web.log", config.port, "/healthz") as process:
        yield process


@contextlib.contextmanager
def worker(config: Config, folder: Path, **settings: object) -> Iterator[Process]:
    """Zentry's worker."""
    process = Process(
        [sys.executable, "-m", "zentry_web", "worker"], environment_of(config, **settings), folder / "worker.log"
    )
    try:
        yield process
    finally:
        process.stop()


@contextlib.contextmanager
def plain(folder: Path) -> Iterator[int]:
    """The baseline's server, with exactly the settings of Zentry's; gives its port."""
    config = make_config(folder)
    command = ["bench.plain:app" if word == "zentry_web.wsgi:app" else word for word in _web_command(config)]
    prometheus = folder / "prometheus-plain"
    prometheus.mkdir(parents=True, exist_ok=True)
    environment = environment_of(config) | {"PROMETHEUS_MULTIPROC_DIR": str(prometheus)}
    with _running(command, environment, folder / "plain.log", config.port, "/"):
        yield config.port


@contextlib.contextmanager
def _running(command: list[str], environment: dict[str, str], log: Path, port: int, path: str) -> Iterator[Process]:
    process = Process(command, environment, log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port, path):
            if not process.is_alive() or time.monotonic() > deadline:
                raise RuntimeError(f"{command[2]} does not start:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(POLL_SECONDS)
        yield process
    finally:
        process.stop()


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
