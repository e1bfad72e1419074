"""Lists that are paged by key: the tenth page costs what the first does, and nothing is shown twice."""

from typing import Any

from sqlalchemy import ColumnElement, and_, or_


def beyond(
    key: ColumnElement[Any], at: object, row_id: ColumnElement[str], last_id: str, *, largest_first: bool
) -> ColumnElement[bool]:
    """What comes after the row with that id, whose ``key`` is ``at``, in the order of ``key`` and then of ids."""
    if largest_first:
        return or_(key < at, and_(key == at, row_id < last_id))
    return or_(key > at, and_(key == at, row_id > last_id))
