"""The ledger's few hot statements, given to the driver as text: settling writes seven rows per VM and hour, and each
transfer takes six statements. Composing them anew and handling every row costs SQLAlchemy more than the database.

SQLite takes rows one by one inside the process. PostgreSQL takes whole columns as arrays, in one round trip.

The driver's own cursor runs them, on the connection and inside the transaction of the session: SQLAlchemy's result and
context of a statement cost as much as the statement. Where somebody listens to statements, they go through SQLAlchemy.
"""

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Dialect, String, Table
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeDecorator

Rows = Sequence[dict[str, Any]]
Values = tuple[Any, ...] | list[tuple[Any, ...]]


def insert_rows(session: Session, table: Table, rows: Rows, *, on_conflict: str = "") -> None:
    """Insert rows that all have the same keys: names of columns. ``on_conflict`` is the end of the statement."""
    if rows:
        names = tuple(rows[0])
        connection = _connection(session)
        statement = _insert(table, names, connection.dialect.name)
        _execute(connection, f"{statement} {on_conflict}", table, names, rows)


def update_rows(
    session: Session, table: Table, rows: Rows, *, add: Sequence[str] = (), returning: Sequence[str] = ()
) -> Sequence[Any]:
    """Set the given columns of the rows with these ``id``; to those named in ``add`` the values are added.

    All rows have the same keys. The caller holds their locks: the order in which they are changed is not fixed.
    ``returning`` (PostgreSQL only): columns of the changed rows to return.
    """
    if not rows:
        return ()
    names = (*(name for name in rows[0] if name != "id"), "id")
    connection = _connection(session)
    statement = _update(table, names, tuple(add), connection.dialect.name)
    if returning:
        statement += " RETURNING " + ", ".join(f"{table.name}.{name}" for name in returning)
    result = _execute(connection, statement, table, names, rows)
    return result.fetchall() if returning else ()


def read_rows(session: Session, statement: str, values: Collection[str]) -> Sequence[Any]:
    """The rows of a SELECT in whose text ``{values}`` stands for 'is one of ``values``'.

    ``{lock}`` in it locks the rows on PostgreSQL; SQLite has one writer at a time.
    """
    connection = _connection(session)
    if connection.dialect.name == "sqlite":
        marks = f"IN ({', '.join('?' * len(values))})"
        found = _run(connection, statement.format(values=marks, lock=""), tuple(values))
    else:
        text = statement.format(values="= ANY(%s)", lock="FOR NO KEY UPDATE")
        found = _run(connection, text, (list(values),))
    return list(found.fetchall())


def _connection(session: Session) -> Connection:
    """The session's connection: kept by the owner of the transaction, as asking for it costs a statement's time."""
    return session.info.get("connection") or session.connection()


def _run(connection: Connection, statement: str, values: Values) -> Any:
    """A cursor, or a result, with the rows of a statement; a list of tuples runs it once for each.

    Raises what SQLAlchemy would.
    """
    if connection.engine.dispatch.before_cursor_execute:
        return connection.exec_driver_sql(statement, values)
    raw: Any = connection.connection.driver_connection
    try:
        cursor = raw.cursor()
        return cursor.executemany(statement, values) if isinstance(values, list) else cursor.execute(statement, values)
    except connection.dialect.loaded_dbapi.Error as error:
        base = connection.dialect.loaded_dbapi.Error
        raise DBAPIError.instance(statement, values, error, base, dialect=connection.dialect) from error


def _execute(connection: Connection, statement: str, table: Table, names: tuple[str, ...], rows: Rows) -> Any:
    values: list[tuple[Any, ...]] = list(map(itemgetter(*names), rows))
    columns: list[Sequence[Any]] = list(zip(*values, strict=True))
    converters = _converters(table, names, connection.dialect)
    for index, convert in converters:
        columns[index] = list(map(convert, columns[index]))
    if connection.dialect.name == "sqlite":
        return _run(connection, statement, list(zip(*columns, strict=True)) if converters else values)
    return _run(connection, statement, tuple(list(column) for column in columns))


@lru_cache
def _converters(table: Table, names: tuple[str, ...], dialect: Dialect) -> list[tuple[int, Callable[[Any], Any]]]:
    """Which columns are kept otherwise than Python has them (times), and how."""
    found = [(index, table.c[name].type.bind_processor(dialect)) for index, name in enumerate(names)]
    return [(index, convert) for index, convert in found if convert is not None]


@lru_cache
def _insert(table: Table, names: tuple[str, ...], dialect: str) -> str:
    listed = ", ".join(names)
    if dialect == "sqlite":
        return f"INSERT INTO {table.name} ({listed}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
    return f"INSERT INTO {table.name} ({listed}) SELECT * FROM unnest({_arrays(table, names)})"  # noqa: S608


@lru_cache
def _update(table: Table, names: tuple[str, ...], add: tuple[str, ...], dialect: str) -> str:
    """``names`` ends with the id."""
    is_sqlite = dialect == "sqlite"
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
