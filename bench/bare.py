"""The baseline of money's figures: the same rows written by the driver alone, in as many commits, without the ORM."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import make_url

from zentry_web.services.billing.usage.settlement import ADD_TO_MONTH, ADD_TO_PROJECT

Row = tuple[Any, ...]

INSERTS = {
    "transfer": "id at kind idempotency_key body_hash actor_id owner_id vm_id reason",
    "entry": "account_id seq transfer_id amount balance_after",
    "charge": "interval_id from_at kind to_at seconds amount transfer_id owner_id vm_id",
    "usage_month": "vm_id month state owner_id project_id seconds amount",
    "project_month": "owner_id month project_id amount",
    "event": (
        "id at actor_id action outcome resource_type resource_id owner_id project_id vm_id operation_id request_id "
        "details personal_hash"
    ),
}
UPSERTS = {"usage_month": ADD_TO_MONTH, "project_month": ADD_TO_PROJECT}
ACCOUNT = "UPDATE account SET balance = balance + %s, last_seq = last_seq + %s WHERE id = %s"
INTERVAL = "UPDATE usage_interval SET settled_until = %s, settled = %s WHERE id = %s"
HOLD = "UPDATE hold SET remaining = %s WHERE id = %s"


class Bare:
    """One connection as Zentry's own are set up: pragmas, isolation, one write transaction at a time."""

    def __init__(self, url: str, *, threads: bool = False) -> None:
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            lite = sqlite3.connect(str(parsed.database), isolation_level=None, check_same_thread=not threads)
            for pragma in ("foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL", "busy_timeout=10000"):
                lite.execute(f"PRAGMA {pragma}")
            self._connection: Any = lite
        else:
            plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
            self._connection = psycopg.connect(plain, autocommit=False)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A cursor; commits at the end."""
        if self.is_sqlite:
            self._connection.execute("BEGIN IMMEDIATE")
        yield self._connection.cursor()
        self._connection.commit()

    def sql(self, statement: str) -> str:
        """``statement`` with this driver's marks."""
        return statement.replace("%s", "?") if self.is_sqlite else statement

    def insert(self, table: str) -> str:
        """The INSERT of a table."""
        names = INSERTS[table].split()
        marks = ", ".join(["%s"] * len(names))
        tail = f" {UPSERTS[table]}" if table in UPSERTS else ""
        return self.sql(f'INSERT INTO "{table}" ({", ".join(names)}) VALUES ({marks})') + tail

    def read(self, table: str, *, where: str = "true", order: str = "1") -> list[Row]:
        """Rows of a table with the columns that are inserted."""
        names = ", ".join(INSERTS[table].split())
        cursor = self._connection.cursor()
        cursor.execute(f'SELECT {names} FROM "{table}" WHERE {where} ORDER BY {order}')
        rows: list[Row] = cursor.fetchall()
        return rows

    def query(self, statement: str) -> list[Row]:
        """Rows of any query."""
        cursor = self._connection.cursor()
        cursor.execute(statement)
        rows: list[Row] = cursor.fetchall()
        return rows

    def finish(self) -> None:
        """End the transaction that reading began."""
        if not self.is_sqlite:
            self._connection.rollback()

    def close(self) -> None:
        self._connection.close()
