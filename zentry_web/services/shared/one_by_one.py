"""One action on many things, each by itself: one that is refused holds up and undoes no other, and all are told of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from zentry_web.services.errors import ServiceError

T = TypeVar("T")


class EachOutcome(StrEnum):
    DONE = "done"
    UNCHANGED = "unchanged"  # it was so already: pressed twice, for one
    WAITS = "waits"  # for a second admin
    REFUSED = "refused"


EachResult = tuple[EachOutcome, str]


@dataclass(frozen=True, slots=True)
class Became(Generic[T]):
    """What became of one of many, and why; ``error`` is what it was refused with."""

    thing: T
    outcome: EachOutcome
    text: str = ""
    error: ServiceError | None = None


def do_each(things: Sequence[T], action: Callable[[T], EachResult], give_way: Callable[[], None]) -> list[Became[T]]:
    """Do ``action``, which has transactions of its own, to each of these; between them others may write."""
    found = []
    for thing in things:
        try:
            found.append(Became(thing, *action(thing)))
        except ServiceError as error:  # of this one's own transaction, which is undone
            found.append(Became(thing, EachOutcome.REFUSED, error.message, error))
        give_way()
    return found


def count_outcomes(results: Sequence[Became[T]]) -> dict[EachOutcome, int]:
    """How many ended in which way."""
    return {outcome: sum(each.outcome == outcome for each in results) for outcome in EachOutcome}
