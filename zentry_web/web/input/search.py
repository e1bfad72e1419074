"""The search box of a list: what stands in it, what that asks for, and what can complete it (``domain/search.py``)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from flask import Response, request

from zentry_web.domain.list_keys import Keys, checks_of
from zentry_web.domain.query_language import (
    MAX_SEARCH,
    Part,
    Term,
    ValueCheck,
    parse_search,
    part_at,
    with_part,
    written,
)
from zentry_web.domain.text import whole_number
from zentry_web.web.input.paging import text_argument

MOST_OFFERED = 20  # all states of machines
_STAY = {"HX-Retarget": "#search-problem", "HX-Reswap": "textContent", "HX-Push-Url": "false"}


@dataclass(frozen=True, slots=True)
class Searched:
    """``problem`` is a sentence for the person when the text makes no sense; nothing is searched for then."""

    text: str
    terms: tuple[Term, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """Something that can complete a search: how it is shown, what stands in the box then and where one goes on."""

    label: str
    note: str
    text: str
    at: int


def read_search(keys: Mapping[str, ValueCheck], fields: Iterable[str] = ()) -> Searched:
    """What ``q`` asks for, and those of ``fields`` that are in the address: each is ``key:value`` by itself, as the
    plain form and older addresses have it (a mapping says which key that is). What makes no sense there is left out."""
    text = text_argument("q", MAX_SEARCH + 1)
    try:
        terms = parse_search(text, keys)
    except ValueError as error:
        return Searched(text, problem=str(error))
    named = fields if isinstance(fields, Mapping) else {name: name for name in fields}
    more = [term for name, key in named.items() if (term := _field(name, key, keys))]
    more = [term for term in more if term not in terms]
    return Searched(written((*terms, *more)) if more else text, (*terms, *more))


def read_list(keys: Keys, fields: Iterable[str] = ()) -> Searched:
    """``read_search`` for one of the lists of ``domain/list_keys.py``."""
    return read_search(checks_of(keys), fields)


def stay(searched: Searched) -> Response:
    """The answer to somebody who is typing what makes no sense yet: says so, and the list stays as it is."""
    return Response(searched.problem, headers=_STAY, mimetype="text/plain")


def _field(name: str, key: str, keys: Mapping[str, ValueCheck]) -> Term | None:
    try:
        value = text_argument(name, MAX_SEARCH).replace('"', "").strip()
        return Term(key, keys[key](value)) if value else None
    except ValueError:
        return None


def asked_part() -> tuple[str, Part]:
    """The text of the box, and its part before the place where somebody types (``at``; the end without one)."""
    text = request.args.get("q", "")[:MAX_SEARCH]
    at = whole_number(request.args.get("at", ""))
    return text, part_at(text, len(text) if at is None else at)


def offer_keys(text: str, part: Part, hints: Mapping[str, str]) -> list[Completion]:
    """The keys that begin as the part does."""
    sign, typed = ("-" if part.negated else ""), part.value.lower()
    found = [(f"{sign}{key}:", hint) for key, hint in hints.items() if key.startswith(typed)]
    return [Completion(key, hint, *with_part(text, part, key)) for key, hint in found]


def offer_values(text: str, part: Part, values: Iterable[tuple[str, str]]) -> list[Completion]:
    """Those values (each with a note) of the part's key that hold what was typed, those that begin with it first."""
    typed = part.value.casefold()
    fitting = [each for each in values if typed in each[0].casefold()]
    fitting.sort(key=lambda each: not each[0].casefold().startswith(typed))
    if [value.casefold() for value, _ in fitting] == [typed]:  # nothing is left to be said
        return []
    terms = [(Term(part.key or "", value, part.negated).text, note) for value, note in fitting[:MOST_OFFERED]]
    return [Completion(term, note, *with_part(text, part, f"{term} ")) for term, note in terms]


def offers_of(keys: Keys, note: Callable[[str], str] = lambda value: "") -> list[Completion]:
    """What can complete the box of one of the lists of ``domain/list_keys.py``; ``note``: what is said of a value."""
    text, part = asked_part()
    if part.key is None:
        return offer_keys(text, part, {name: key.hint for name, key in keys.items()})
    return (
        offer_values(text, part, [(value, note(value)) for value in keys[part.key].values]) if part.key in keys else []
    )
