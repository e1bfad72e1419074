"""List of machines and one machine with fifty consoles open that are typed on, beside the same without."""

import contextlib
import json
import selectors
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from itertools import cycle, islice

from sqlalchemy import select, update

from bench.client import run_load
from bench.figures import Figure, p95
from bench.pages import GOALS_MS, ROW, ROWS
from bench.servers import Process, environment_of
from bench.sizes import Sizes
from bench.stage import Stage, wait_until
from zentry_web.adapters.console_door import UnixConsoleDoor
from zentry_web.domain.secret import secret_hash
from zentry_web.domain.user import Actor, Role
from zentry_web.domain.vms.console import ConsoleKind
from zentry_web.domain.vms.fleet import VMFilter
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbAuthSession, DbConsoleSession

NAMES = ("vm_list_consoles_p95_ms", "vm_page_consoles_p95_ms")
ANSWER_SECONDS = 20
KEY_SECONDS = 0.2  # in each console a line is typed so often, and comes back
LINE = b"what somebody types on a machine, and it comes back\r"


def measure(stage: Stage, sizes: Sizes) -> Iterator[Figure]:
    """p95 of both pages; the baseline is the same without consoles, on the same server and machines."""
    vms = stage.container.vms.list_vms(stage.user_id, wanted=VMFilter(state=VMState.RUNNING), limit=ROWS).vms
    without = _loads(stage, vms[0], sizes.requests)
    with _typed_on(stage, list(islice(cycle(vms), sizes.consoles))) as typed:
        during = _loads(stage, vms[0], sizes.requests)
        facts = {"consoles": typed.count(), "answers_read": typed.answers, "requests": sizes.requests}
    for name, page in zip(NAMES, ("vm_list", "vm_page"), strict=True):
        yield Figure(name, p95(during[page]), "ms", GOALS_MS[page], p95(without[page]), facts)


def _loads(stage: Stage, vm: VM, requests: int) -> dict[str, list[float]]:
    total = stage.total()
    asked = {
        "vm_list": ("/vms", lambda body: body.count(ROW) == min(ROWS, total)),
        "vm_page": (f"/vms/{vm.id}", lambda body: vm.name in body and 'id="vm-status"' in body),
    }
    return {name: run_load(stage.client, path, check, requests=requests).times for name, (path, check) in asked.items()}


class _Typists:
    """What browsers do with their consoles: they type, read, and say how much they have shown."""

    def __init__(self, connections: list[socket.socket]) -> None:
        self._open = selectors.DefaultSelector()
        for connection in connections:
            connection.setblocking(False)
            self._open.register(connection, selectors.EVENT_READ)
        self._connections = connections
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.answers = 0  # reads that brought something
        self._thread.start()

    def count(self) -> int:
        """How many consoles are still open. Raises RuntimeError where one has ended."""
        if (found := len(self._open.get_map())) < len(self._connections):
            raise RuntimeError(f"only {found} of {len(self._connections)} consoles are open")
        return found

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._open.close()
        for connection in self._connections:
            connection.close()

    def _work(self) -> None:
        due = 0.0
        while not self._stop.is_set():
            if time.monotonic() >= due:
                due = time.monotonic() + KEY_SECONDS
                for key in list(self._open.get_map().values()):
                    _send(key.fileobj, 2, LINE)  # type: ignore[arg-type]
            for key, _ in self._open.select(KEY_SECONDS / 4):
                self._read(key.fileobj)  # type: ignore[arg-type]

    def _read(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
        except BlockingIOError:
            return
        if not data:
            self._open.unregister(connection)
            return
        self.answers += 1
        _send(connection, 1, json.dumps({"shown": len(data)}).encode())


def _send(connection: socket.socket, opcode: int, data: bytes) -> None:
    """A frame as browsers send them; masked with zeros, so it is written as it is."""
    with contextlib.suppress(OSError):
        connection.send(struct.pack(">BB4x", 0x80 | opcode, 0x80 | len(data)) + data)


@contextlib.contextmanager
def _typed_on(stage: Stage, vms: list[VM]) -> Iterator[_Typists]:
    """A console of each of these machines, at the process that holds them; one may be looked at more than once."""
    command = [sys.executable, "-m", "zentry_web", "console"]
    holder = Process(command, environment_of(stage.config), stage.folder / "console.log")
    try:
        wait_until((stage.config.data / "consoles.sock").exists, ANSWER_SECONDS, "the process for consoles is there")
        typed = _Typists([_open(stage, vm) for vm in vms])
        try:
            wait_until(lambda: typed.answers > len(vms), ANSWER_SECONDS, "the consoles answer")
            yield typed
        finally:
            typed.close()
    finally:
        holder.stop()


def _open(stage: Stage, vm: VM) -> socket.socket:
    """As if the browser that the pages are asked with had opened it; one person may not have so many."""
    consoles, now = stage.container.vms.consoles, stage.container.clock.now()
    actor = Actor(stage.user_id, Role.USER)
    ticket = consoles.order(vm.id, ConsoleKind.TEXT, "", actor=actor)
    auth, table = DbAuthSession, DbConsoleSession
    with stage.container.database.writing() as session, session.begin():
        signed_in = session.scalars(select(auth.token_hash).where(auth.user_id == stage.user_id).limit(1)).one()
        opened = update(table).where(table.token_hash == secret_hash(ticket.token)).returning(table.id)
        values = {"session_hash": signed_in, "opened_at": now, "seen_at": now}
        console_id = session.scalars(opened.values(values)).one()
    ours, theirs = socket.socketpair()
    with theirs:
        message = {"id": console_id, "vm": vm.id, "kind": ConsoleKind.TEXT.value, "language": "en"}
        UnixConsoleDoor(stage.config.data).hand_over(message, theirs)
    return ours
