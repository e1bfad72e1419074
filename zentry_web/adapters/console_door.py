"""From the web process to the one that holds consoles: a Unix socket over which a browser's connection is handed on.

The web process answers for who may come in; what is handed on is the open connection itself (SCM_RIGHTS), so a console
holds no thread of the web's, and outlives it.
"""

import contextlib
import json
import os
import socket
import struct
from pathlib import Path
from typing import Protocol

from zentry_web.adapters.unix_paths import opened_folder, short_path

NAME = "consoles.sock"
MOST_BYTES = 4096  # of a message
SECONDS = 3.0
_TAKEN = b"1"


class DoorClosed(Exception):
    """Nobody behind the door took the connection."""


class ConsoleDoor(Protocol):
    """The web's side."""

    def hand_over(self, message: dict[str, str], connection: socket.socket) -> None:
        """Give the connection to the process that holds consoles; the caller still closes its own copy.
        Raises DoorClosed."""


class NullConsoleDoor:
    """Nobody is behind it."""

    def hand_over(self, message: dict[str, str], connection: socket.socket) -> None:
        """See ConsoleDoor."""
        raise DoorClosed("no process holds consoles here")


class UnixConsoleDoor:
    """A socket in the data folder, for processes of one machine and one account."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def hand_over(self, message: dict[str, str], connection: socket.socket) -> None:
        """See ConsoleDoor."""
        try:
            with opened_folder(self._folder) as folder, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
                door.settimeout(SECONDS)
                door.connect(short_path(folder, NAME))
                socket.send_fds(door, [json.dumps(message).encode()], [connection.fileno()])
                if door.recv(1) != _TAKEN:
                    raise DoorClosed("the process that holds consoles did not take it")
        except OSError as error:
            raise DoorClosed(str(error)) from error

    def listen(self) -> socket.socket:
        """The other side: a listening socket, in the place of one that a killed process left."""
        path = self._folder / NAME
        with opened_folder(self._folder) as folder:
            path.unlink(missing_ok=True)
            door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            door.bind(short_path(folder, NAME))
        path.chmod(0o600)
        door.listen(64)
        return door


def take(visitor: socket.socket) -> tuple[dict[str, str], socket.socket]:
    """What a visitor of the door hands over. Raises DoorClosed when it is another account, or nonsense."""
    visitor.settimeout(SECONDS)
    try:
        _, user, _ = struct.unpack("3i", visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if user not in (0, os.geteuid()):
            raise DoorClosed(f"user {user} is not ours")
        data, descriptors, _, _ = socket.recv_fds(visitor, MOST_BYTES, 4)
    except OSError as error:
        raise DoorClosed(str(error)) from error
    given = [socket.socket(fileno=each) for each in descriptors]
    try:
        message = json.loads(data)
        if len(given) != 1 or not isinstance(message, dict):
            raise ValueError("one connection and a message are wanted")
        visitor.sendall(_TAKEN)
    except (ValueError, OSError) as error:
        for each in given:
            each.close()
        raise DoorClosed(str(error)) from error
    return {str(key): str(value) for key, value in message.items()}, given[0]


def say_goodbye(connection: socket.socket, reason: str) -> None:
    """Close a WebSocket that nobody took, saying why."""
    words = struct.pack(">H", CLOSED) + reason.encode()[:120]
    with contextlib.suppress(OSError):
        connection.sendall(bytes([0x88, len(words)]) + words)


CLOSED = 4000  # the code of every end of ours; its reason says which
