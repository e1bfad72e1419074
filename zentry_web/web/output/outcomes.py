"""What components/outcomes.html shows: what became of each of many things."""

from collections.abc import Sequence
from typing import Any, TypeVar

from zentry_web.services.shared.one_by_one import Became, EachOutcome, count_outcomes
from zentry_web.web.errors import error_text

T = TypeVar("T")


def outcomes(results: Sequence[Became[T]]) -> dict[str, Any]:
    """``results``, those that were refused first; ``counts`` by outcome; ``whys``: a sentence for each result."""
    ordered = sorted(results, key=lambda each: each.outcome != EachOutcome.REFUSED)
    whys = [error_text(each.error) if each.error else each.text for each in ordered]
    return {"results": ordered, "counts": count_outcomes(results), "whys": whys}
