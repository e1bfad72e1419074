"""Consoles of the twin: a shell that echoes and says it is simulated, and a screen that is a small drawing."""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Protocol

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.simulator.screen import SimulatedScreen
from zentry_web.adapters.compute.simulator.shell import SimulatedShell
from zentry_web.adapters.compute.words import OFF_NO_CONSOLE

LOOK_SECONDS = 0.5  # how soon a console notices that its machine went off
SEND_SECONDS = 5.0  # a reader that takes nothing for so long loses its stream


class Guest(Protocol):
    """What sits at the other end of a console."""

    def begin(self) -> bytes:
        """What it says first."""

    def answer(self, data: bytes) -> bytes:
        """What it says to what it was sent; b"" for nothing."""

    def idle(self) -> bytes:
        """What it says by itself, asked again and again while it is not b""."""


class SimulatorConsoles:
    """See Consoles. ``look`` tells whether a machine is on, or raises what the driver raises (missing, a fault)."""

    def __init__(self, look: Callable[[str, str], bool], name_of: Callable[[str], str]) -> None:
        self._look = look
        self._name_of = name_of
        self._lines: dict[str, socket.socket] = {}  # serial ports that are open, by machine
        self._lock = threading.Lock()

    def open_text(self, vm_id: str) -> socket.socket:
        self._require_on(vm_id, "open_text")
        ours, theirs = socket.socketpair()
        with self._lock:
            before = self._lines.pop(vm_id, None)
            self._lines[vm_id] = ours
        if before is not None:
            with contextlib.suppress(OSError):
                before.shutdown(socket.SHUT_RDWR)
        self._serve(vm_id, ours, SimulatedShell(self._name_of(vm_id)))
        return theirs

    def open_screen(self, vm_id: str) -> socket.socket:
        self._require_on(vm_id, "open_screen")
        ours, theirs = socket.socketpair()
        self._serve(vm_id, ours, SimulatedScreen(self._name_of(vm_id)))
        return theirs

    def _require_on(self, vm_id: str, action: str) -> None:
        if not self._look(vm_id, action):
            raise ComputeRefused(OFF_NO_CONSOLE)

    def _serve(self, vm_id: str, ours: socket.socket, guest: Guest) -> None:
        threading.Thread(target=self._talk, args=(vm_id, ours, guest), name="simulated-console", daemon=True).start()

    def _talk(self, vm_id: str, ours: socket.socket, guest: Guest) -> None:
        with ours, contextlib.suppress(OSError):
            self._send(ours, guest.begin())
            while self._is_on(vm_id):
                said = guest.idle()
                self._send(ours, said)
                ours.settimeout(0.001 if said else LOOK_SECONDS)
                try:
                    data = ours.recv(4096)
                except TimeoutError:
                    continue
                if not data:
                    return
                self._send(ours, guest.answer(data))

    def _send(self, ours: socket.socket, data: bytes) -> None:
        ours.settimeout(SEND_SECONDS)
        ours.sendall(data)

    def _is_on(self, vm_id: str) -> bool:
        try:
            return self._look(vm_id, "")
        except Exception:  # gone, or the file of the simulator is: either way there is nobody to talk to
            return False
