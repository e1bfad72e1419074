"""Lists that are paged by key: the tenth page costs what the first does, and nothing is shown twice."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, and_, or_

CHUNK = 500  # rows of a file that are read at once
Row = TypeVar("Row")
Key = TypeVar("Key")


def beyond(
    key: ColumnElement[Any], at: object, row_id: ColumnElement[str], last_id: str, *, largest_first: bool
) -> ColumnElement[bool]:
    """What comes after the row with that id, whose ``key`` is ``at``, in the order of ``key`` and then of ids."""
    if key is row_id:
        return row_id < last_id if largest_first else row_id > last_id
    if largest_first:
        return or_(key < at, and_(key == at, row_id < last_id))
    return or_(key > at, and_(key == at, row_id > last_id))


def in_order(key: ColumnElement[Any], row_id: ColumnElement[str], *, largest_first: bool) -> tuple[Any, ...]:
    """For ORDER BY: by ``key``, the id decides between equals."""
    columns = (row_id,) if key is row_id else (key, row_id)
    return tuple(column.desc() if largest_first else column.asc() for column in columns)


def in_chunks(read: Callable[[Key | None], tuple[Sequence[Row], Key | None]]) -> Iterator[Row]:
    """Every row of a list, for a file. ``read`` gives one page, after the row with that key (None: the first), and the
    key of its last row if more follow: no transaction is open while the file is written."""
    before: Key | None = None
    while True:
        rows, before = read(before)
        yield from rows
        if before is None:
            return


def page_of(rows: Sequence[Row], limit: int, key: Callable[[Row], Key]) -> tuple[Sequence[Row], Key | None]:
    """A page for ``in_chunks``, of at most ``limit`` rows: where it is full there may be more."""
    return rows, key(rows[-1]) if len(rows) == limit else None
