"""One round of a worker's loop: the time it may take, what failed in it, and what is left to the next one.

What a loop does to many things it does through ``each_alone``: a thing whose data nobody can use, or that takes long,
costs the others nothing. Who failed is counted, stands on the System page, and is logged once, not in each round.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from prometheus_client import Counter

from zentry_web.adapters.compute.base import ComputeTimeout, ComputeUnavailable

log = structlog.get_logger(__name__)

ROUND_SECONDS = 20  # less than it takes until a loop counts as stuck
_REMEMBERED = 1000  # items of which it is known that they failed in the round before
_TOLD = 3  # of them by name on the System page
_EVERYBODYS = (ComputeUnavailable, ComputeTimeout)  # no fault of the item's: asking for the next is no use

_failed = Counter("zentry_worker_items_failed_total", "Single things that a loop could not do in a round", ["loop"])
_cut = Counter("zentry_worker_rounds_cut_total", "Rounds that ended at their time with work left", ["loop"])

T = TypeVar("T")
R = TypeVar("R")


@dataclass
class Loop:
    """What one loop remembers between its rounds. ``monotonic`` is for tests."""

    name: str
    seconds: float = ROUND_SECONDS
    monotonic: Callable[[], float] = time.monotonic
    known: dict[str, str] = field(default_factory=dict)  # item → how it failed, in the round before
    places: dict[str, str] = field(default_factory=dict)  # kind of item → the first one left over

    @contextmanager
    def round(self) -> Iterator["Round"]:
        """One round; within it ``each_alone`` keeps to its time."""
        present = Round(self, self.monotonic() + self.seconds)
        token = _present.set(present)
        try:
            yield present
        finally:
            _present.reset(token)
            outer = _present.get()
            if outer is not None:  # a part with a time of its own
                outer.failed |= present.failed
                outer.left += present.left
            seen = present.failed if not present.left else self.known | present.failed
            self.known = dict(list(seen.items())[-_REMEMBERED:])
            if present.left:
                _cut.labels(self.name).inc()
                log.warning("round_cut", loop=self.name, seconds=self.seconds, left=present.left)


@dataclass
class Round:
    """One round that is under way, and then how it went."""

    loop: Loop
    until: float
    failed: dict[str, str] = field(default_factory=dict)
    left: int = 0

    def is_over(self) -> bool:
        """Whether its time has passed."""
        return self.loop.monotonic() >= self.until

    def fail(self, item: str, error: Exception) -> None:
        """``item`` could not be done: logged unless it failed in the same way the round before."""
        text = f"{type(error).__name__}: {error}"[:200]
        self.failed[item] = text
        _failed.labels(self.loop.name).inc()
        if self.loop.known.get(item) != text:
            log.error("item_failed", loop=self.loop.name, item=item, exc_info=error)

    def told(self) -> str:
        """How it went, for the System page; empty when all was done."""
        parts = []
        if self.left:
            parts.append(f"Round cut after {self.loop.seconds:g} s, {self.left} left, goes on next round.")
        if self.failed:
            names = "; ".join(f"{item} ({text})" for item, text in list(self.failed.items())[:_TOLD])
            more = "; …" if len(self.failed) > _TOLD else ""
            parts.append(f"{len(self.failed)} failed and held up no other: {names}{more}")
        return " ".join(parts)


_present: ContextVar[Round | None] = ContextVar("round", default=None)


def is_round_over() -> bool:
    """Whether the time of the round that is under way here has passed."""
    present = _present.get()
    return present is not None and present.is_over()


@contextmanager
def alone(item: str) -> Iterator[None]:
    """What fails within concerns ``item`` only; as ``each_alone``, where nothing is written and little time passes."""
    try:
        yield
    except _EVERYBODYS:
        raise
    except Exception as error:
        present = _present.get()
        if present is None:
            raise
        present.fail(item, error)


def each_alone(what: str, things: Iterable[T], action: Callable[[T], R], name: Callable[[T], str] = str) -> list[R]:
    """Do ``action``, which has transactions of its own, to each of these; the answers of those it could be done to.

    One that fails holds up no other. When the round's time is over the others are left to the next round, which begins
    with them. ``what`` and ``name`` tell of the thing. Raises only what is no fault of a single thing: the hypervisor
    does not answer. Outside a round it is a plain loop.
    """
    present = _present.get()
    if present is None:
        return [action(thing) for thing in things]
    waiting = [(f"{what} {name(thing)}", thing) for thing in things]
    place = present.loop.places.pop(what, None)
    start = next((number for number, (item, _) in enumerate(waiting) if item == place), 0)
    waiting = waiting[start:] + waiting[:start]
    answers = []
    for number, (item, thing) in enumerate(waiting):
        if number and present.is_over():  # one at least: whatever the time, all come to their turn
            present.left += len(waiting) - number
            present.loop.places[what] = item
            break
        try:
            answers.append(action(thing))
        except _EVERYBODYS:
            raise
        except Exception as error:  # bad data of one must not end the round for all
            present.fail(item, error)
    return answers


def each_batch(
    what: str, batches: Iterable[list[T]], action: Callable[[list[T]], R], name: Callable[[T], str] = str
) -> list[R]:
    """Do ``action`` to batches, one transaction each; to those of a batch that fails one by one."""

    def act(batch: list[T]) -> list[R]:
        try:
            return [action(batch)]
        except Exception:
            if len(batch) == 1 or _present.get() is None:
                raise
            return each_alone(what, batch, lambda each: action([each]), name)

    return [answer for found in each_alone(what, batches, act, lambda batch: name(batch[0])) for answer in found]


def steps(what: str, actions: Iterable[tuple[str, Callable[[], object]]]) -> None:
    """Do one after the other; one that fails holds up no other."""
    each_alone(what, actions, lambda step: step[1](), lambda step: step[0])
