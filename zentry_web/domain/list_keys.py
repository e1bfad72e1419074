"""What can be searched for in lists other than machines' (``domain/vms/search.py``), in the language of
``domain/query_language.py``: for each list its keys, in the order in which they are offered."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from types import MappingProxyType
from typing import Any

from zentry_web.domain.credits.billing import AccountKind, TransferKind
from zentry_web.domain.credits.books import LedgerFilter
from zentry_web.domain.credits.usage import UsageState
from zentry_web.domain.event import Outcome
from zentry_web.domain.language import _, lazy
from zentry_web.domain.money import parse_credits
from zentry_web.domain.people.directory import PeopleState
from zentry_web.domain.projects.project import ProjectRole
from zentry_web.domain.projects.project_directory import ProjectState
from zentry_web.domain.query_language import ListSearch, Term, ValueCheck, any_text, compared, one_of
from zentry_web.domain.text import whole_number
from zentry_web.domain.user import Role
from zentry_web.domain.vms.search import a_label

DAY = timedelta(days=1)
MOST_COUNTED = 1_000_000
_DATE = re.compile(r"(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?")
Bounds = tuple[int | None, int | None]  # the least and the most, both included; None: open
Moments = tuple[datetime | None, datetime | None]  # from, and before; None: open


@dataclass(frozen=True, slots=True)
class Key:
    """One key: how its values are checked, what is said of it, and values that complete it."""

    check: ValueCheck
    hint: str
    values: Sequence[str] = ()


Keys = Mapping[str, Key]


def checks_of(keys: Keys) -> dict[str, ValueCheck]:
    """For ``parse_search``."""
    return {name: key.check for name, key in keys.items()}


def terms_of(terms: Sequence[Term], key: str) -> list[Term]:
    """Those of one key."""
    return [term for term in terms if term.key == key]


# -- values that are compared -------------------------------------------------------------------


def amount_bounds(value: str) -> Bounds:
    """``>5`` as micro-credits: ``(5_000_001, None)``. Raises ValueError with a sentence for the person."""
    sign, amount = compared(value)
    try:
        micro = parse_credits(amount)
    except ValueError:
        raise ValueError(
            _("“%(value)s” is no amount of credits. Write one such as >5 or 0.25.", value=value[:40])
        ) from None
    return _bounds(sign, micro)


def count_bounds(value: str) -> Bounds:
    """``>0`` as whole numbers: ``(1, None)``. Raises ValueError with a sentence for the person."""
    sign, text = compared(value)
    number = whole_number(text)
    if number is None or not 0 <= number <= MOST_COUNTED:
        raise ValueError(_("“%(value)s” is no number. Write one such as 0 or >3.", value=value[:40]))
    return _bounds(sign, number)


def _bounds(sign: str, number: int) -> Bounds:
    least = {"=": number, ">": number + 1, ">=": number}.get(sign)
    most = {"=": number, "<": number - 1, "<=": number}.get(sign)
    return least, most


def date_bounds(value: str, zone: tzinfo = UTC) -> Moments:
    """``2026-01`` as the moments (UTC) between which that month of the zone lies; ``>2026-01`` what comes after it,
    ``>=2026-01`` from its beginning on. A year or a day likewise. Raises ValueError with a sentence for the person."""
    sign, text = compared(value)
    found = _DATE.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        year, month, day = (int(part) if part else 0 for part in found.groups())
        first = date(year, month or 1, day or 1)
        after = first + DAY if day else date(year + month // 12, month % 12 + 1, 1) if month else date(year + 1, 1, 1)
        start, end = (datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC) for d in (first, after))
        if not 1971 <= year <= 9000:
            raise ValueError
    except (ValueError, OverflowError):
        raise ValueError(
            _("“%(value)s” is no date. Write one such as 2026-01-15, >=2026-01 or 2026.", value=value[:40])
        ) from None
    return {"=": (start, end), ">": (end, None), ">=": (start, None), "<": (None, start), "<=": (None, end)}[sign]


def _checked(read: object) -> ValueCheck:
    def check(value: str) -> str:
        read(value)  # type: ignore[operator]
        return value

    return check


_AMOUNT, _COUNT, _DATE_KEY = _checked(amount_bounds), _checked(count_bounds), _checked(date_bounds)


def _choice(values: Sequence[str], what: str, hint: str = "") -> Key:
    known = {str(value): str(value) for value in values}
    return Key(one_of(known, what), hint or ", ".join(list(known)[:3]) + (" …" if len(known) > 3 else ""), tuple(known))


_NAME = Key(any_text, lazy("a part of it"))
_DATES = lazy("a day, month or year: 2026-01-15, >=2026-01")


def narrowed(bounds: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    """What fits all of them."""
    starts = [start for start, _ in bounds if start is not None]
    ends = [end for _, end in bounds if end is not None]
    return max(starts, default=None), min(ends, default=None)


def ledger_filter(search: ListSearch) -> LedgerFilter:
    """What a search of the ledger means. Raises ValueError with a sentence for the person: the ledger is looked through
    by its indexes, which know nothing of what is left out, and one value of each kind."""
    named = dict[str, str]()
    for term in search.terms:
        if term.negated:
            raise ValueError(_("The ledger can be searched only for what is there, without “-”."))
        if term.key in ("person", "actor", "kind", "account") and named.setdefault(term.key, term.value) != term.value:
            raise ValueError(_("Write “%(key)s:” once.", key=term.key))
    least, most = narrowed([amount_bounds(term.value) for term in terms_of(search.terms, "amount")])
    start, end = narrowed([date_bounds(term.value, search.zone) for term in terms_of(search.terms, "date")])
    words = " ".join(term.value for term in terms_of(search.terms, ""))
    return LedgerFilter(**named, text=words, least=least, most=most, start=start, end=end)


# -- the lists ----------------------------------------------------------------------------------

TRANSACTIONS: Keys = MappingProxyType(
    {
        "kind": _choice(tuple(TransferKind), lazy("kind")),
        "amount": Key(_AMOUNT, lazy("how much, in or out: >5, 0.25"), (">1", "<1")),
        "date": Key(_DATE_KEY, _DATES),
        "machine": _NAME,
    }
)
CHARGES: Keys = MappingProxyType(
    {
        "machine": _NAME,
        "project": _NAME,
        "size": _NAME,
        "state": _choice(tuple(UsageState), lazy("state")),
    }
)
LEDGER: Keys = MappingProxyType(
    {
        "kind": _choice(tuple(TransferKind), lazy("kind")),
        "person": Key(any_text, lazy("whose credits: an e-mail address or an id")),
        "actor": Key(any_text, lazy("who did it: an e-mail address, an id, or system")),
        "account": _choice(tuple(AccountKind), lazy("kind of account")),
        "amount": Key(_AMOUNT, lazy("how much: >5, 0.25"), (">100", "<1")),
        "date": Key(_DATE_KEY, _DATES),
    }
)
AUDIT: Keys = MappingProxyType(
    {
        "action": Key(any_text, lazy("vm.create, or all that begin so: vm.")),
        "who": Key(any_text, lazy("who did it: an e-mail address or a part of it, an id, or system")),
        "what": Key(any_text, lazy("to what: an id, or an e-mail address or a part of it")),
        "outcome": _choice(tuple(Outcome), lazy("outcome")),
        "date": Key(_DATE_KEY, _DATES),
    }
)
PROJECTS: Keys = MappingProxyType(
    {
        "role": _choice(tuple(ProjectRole), lazy("role")),
        "machines": Key(_COUNT, lazy("how many: 0, >3"), (">0", "0")),
        "label": Key(a_label, lazy("env=prod, or a key alone")),
        "cost": Key(_AMOUNT, lazy("this month: >5"), (">1", "<1")),
        "owner": Key(any_text, lazy("who pays: a part of the name")),
        "name": _NAME,
    }
)
ALL_PROJECTS: Keys = MappingProxyType(
    {
        "state": _choice(tuple(ProjectState), lazy("state")),
        "owner": Key(any_text, lazy("an e-mail address or a part of it, or an id")),
        "label": Key(a_label, lazy("env=prod, or a key alone")),
        "machines": Key(_COUNT, lazy("how many: 0, >3"), (">0", "0")),
        "name": _NAME,
        "created": Key(_DATE_KEY, _DATES),
    }
)
BIN: Keys = MappingProxyType(
    {
        "project": _NAME,
        "name": _NAME,
        "deleted": Key(_DATE_KEY, _DATES),
    }
)
PEOPLE: Keys = MappingProxyType(
    {
        "role": _choice((Role.USER, Role.ADMIN), lazy("role")),
        "state": _choice(tuple(PeopleState), lazy("state"), lazy("active, disabled, leaving, never (logged in)")),
        "credits": Key(_AMOUNT, lazy("what they can use: <1, >100"), ("<1", ">100")),
        "machines": Key(_COUNT, lazy("how many: 0, >3"), (">0", "0")),
        "factor": _choice(("yes", "no"), lazy("answer"), lazy("whether they have a second one: yes, no")),
        "name": _NAME,
        "email": _NAME,
        "since": Key(_DATE_KEY, _DATES),
    }
)
