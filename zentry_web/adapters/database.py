"""Engines and sessions for SQLite and PostgreSQL, set up so that neither loses an update.

SQLite: WAL, foreign keys on, synced at every commit (money does not go back with the power). A writer begins with
BEGIN IMMEDIATE (without it two writers silently overwrite each other), a reader with a deferred BEGIN so that it
never queues behind a writer.
PostgreSQL: writers run in READ COMMITTED and lock the rows they decide on; readers see one snapshot.
"""

import contextlib
import os
import sqlite3
import stat
import time
from contextvars import ContextVar
from typing import Any

from psycopg.types.string import StrDumperUnknown
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import Session, sessionmaker

_SQLITE_PRAGMAS = ("foreign_keys=ON", "journal_mode=WAL", "busy_timeout=10000")
IDLE_SECONDS = 1.0
_LOOK_MILLISECONDS = 5  # of a writer that waits for its turn


def make_engine(url: str, *, schema: str | None = None, durable: bool = True) -> Engine:
    """An engine for ``url``. ``schema`` puts its tables into that PostgreSQL schema (ignored on SQLite).

    Without ``durable``, a power cut may take the last commits on SQLite: good enough for samples.
    """
    if make_url(url).get_backend_name() == "sqlite":
        return _sqlite_engine(url, durable)
    connect_args = {"options": f"-csearch_path={schema}"} if schema else {}
    engine = create_engine(url, pool_size=10, max_overflow=10, connect_args=connect_args)
    ask_the_idle(engine)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.adapters.register_dumper(str, _WithoutNul)

    return engine


class _WithoutNul(StrDumperUnknown):
    """PostgreSQL takes no NUL, so nothing stored has one: what is looked up by a text with NULs in it, such as an id
    from an address, is looked up by the rest, and is an error nowhere."""

    def dump(self, obj: str) -> Any:
        """As PostgreSQL gets it."""
        return super().dump(obj.replace("\x00", "") if "\x00" in obj else obj)


def upsert(session: Session, table: Any) -> Any:
    """An INSERT that knows ON CONFLICT, of the database in use; ``table`` may be a mapped class."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    return sqlite_insert(table) if is_sqlite else postgresql_insert(table)


def run(session: Session, statement: Any) -> int:
    """Execute an UPDATE or DELETE, past the objects that the session may hold; returns how many rows it met."""
    result: Any = session.execute(statement, execution_options={"synchronize_session": False})
    return int(result.rowcount)


def ask_the_idle(engine: Engine) -> None:
    """Of a pooled connection that lay idle, ask whether it still lives before it is used; all are made anew if not.

    As ``pool_pre_ping``, which asks every time: a round trip more for each transaction of a busy worker.
    """

    @event.listens_for(engine, "checkin")
    def note(_connection: Any, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def ask(connection: Any, record: Any, _proxy: Any) -> None:
        since = record.info.get("idle_since")
        if since is None or time.monotonic() - since < IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


def _sqlite_engine(url: str, durable: bool) -> Engine:
    engine = create_engine(url, connect_args={"check_same_thread": False})
    path = make_url(url).database

    @event.listens_for(engine, "do_connect")
    def keep_private(*_arguments: object) -> None:
        # SQLite would make the file readable by all; its journal files take over the mode of the file. Never opened
        # here: closing any descriptor of it drops the locks that SQLite holds on it in this process.
        if path and path != ":memory:" and not path.startswith("file:"):
            with contextlib.suppress(FileExistsError):
                os.mknod(path, 0o600 | stat.S_IFREG)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN would come too late
        for pragma in _SQLITE_PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
        if mode == "IMMEDIATE":
            _wait_for_turn(connection)
        elif mode:
            connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _wait_for_turn(connection: Connection) -> None:
    """BEGIN IMMEDIATE, looking often whether the lock is free.

    SQLite by itself looks less and less often, every 100 ms in the end: beside a worker that writes one short
    transaction after the other, a person's click would wait for many of them.
    """
    raw: Any = connection.connection.driver_connection
    patience = connection.info.get("patience")
    if patience is None:
        (patience,) = raw.execute("PRAGMA busy_timeout").fetchone()
        connection.info["patience"] = patience
    raw.execute(f"PRAGMA busy_timeout = {min(patience, _LOOK_MILLISECONDS)}")
    deadline = time.monotonic() + patience / 1000
    try:
        while True:
            try:
                raw.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError:
                if time.monotonic() >= deadline:
                    break
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # once more, for an error of SQLAlchemy's kind
    finally:
        raw.execute(f"PRAGMA busy_timeout = {patience}")


class Database:
    """One engine, sessions for writing, for reading and for a single look, and the session that is open in this thread
    of work."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        if self.is_sqlite:
            readers = engine.execution_options(sqlite_begin="DEFERRED")
            lookers = engine.execution_options(sqlite_begin="")
        else:
            readers = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            lookers = engine.execution_options(isolation_level="AUTOCOMMIT")
        self.writing: sessionmaker[Session] = sessionmaker(engine, expire_on_commit=False)
        self.reading: sessionmaker[Session] = sessionmaker(readers, expire_on_commit=False)
        self.looking: sessionmaker[Session] = sessionmaker(lookers, expire_on_commit=False)
        self.open_session: ContextVar[Session | None] = ContextVar(f"open_session_{id(self)}", default=None)

    def dispose(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()
