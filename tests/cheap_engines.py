"""What every test's engines need not do again: compile the same statements, and wait for the disk.

Every test has engines of its own, and SQLAlchemy keeps what it compiled with the engine and its dialect. Of one run's
databases all SQLite ones are alike, and so are all PostgreSQL ones: here they share what was compiled. Nothing of a
test's data is in it.
And nobody asks for a test's database after the power was cut.
"""

from functools import partial

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.util import LRUCache

from zentry_web.adapters import database


def share_compiled_statements() -> None:
    """To be called once, before the first engine is made."""
    for dialect in (PGDialect_psycopg, SQLiteDialect_pysqlite):
        dialect.__eq__ = lambda self, other: type(self) is type(other)  # type: ignore[method-assign,assignment]
        dialect.__hash__ = lambda self: hash(type(self))  # type: ignore[method-assign,assignment]
    compiled: LRUCache[object, object] = LRUCache(4000)
    database.create_engine = partial(create_engine, execution_options={"compiled_cache": compiled})  # type: ignore[attr-defined]


def wait_for_no_disk() -> None:
    """SQLite neither syncs a commit nor, when the last connection goes, what it writes back."""
    make = database._sqlite_engine

    def unsynced(url: str, durable: bool) -> Engine:
        engine = make(url, durable)
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
        return engine

    database._sqlite_engine = unsynced
