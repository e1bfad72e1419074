"""Who holds a live stream: one table in shared memory for all web processes, so that the limits are over all of them.

A stream holds a thread. Together they may hold half of the threads; of those a network may have a quarter, a person
``STREAMS_PER_PERSON``, and no process more than half of its own. Whoever gets none polls (static/js/live.js).
"""

import fcntl
import hashlib
import mmap
import os
import struct
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from zentry_web.domain.language import _
from zentry_web.services.errors import RateLimitedError

STREAMS_PER_PERSON = 12
RETRY_SECONDS = 60
_ROW = struct.Struct("<q16s16s")  # process, person, network
_FREE = (0, b"\0" * 16, b"\0" * 16)


class StreamBoard:
    """A row for each stream there may be. Made before processes are forked, it is theirs together."""

    def __init__(self, processes: int, threads: int) -> None:
        """``threads`` are those of one process."""
        self._most_here = max(1, threads // 2)
        self._rows = self._most_here * processes
        self._most_of_network = max(STREAMS_PER_PERSON, self._rows // 4)
        self._file = os.memfd_create("zentry-streams")
        weakref.finalize(self, os.close, self._file)
        os.ftruncate(self._file, self._rows * _ROW.size)
        self._table = mmap.mmap(self._file, self._rows * _ROW.size)
        self._lock = threading.Lock()

    def take(self, person: str, network: str) -> int:
        """A row for one more stream. Raises RateLimitedError when it would be one too many."""
        mine = (os.getpid(), _short(person), _short(network))
        with self._locked():
            rows = self._read()
            if sum(row[1] == mine[1] for row in rows) >= STREAMS_PER_PERSON:
                raise _refusal(_("Too many pages are open at once."))
            if sum(row[2] == mine[2] for row in rows) >= self._most_of_network:
                raise _refusal(_("Too many pages are open at once from your network."))
            if sum(row[0] == mine[0] for row in rows) >= self._most_here or _FREE not in rows:
                raise _refusal(_("Too many pages are open at once on this server."))
            number = rows.index(_FREE)
            self._write(number, mine)
        return number

    def give_back(self, number: int) -> None:
        """That stream has ended."""
        with self._locked():
            self._write(number, _FREE)

    def forget(self, process: int) -> None:
        """A process has ended, and its streams with it."""
        with self._locked():
            for number, row in enumerate(self._read()):
                if row[0] == process:
                    self._write(number, _FREE)

    def _read(self) -> list[tuple[int, bytes, bytes]]:
        return [(row[0], row[1], row[2]) for row in _ROW.iter_unpack(self._table[:])]

    def _write(self, number: int, row: tuple[int, bytes, bytes]) -> None:
        _ROW.pack_into(self._table, number * _ROW.size, *row)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone among threads and processes; a process that dies in between lets go."""
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


def _short(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


def _refusal(message: str) -> RateLimitedError:
    return RateLimitedError(message, details={"retry_after": RETRY_SECONDS})


_shared: StreamBoard | None = None


def share(processes: int, threads: int) -> StreamBoard:
    """Make the board of this process and of all that it forks from now on."""
    global _shared
    _shared = StreamBoard(processes, threads)
    return _shared


def shared() -> StreamBoard:
    """The board that the server shares with its workers; one of its own for a process that nobody made one for."""
    return _shared or share(1, 400)
