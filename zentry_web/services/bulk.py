"""Many rows written by one statement, past what SQLAlchemy does for each row: settling writes seven per VM and hour.

SQLite takes rows one by one inside the process. PostgreSQL takes whole columns as arrays, in one round trip.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Boolean, Column, String, Table
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeDecorator

Rows = Sequence[dict[str, Any]]


def insert_rows(session: Session, table: Table, rows: Rows, *, on_conflict: str = "") -> None:
    """Insert rows that all have the same keys: names of columns. ``on_conflict`` is the end of the statement."""
    if rows:
        names = tuple(rows[0])
        statement = _insert(table, names, _is_sqlite(session))
        _execute(session, f"{statement} {on_conflict}", table, names, rows)


def update_rows(session: Session, table: Table, rows: Rows, *, add: Sequence[str] = ()) -> None:
    """Set the given columns of the rows with these ``id``; to those named in ``add`` the values are added.

    All rows have the same keys. The caller holds their locks: the order in which they are changed is not fixed.
    """
    if rows:
        names = (*(name for name in rows[0] if name != "id"), "id")
        statement = _update(table, names, tuple(add), _is_sqlite(session))
        _execute(session, statement, table, names, rows)


def _execute(session: Session, statement: str, table: Table, names: tuple[str, ...], rows: Rows) -> None:
    connection = session.connection()
    values: list[tuple[Any, ...]] = list(map(itemgetter(*names), rows))
    columns: list[Sequence[Any]] = list(zip(*values, strict=True))
    converted = False
    for index, name in enumerate(names):
        convert = table.c[name].type.bind_processor(connection.dialect)
        if convert is not None:
            columns[index], converted = list(map(convert, columns[index])), True
    if _is_sqlite(session):
        connection.exec_driver_sql(statement, list(zip(*columns, strict=True)) if converted else values)
    else:
        connection.exec_driver_sql(statement, tuple(list(column) for column in columns))


@lru_cache
def _insert(table: Table, names: tuple[str, ...], is_sqlite: bool) -> str:
    listed = ", ".join(names)
    if is_sqlite:
        return f"INSERT INTO {table.name} ({listed}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
    return f"INSERT INTO {table.name} ({listed}) SELECT * FROM unnest({_arrays(table, names)})"  # noqa: S608


@lru_cache
def _update(table: Table, names: tuple[str, ...], add: tuple[str, ...], is_sqlite: bool) -> str:
    """``names`` ends with the id."""
    new: Callable[[str], str] = (lambda name: "?") if is_sqlite else (lambda name: f"fresh.{name}")
    changes = ", ".join(
        f"{name} = {table.name}.{name} + {new(name)}" if name in add else f"{name} = {new(name)}" for name in names[:-1]
    )
    source = "" if is_sqlite else f" FROM unnest({_arrays(table, names)}) AS fresh({', '.join(names)})"
    return f"UPDATE {table.name} SET {changes}{source} WHERE {table.name}.id = {new('id')}"  # noqa: S608


def _arrays(table: Table, names: tuple[str, ...]) -> str:
    return ", ".join(f"%s::{_element(table.c[name])}[]" for name in names)


def _element(column: Column[Any]) -> str:
    """The type of an array's elements. Never one with a length: a cast to it would cut a long text off in silence."""
    kind = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
    if isinstance(kind, String):
        return "text"
    return "boolean" if isinstance(kind, Boolean) else "bigint"


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"
