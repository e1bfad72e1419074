"""Statements are compiled once per test run, not once per test.

Every test has engines of its own, and SQLAlchemy keeps what it compiled with the engine and its dialect. Of one run's
databases all SQLite ones are alike, and so are all PostgreSQL ones: here they share what was compiled. Nothing of a
test's data is in it.
"""

from functools import partial

from sqlalchemy import create_engine
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
