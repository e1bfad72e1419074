"""What a few letters find: how well a text fits them, and what of the database does."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from zentry_web.domain.projects.project import Project
from zentry_web.domain.text import folded
from zentry_web.domain.user import User
from zentry_web.domain.vms.vm import VM

MOST_WORDS = 6
LONGEST_WORD = 60
_PARTS = re.compile(r"[^\W_]+")
# How far a word is from a text; the sum over the words decides, the smallest is best.
_SAME, _BEGINS, _WORD_BEGINS, _INSIDE, _KEYWORD, _IN_ORDER = range(6)


@dataclass(frozen=True, slots=True)
class StatementFound:
    """A closed month; ``name`` such as ``Statement October 2026``."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Found:
    """What of the database fits some words, the best first, with the rights of the one who looks. ``..._for_action``:
    what fits the words after the first, which is the beginning of a verb then."""

    vms: tuple[VM, ...] = ()
    projects: tuple[Project, ...] = ()
    vms_for_action: tuple[VM, ...] = ()
    projects_for_action: tuple[Project, ...] = ()
    people: tuple[User, ...] = ()
    statements: tuple[StatementFound, ...] = ()


def words_of(typed: str) -> tuple[str, ...]:
    """What was typed, word by word and folded; only so many of them, and of each only so much."""
    return tuple(word[:LONGEST_WORD] for word in folded(typed).split()[:MOST_WORDS])


def fit(words: Sequence[str], text: str, more: str = "") -> int | None:
    """How far ``words`` are from ``text``, whose keywords are ``more``: 0 is closest, None does not fit at all.

    Each word has to be somewhere in the text, or to begin one of its keywords, or its letters begin a word of the text
    and follow in it in their order (``wb1`` is in ``web-1``). Longer texts are further away.
    """
    text, keywords = folded(text), folded(more).split()
    total = 0
    for word in words:
        distance = _distance(word, text, keywords)
        if distance is None:
            return None
        total += distance
    return total * 1000 + min(len(text), 999)


def _distance(word: str, text: str, keywords: Sequence[str]) -> int | None:
    if word == text:
        return _SAME
    if text.startswith(word):
        return _BEGINS
    if any(text.startswith(word, part.start()) for part in _PARTS.finditer(text)):
        return _WORD_BEGINS
    if word in text:
        return _INSIDE
    if any(keyword.startswith(word) for keyword in keywords):
        return _KEYWORD
    in_order = any(_follows(word, each[start.start() :]) for each in text.split() for start in _PARTS.finditer(each))
    return _IN_ORDER if in_order else None


def _follows(word: str, text: str) -> bool:
    """Whether the text begins with the first letter and has the others after it, in their order."""
    rest = iter(text)
    return next(rest) == word[0] and all(letter in rest for letter in word[1:])
