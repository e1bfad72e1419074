"""A whole Zentry as people run it: ``zentry up`` with a data folder, a port and settings of its own."""

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import select

from zentry_web.composition import build_container
from zentry_web.config import Config
from zentry_web.domain.user import SYSTEM, User
from zentry_web.models import DbCharge, DbUsageInterval
from zentry_web.services.service_container import ServiceContainer

PASSWORD = "correct horse battery"
START_SECONDS = 60
STOP_SECONDS = 40
PAUSE = 0.1
Found = TypeVar("Found")
_numbers = itertools.count(1)


def wait_until(look: Callable[[], Found], seconds: float, what: str) -> Found:
    """What ``look`` returns as soon as that is true; fails naming ``what`` when it never is."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(PAUSE)
    return found


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Product:
    """``settings`` are ZENTRY_… variables without their prefix, in lower case. Passkeys need ``host`` to be a name."""

    def __init__(self, folder: Path, *, host: str = "127.0.0.1", **settings: object) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.port = free_port()
        self.url = f"http://{host}:{self.port}"
        self._log = folder / "zentry.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._container: ServiceContainer | None = None
        values: dict[str, object] = {
            "data": self.data,
            "base_url": self.url,
            "compute": "simulator",
            "environment": "development",  # with the style guide
            "web_workers": 1,
            "web_threads": 60,
            "simulator_boot_seconds": 1.0,
            "signup_seconds": 0,
            "argon2_memory_kib": 64,
            "argon2_time_cost": 1,
        }
        values |= settings
        own = {name: value for name, value in os.environ.items() if not name.startswith("ZENTRY_")}
        self.environment = own | {f"ZENTRY_{name.upper()}": str(value) for name, value in values.items()}
        self.environment["PORT"] = str(self.port)
        self.config = Config(port=self.port, **values)  # type: ignore[arg-type]

    # -- the process ----------------------------------------------------------------------------

    def zentry(self, *words: str) -> str:
        """What a command of this Zentry prints; fails if it fails."""
        command = [sys.executable, "-m", "zentry_web", *words]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, f"zentry {' '.join(words)}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self) -> "Product":
        """Run it, which migrates, and wait until it is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.run()
        return self

    def run(self) -> None:
        """Run ``zentry up`` and wait until everything it needs is ready."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "zentry_web", "up"],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        try:
            wait_until(self.is_ready, START_SECONDS, "Zentry is ready")
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self.ready()}\n{self.log()[-6000:]}") from None

    def stop(self) -> None:
        """Stop it as an operator would: SIGTERM to ``zentry up``. Fails when it does not end."""
        if self._container is not None:
            self._container.close()
            self._container = None
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"zentry up ignored SIGTERM for {STOP_SECONDS} s:\n{self.log()[-3000:]}") from None
        assert code == 0, f"zentry up ended with {code}:\n{self.log()[-3000:]}"

    def worker_pid(self) -> int:
        """The process id of the worker that the supervisor runs now."""
        return self.child_pid("worker")

    def child_pid(self, name: str) -> int:
        """The process id of what the supervisor runs under that name now: 'worker', 'console'."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for child in children:
            if name.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                return int(child)
        raise AssertionError(f"no {name} runs")

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def ready(self) -> tuple[int, dict[str, object]]:
        """Status and body of /readyz; (0, {}) when nothing answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)
        except OSError:
            return 0, {}

    def is_ready(self) -> bool:
        assert self._process is None or self._process.poll() is None, f"zentry up ended:\n{self.log()[-6000:]}"
        return self.ready()[0] == 200

    def first_admin_path(self) -> str:
        """The path of the one-time link that was printed at the first start."""
        found = wait_until(lambda: re.search(r"/welcome/\S+", self.log()), 30, "the first admin's link is printed")
        return found.group()

    def namespace(self) -> str:
        """What names this Zentry's domains and networks."""
        return self.config.get_namespace()

    # -- behind its back ------------------------------------------------------------------------

    @property
    def container(self) -> ServiceContainer:
        """The services on this Zentry's databases, in the test's process."""
        if self._container is None:
            self._container = build_container(self.config)
        return self._container

    def new_email(self, name: str) -> str:
        """An address nobody has used in this test run."""
        return f"{name}-{next(_numbers)}@example.com"

    def make_user(self, name: str, email: str) -> User:
        """An account with PASSWORD and the starting credits."""
        return self.container.get_auth_service().signup({"email": email, "name": name, "password": PASSWORD})

    def find_user(self, email: str) -> User:
        """The account of that address."""
        (row,) = self.container.get_user_service().list_users(actor=SYSTEM, search=email)
        return row.user

    def intervals(self, vm_id: str) -> list[DbUsageInterval]:
        """A machine's usage intervals, oldest first."""
        query = select(DbUsageInterval).where(DbUsageInterval.vm_id == vm_id).order_by(DbUsageInterval.start_at)
        with self.container.database.reading() as session:
            return list(session.scalars(query))

    def charging_transfers(self, vm_id: str) -> set[str]:
        """The transactions by which a machine's usage was charged."""
        query = select(DbCharge.transfer_id).where(DbCharge.vm_id == vm_id)
        with self.container.database.reading() as session:
            return set(session.scalars(query))

    def make_admin(self, email: str) -> User:
        """An admin with PASSWORD."""
        auth = self.container.get_auth_service()
        return auth.redeem_link(auth.create_admin(email, "Admin"), PASSWORD).user
