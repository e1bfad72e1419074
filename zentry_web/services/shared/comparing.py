"""What a search compares (``domain/list_keys.py``), as conditions."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, and_, not_, true

from zentry_web.domain.query_language import ListSearch, Term


def conditions_of(search: ListSearch, condition: Callable[[Term], ColumnElement[bool]]) -> list[ColumnElement[bool]]:
    """What each word of a search asks for by ``condition``, or the contrary where it is negated."""
    found = ((condition(term), term.negated) for term in search.terms)
    return [not_(each) if negated else each for each, negated in found]


def within(column: Any, start: Any, end: Any) -> ColumnElement[bool]:
    """Values from ``start`` on and before ``end``; None is open."""
    found = [] if start is None else [column >= start]
    return and_(true(), *found, *([] if end is None else [column < end]))


def inclusive(bounds: tuple[int | None, int | None]) -> tuple[int | None, int | None]:
    """Bounds that are both included, for ``within``."""
    least, most = bounds
    return least, None if most is None else most + 1
