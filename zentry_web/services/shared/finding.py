"""Finding by a few letters in the database: coarsely there, so that few rows come; domain/search.py orders those."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, case, func

CANDIDATES = 24  # of which domain/search.py takes the best
_ESCAPE = "/"


def in_order(column: Any, word: str) -> ColumnElement[bool]:
    """Whether a column has the letters of ``word`` in their order. It is folded already, as the word is."""
    letters = "%".join(_ESCAPE + letter if letter in "%_/" else letter for letter in word)
    return column.like(f"%{letters}%", escape=_ESCAPE)  # type: ignore[no-any-return]


def nearness(column: Any, words: Sequence[str]) -> list[ColumnElement[Any]]:
    """What to order by: texts that begin with a word first, then those that have it, shorter ones before longer."""
    steps = [
        case(
            (column.startswith(word, autoescape=True), 0),
            (column.contains(word, autoescape=True), 1),
            else_=2,
        )
        for word in words
    ]
    found: list[ColumnElement[Any]] = [sum(steps[1:], start=steps[0])] if steps else []
    return [*found, func.length(column), column]
