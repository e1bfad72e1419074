"""Waking the worker when there is something to do. A ring that nobody hears costs no more than the time until the
worker looks by itself: nothing relies on it, and nobody waits for it.

Beside SQLite, workers bind a datagram socket each in the data folder; on PostgreSQL a ring is a NOTIFY.
"""

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psycopg
import structlog
from sqlalchemy import Engine, text

from zentry_web.adapters.unix_paths import opened_folder, short_path

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0  # how often a listener looks whether it is to end
AGAIN_SECONDS = 5.0  # after the database went away
_CHANNEL = "zentry_work"
_SUFFIX = ".bell"


class Bell(Protocol):
    """One side rings, the other listens; in one process or in two."""

    def ring(self) -> None:
        """Tell all listeners that there is work. Never raises and never waits for them."""

    def listen(self, heard: Callable[[], None], stop: threading.Event) -> None:
        """Call ``heard`` at each ring, rings close together once, until ``stop``. Never raises."""


class NullBell:
    """Nobody hears it: the worker finds its work by looking."""

    def ring(self) -> None:
        """Nothing."""

    def listen(self, heard: Callable[[], None], stop: threading.Event) -> None:
        """Wait for ``stop``."""
        stop.wait()


class SocketBell:
    """By Unix sockets ``<name>.bell`` in a folder, for processes of one machine and one account."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ring(self) -> None:
        """See Bell. The socket of a listener that is gone is removed."""
        with contextlib.suppress(OSError), opened_folder(self._folder) as folder, _datagrams() as sender:
            for path in self._folder.glob(f"*{_SUFFIX}"):
                try:
                    sender.sendto(b"1", short_path(folder, path.name))
                except ConnectionRefusedError:
                    path.unlink(missing_ok=True)
                except OSError:  # full: it has rings enough to hear
                    continue

    def listen(self, heard: Callable[[], None], stop: threading.Event) -> None:
        """See Bell."""
        name = f"{os.getpid()}-{secrets.token_hex(3)}{_SUFFIX}"
        try:
            with opened_folder(self._folder) as folder, _datagrams() as receiver:
                receiver.bind(short_path(folder, name))
                receiver.settimeout(LOOK_SECONDS)
                try:
                    while not stop.is_set():
                        with contextlib.suppress(TimeoutError):
                            receiver.recv(16)
                            heard()
                finally:
                    (self._folder / name).unlink(missing_ok=True)
        except OSError as error:
            log.warning("bell_out_of_order", error=str(error))


class PostgresBell:
    """By NOTIFY, for processes on any machine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def ring(self) -> None:
        """See Bell."""
        with contextlib.suppress(Exception), self._engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text(f"NOTIFY {_CHANNEL}"))

    def listen(self, heard: Callable[[], None], stop: threading.Event) -> None:
        """See Bell. Has a connection of its own; one that breaks is opened anew."""
        url = self._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        while not stop.is_set():
            try:
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute(f"LISTEN {_CHANNEL}")
                    heard()  # what was rung while nobody listened
                    while not stop.is_set():
                        for _ in connection.notifies(timeout=LOOK_SECONDS, stop_after=1):
                            heard()
            except psycopg.Error as error:
                log.warning("bell_out_of_order", error=str(error))
                stop.wait(AGAIN_SECONDS)


def _datagrams() -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.setblocking(False)
    return found
