"""What components/outcomes.html shows: what became of each of many things."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from zentry_web.domain.language import _, ngettext
from zentry_web.services.shared.one_by_one import Became, EachOutcome, count_outcomes
from zentry_web.web.errors import error_text

T = TypeVar("T")


def outcomes(results: Sequence[Became[T]]) -> dict[str, Any]:
    """``results``, those that were refused first; ``counts`` by outcome; ``whys``: a sentence for each result."""
    ordered = sorted(results, key=lambda each: each.outcome != EachOutcome.REFUSED)
    whys = [error_text(each.error) if each.error else each.text for each in ordered]
    return {"results": ordered, "counts": count_outcomes(results), "whys": whys}


def sum_up(done: str, counts: Mapping[EachOutcome, int], missing: int) -> str:
    """In a sentence without its full stop, such as ``3 machines are starting, 1 could not``. ``done``: what is said of
    those that it was done with, '' for none; ``missing``: how many were not there any more."""
    parts = [done] if done else []
    if so := counts[EachOutcome.UNCHANGED]:
        parts.append(ngettext("%(num)s was so already", "%(num)s were so already", so))
    if refused := counts[EachOutcome.REFUSED]:
        parts.append(_("%(number)s could not", number=refused))
    if missing:
        parts.append(ngettext("%(num)s is gone", "%(num)s are gone", missing))
    return ", ".join(parts)
