"""The language of search boxes: plain words and ``key:value``, quotes around what has spaces, ``-`` before what is not
wanted. Every part must fit. What the keys are is said by the list (``domain/vms/search.py``)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, tzinfo

from zentry_web.domain.language import _

MAX_SEARCH = 300  # characters of a search
MAX_TERMS = 20
# A part goes on to the next space outside quotes; a quote that is never closed reaches to the end.
_PART = re.compile(r'(?:[^\s"]|"[^"]*(?:"|$))+')
_KEY = re.compile(r"([A-Za-z]+):(.*)", re.DOTALL)
_COMPARISON = re.compile(r"(>=|<=|>|<|=?)\s*(.*)", re.DOTALL)

# Takes a value as typed, gives it as it is searched for. Raises ValueError with a sentence for the person.
ValueCheck = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a search; ``key`` '' is a plain word."""

    key: str
    value: str
    negated: bool = False

    @property
    def text(self) -> str:
        """As it is typed: ``parse_search`` reads the same again."""
        plain = re.fullmatch(r'[^\s"]+', self.value) and (
            self.key or not (_KEY.match(self.value) or self.value[0] == "-")
        )
        value = self.value if plain else f'"{self.value}"'
        return f"{'-' if self.negated else ''}{self.key}{':' if self.key else ''}{value}"


@dataclass(frozen=True, slots=True)
class ListSearch:
    """What a list is searched for; all of it must fit. Dates are days of ``zone``."""

    terms: tuple[Term, ...] = ()
    zone: tzinfo = UTC

    def __bool__(self) -> bool:
        return bool(self.terms)


EVERYTHING = ListSearch()


@dataclass(frozen=True, slots=True)
class Part:
    """A part as it stands in a text, from ``start`` to ``end``."""

    raw: str
    start: int
    end: int

    @property
    def negated(self) -> bool:
        return self.raw.startswith("-")

    @property
    def key(self) -> str | None:
        """What stands before its colon, in small letters; None without one."""
        found = _KEY.fullmatch(self.raw.removeprefix("-"))
        return found[1].lower() if found else None

    @property
    def value(self) -> str:
        """What is searched for, without quotes."""
        found = _KEY.fullmatch(self.raw.removeprefix("-"))
        return (found[2] if found else self.raw.removeprefix("-")).replace('"', "")


def parts_of(text: str) -> list[Part]:
    """The text's parts, in order."""
    return [Part(found[0], *found.span()) for found in _PART.finditer(text)]


def parse_search(text: str, keys: Mapping[str, ValueCheck]) -> tuple[Term, ...]:
    """What a search asks for. Raises ValueError with a sentence for the person: an unknown key, a value that makes no
    sense, too much of it."""
    if len(text) > MAX_SEARCH:
        raise ValueError(_("Use at most %(num)s characters.", num=MAX_SEARCH))
    found = [_term(part, keys) for part in parts_of(text) if part.key is not None or part.value.strip()]
    if len(found) > MAX_TERMS:
        raise ValueError(_("Use at most %(num)s words.", num=MAX_TERMS))
    return tuple(found)


def _term(part: Part, keys: Mapping[str, ValueCheck]) -> Term:
    key, value = part.key, part.value.strip()
    if key is None:
        return Term("", value, part.negated)
    if key not in keys:
        known = ", ".join(f"{each}:" for each in keys)
        raise ValueError(_("“%(key)s:” is not known here. Use %(known)s or put it in quotes.", key=key, known=known))
    if not value:
        raise ValueError(_("Write what to search for after “%(key)s:”.", key=key))
    return Term(key, keys[key](value), part.negated)


def written(terms: tuple[Term, ...]) -> str:
    """The terms as they are typed."""
    return " ".join(term.text for term in terms)


def part_at(text: str, at: int) -> Part:
    """The part that ends or goes on at a place in the text, as far as that place; an empty one between parts."""
    at = max(0, min(at, len(text)))
    for part in parts_of(text):
        if part.start < at <= part.end:
            return Part(text[part.start : at], part.start, part.end)
    return Part("", at, at)


def with_part(text: str, part: Part, instead: str) -> tuple[str, int]:
    """The text with something else in the place of a part, and the place after that. What is whole ends in a space."""
    before, after = text[: part.start], text[part.end :].lstrip()
    gap = "" if not before or before[-1].isspace() else " "
    head = f"{before}{gap}{instead}"
    return f"{head}{after}", len(head)


def any_text(value: str) -> str:
    """A check for values that can be anything."""
    return value


def one_of(values: Mapping[str, str], what: str) -> ValueCheck:
    """A check for values out of a few; ``values`` says how each is shown."""

    def check(value: str) -> str:
        if value.lower() not in values:
            known = ", ".join(values)
            text = _("“%(value)s” is no %(what)s. Use one of: %(known)s.", value=value[:40], what=what, known=known)
            raise ValueError(text)
        return value.lower()

    return check


def compared(value: str) -> tuple[str, str]:
    """``>0.1`` as ``('>', '0.1')``; without a sign it is ``=``."""
    found = _COMPARISON.fullmatch(value)
    assert found is not None, "everything matches"
    return found[1] or "=", found[2]
