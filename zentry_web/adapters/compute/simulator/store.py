"""The simulator's truth: one SQLite file that several processes share and that outlives all of them."""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zentry_web.adapters.compute.base import ComputeUnavailable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS machine (
    number INTEGER PRIMARY KEY,
    vm_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    vcpus INTEGER NOT NULL,
    memory_mib INTEGER NOT NULL,
    disk_gib INTEGER NOT NULL,
    image TEXT NOT NULL,
    keys INTEGER NOT NULL DEFAULT 0,
    script INTEGER NOT NULL DEFAULT 0,
    built_at REAL NOT NULL,
    run_id TEXT,
    run_from REAL,
    boot_from REAL,
    boot_seconds REAL,
    answer_at REAL,
    stop_at REAL,
    fault TEXT NOT NULL DEFAULT '',
    lost INTEGER NOT NULL DEFAULT 0,
    pause TEXT NOT NULL DEFAULT '',
    saved INTEGER NOT NULL DEFAULT 0,
    snapshot INTEGER NOT NULL DEFAULT 0,
    aside TEXT NOT NULL DEFAULT '',
    replaced TEXT NOT NULL DEFAULT '',
    rescue INTEGER NOT NULL DEFAULT 0,
    agent TEXT NOT NULL DEFAULT '',
    password TEXT NOT NULL DEFAULT '',
    ended TEXT NOT NULL DEFAULT '',
    log TEXT NOT NULL DEFAULT '',
    log_dropped INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS snapshot (
    vm_id TEXT NOT NULL,
    name TEXT NOT NULL,
    memory INTEGER NOT NULL,
    held INTEGER NOT NULL,
    boot_left REAL NOT NULL,
    current INTEGER NOT NULL,
    UNIQUE (vm_id, name)
);
CREATE TABLE IF NOT EXISTS backup (
    backup_id TEXT PRIMARY KEY,
    vm_id TEXT NOT NULL,
    disk_gib INTEGER NOT NULL,
    begun_at REAL NOT NULL,
    seconds REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS restore (
    key TEXT PRIMARY KEY,
    vm_id TEXT NOT NULL,
    begun_at REAL NOT NULL,
    seconds REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS disk_copy (
    key TEXT PRIMARY KEY,
    vm_id TEXT NOT NULL,
    disk_gib INTEGER NOT NULL,
    begun_at REAL NOT NULL,
    seconds REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS proof (
    backup_id TEXT PRIMARY KEY,
    vm_id TEXT NOT NULL,
    begun_at REAL NOT NULL,
    seconds REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    vm_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS image (name TEXT PRIMARY KEY, disk_gib INTEGER);
CREATE TABLE IF NOT EXISTS fault (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    vm_id TEXT NOT NULL,
    action TEXT NOT NULL,
    kind TEXT NOT NULL,
    message TEXT NOT NULL,
    seconds REAL NOT NULL,
    times INTEGER
);
"""
_COLUMNS = (
    "number, vm_id, name, vcpus, memory_mib, disk_gib, image, keys, script, built_at, run_id, run_from, boot_from,"
    " boot_seconds, answer_at, stop_at, fault, lost, pause, saved, snapshot, aside, replaced, rescue, agent, password,"
    " ended"
)
_KEPT_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class SimulatedMachine:
    """A row of the file. Times are seconds since the epoch; what is true now follows from them and the clock."""

    number: int
    vm_id: str
    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    image: str
    keys: int
    script: int
    built_at: float
    run_id: str | None
    run_from: float | None
    boot_from: float | None
    boot_seconds: float | None
    answer_at: float | None
    stop_at: float | None
    fault: str
    lost: int
    pause: str  # why it stands still: 'paused', 'sleeping', 'full' (the host's disk); '' when it does not
    saved: int  # off, with its memory kept on the host
    snapshot: int  # somebody made one, so the disk is not to be touched
    aside: str  # the disk that is aside, as JSON: its name and what it was made as; '' when there is none
    replaced: str  # the name of the one whose place the present disk took
    rescue: int  # what boots next is the rescue system
    agent: str  # how the one in its guest answers: '' as it should, 'none' is there, 'silent', 'refuses'
    password: str  # the hash of root's, as an agent has set it
    ended: str  # what took it off last, a Cause; '' when it is on or never was

    def is_on(self, now: float) -> bool:
        """Running at ``now``."""
        return (
            self.run_from is not None
            and now >= self.run_from
            and not self.fault
            and (self.stop_at is None or now < self.stop_at)
        )

    def has_answered(self, now: float) -> bool:
        """It has been reachable in this run."""
        return self.answer_at is not None and now >= self.answer_at

    def has_agent(self, now: float) -> bool:
        """An agent listens in the guest; in the rescue system there is none."""
        return self.is_on(now) and self.has_answered(now) and not self.rescue and self.agent != "none"

    @property
    def address(self) -> str:
        return f"10.77.{self.number // 250 % 256}.{self.number % 250 + 2}"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that shall go wrong or take long."""

    id: int
    kind: str
    message: str
    seconds: float


def _later_columns(connection: sqlite3.Connection) -> list[str]:
    """Those that a file made by an earlier version lacks."""
    there = {row[1] for row in connection.execute("PRAGMA table_info(machine)")}
    lines = (line.strip().rstrip(",") for line in _SCHEMA.splitlines())
    later = {"pause", "saved", "snapshot", "aside", "replaced", "rescue", "agent", "password", "ended"} - there
    return [line for line in lines if line.split(" ")[0] in later]


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise ComputeUnavailable(f"The simulator’s file cannot be used: {error}.") from error


class SimulatorStore:
    """SQL and nothing else. One connection per process behind a lock; every write is one immediate transaction."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._pid = 0

    def _open(self) -> sqlite3.Connection:
        # A connection must not cross a fork: the child opens its own.
        if self._connection is None or self._pid != os.getpid():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA busy_timeout = 10000")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.executescript(_SCHEMA)
            for column in _later_columns(connection):
                connection.execute(f"ALTER TABLE machine ADD COLUMN {column}")
            if "disk_gib" not in {row[1] for row in connection.execute("PRAGMA table_info(image)")}:
                connection.execute("ALTER TABLE image ADD COLUMN disk_gib INTEGER")
            self._connection, self._pid = connection, os.getpid()
        return self._connection

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection to read with. Raises ComputeUnavailable when the file cannot be used."""
        with self._lock, _unavailable():
            yield self._open()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed at the end, rolled back on any exception; errors as in ``read``."""
        with self._lock, _unavailable():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def machines(self) -> list[SimulatedMachine]:
        """All machines in the order of their making."""
        with self.read() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM machine ORDER BY number").fetchall()  # noqa: S608
        return [SimulatedMachine(*row) for row in rows]

    def find(self, vm_id: str) -> SimulatedMachine | None:
        """One machine by id."""
        with self.read() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM machine WHERE vm_id = ?", (vm_id,)).fetchone()  # noqa: S608
        return SimulatedMachine(*row) if row else None

    def insert(self, machines: Iterable[dict[str, object]]) -> None:
        """Add rows in one transaction; those whose vm_id is there already are left as they are."""
        with self.write() as connection:
            for values in machines:
                names = ", ".join(values)
                marks = ", ".join("?" * len(values))
                connection.execute(
                    f"INSERT OR IGNORE INTO machine ({names}) VALUES ({marks})",  # noqa: S608 - names are ours
                    tuple(values.values()),
                )

    def update(self, connection: sqlite3.Connection, vm_id: str, **values: object) -> None:
        """Set columns of one machine inside a transaction."""
        names = ", ".join(f"{name} = ?" for name in values)
        connection.execute(f"UPDATE machine SET {names} WHERE vm_id = ?", (*values.values(), vm_id))  # noqa: S608

    def append_log(self, connection: sqlite3.Connection, vm_id: str, text: str, keep: int = 131_072) -> None:
        """Append to the stored console log, dropping the oldest part beyond ``keep`` characters."""
        connection.execute(
            "UPDATE machine SET log_dropped = log_dropped + max(0, length(log) + length(:text) - :keep),"
            " log = substr(log || :text, max(1, length(log) + length(:text) - :keep + 1)) WHERE vm_id = :vm_id",
            {"text": text, "keep": keep, "vm_id": vm_id},
        )

    def log(self, vm_id: str) -> tuple[str, int]:
        """Stored console log of finished boots and how many characters were dropped before it."""
        with self.read() as connection:
            row = connection.execute("SELECT log, log_dropped FROM machine WHERE vm_id = ?", (vm_id,)).fetchone()
        return (row[0], row[1]) if row else ("", 0)

    def delete(self, connection: sqlite3.Connection, machine: SimulatedMachine, now: float) -> None:
        """Remove a machine, and tell that it went; nothing if it is gone already."""
        connection.execute("DELETE FROM snapshot WHERE vm_id = ?", (machine.vm_id,))
        if connection.execute("DELETE FROM machine WHERE vm_id = ?", (machine.vm_id,)).rowcount:
            if machine.is_on(now):
                self.add_event(connection, machine.vm_id, "stopped", now)
            self.add_event(connection, machine.vm_id, "deleted", now)

    def add_event(self, connection: sqlite3.Connection, vm_id: str, kind: str, at: float) -> None:
        """Tell all processes; an event in the future is delivered when its time comes."""
        cursor = connection.execute("INSERT INTO event (vm_id, kind, at) VALUES (?, ?, ?)", (vm_id, kind, at))
        connection.execute("DELETE FROM event WHERE id <= ?", ((cursor.lastrowid or 0) - _KEPT_EVENTS,))

    def events_after(self, event_id: int) -> list[tuple[int, str, str, float]]:
        """Events with a higher id, oldest first."""
        with self.read() as connection:
            return connection.execute(
                "SELECT id, vm_id, kind, at FROM event WHERE id > ? ORDER BY id", (event_id,)
            ).fetchall()

    def last_event_id(self) -> int:
        """Id of the newest event, 0 when there is none."""
        with self.read() as connection:
            return int(connection.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0])

    def boot(self) -> int:
        """How often the host was rebooted."""
        with self.read() as connection:  # a number that the file keeps for whoever uses it
            return int(connection.execute("PRAGMA user_version").fetchone()[0])

    def boot_anew(self, connection: sqlite3.Connection) -> None:
        """Count a reboot of the host, inside a transaction."""
        boots = int(connection.execute("PRAGMA user_version").fetchone()[0])
        connection.execute(f"PRAGMA user_version = {boots + 1}")

    def add_fault(self, vm_id: str, action: str, kind: str, message: str, seconds: float, times: int | None) -> None:
        """Order a fault or delay; ``*`` as vm_id or action means any."""
        with self.write() as connection:
            connection.execute(
                "INSERT INTO fault (vm_id, action, kind, message, seconds, times) VALUES (?, ?, ?, ?, ?, ?)",
                (vm_id, action, kind, message, seconds, times),
            )

    def clear_faults(self, vm_id: str | None = None) -> int:
        """Take back the faults of one machine, or all; returns how many."""
        with self.write() as connection:
            if vm_id is None:
                return connection.execute("DELETE FROM fault").rowcount
            return connection.execute("DELETE FROM fault WHERE vm_id = ?", (vm_id,)).rowcount

    def take_faults(self, vm_id: str, action: str) -> list[Fault]:
        """The faults that hit this call; each that is limited in number is counted down."""
        with self.read() as connection:
            rows = connection.execute(
                "SELECT id, kind, message, seconds FROM fault"
                " WHERE vm_id IN (?, '*') AND action IN (?, '*') ORDER BY id",
                (vm_id, action),
            ).fetchall()
        if not rows:
            return []
        with self.write() as connection:
            for row in rows:
                connection.execute("UPDATE fault SET times = times - 1 WHERE id = ? AND times IS NOT NULL", (row[0],))
            connection.execute("DELETE FROM fault WHERE times <= 0")
        return [Fault(*row) for row in rows]
