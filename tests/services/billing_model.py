"""A plain-Python model of usage and money, second by second and by fractions: slow, short and independent.

It shares no code with Zentry. The stateful test compares every charge and balance with it.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo


def price(rate, seconds):
    """Half-even, as Python rounds a Fraction."""
    return round(Fraction(rate * seconds, 3600))


def month_starts(zone):
    """Epoch seconds at which months begin in a zone, around the time of the tests."""
    return {int(datetime(2026 + m // 12, m % 12 + 1, 1, tzinfo=ZoneInfo(zone)).timestamp()) for m in range(9, 20)}


@dataclass
class Stretch:
    """One interval."""

    state: str
    rate: int
    start: int
    cuts: set
    minimum: int
    end: int | None = None

    def charges(self, until):
        """{(kind, from, to, seconds, amount)} due by ``until``: all of them once it has ended."""
        limit = until if self.end is None else self.end
        marks = sorted(
            {t for t in range(self.start - self.start % 3600, limit + 1, 3600) if self.start < t <= limit}
            | {t for t in self.cuts if self.start < t <= limit}
            | ({self.end} if self.end is not None and self.end > self.start else set())
        )
        found, reached = set(), self.start
        for mark in marks:
            found.add(("usage", reached, mark, mark - reached, price(self.rate, mark - reached)))
            reached = mark
        if self.end is not None and self.end - self.start < self.minimum:
            missing = self.minimum - (self.end - self.start)
            found.add(("minimum", self.end, self.end, missing, price(self.rate, missing)))
        return found


@dataclass
class Machine:
    owner: str
    rates: dict
    cuts: set
    stretches: list = field(default_factory=list)
    settled: int = 0  # the model's own note of how far the open stretch has been charged

    @property
    def open(self):
        return self.stretches[-1] if self.stretches and self.stretches[-1].end is None else None

    def earliest(self, at):
        """A report can come too late but not rewrite what was charged."""
        return max([at, self.settled] + [s.end for s in self.stretches if s.end is not None])

    def change(self, state, at, by_person=False):
        at = self.earliest(at)
        minimum = 60 if by_person else 0
        if self.open:
            before = self.open
            before.end = at
            if before.state == state == "running" and not by_person:
                ran = at - before.start
                minimum, before.minimum = max(0, before.minimum - ran), min(before.minimum, ran)
        self.stretches.append(Stretch(state, self.rates[state], at, self.cuts, minimum))
        self.settled = at

    def resize(self, rates, at):
        """The prices of another size: what is open goes on at them from now on."""
        self.rates = rates
        if self.open:
            self.change(self.open.state, at)

    def move(self, at):
        """Another project: cut at the last second at which nothing is rounded."""
        if self.open:
            at = self.earliest(at)
            begin = max([self.open.start, at - at % 3600] + [cut for cut in self.cuts if cut <= at])
            while self.open.rate * (at - begin) % 3600:
                at -= 1
            self.change(self.open.state, at)

    def finish(self, at):
        if self.open:
            self.open.end = self.earliest(at)

    def settle(self, until):
        if self.open:
            ends = [to for _, _, to, _, _ in self.open.charges(until)]
            self.settled = max([self.settled, *ends])

    def charged(self):
        """Every charge that must exist now."""
        found = []
        for stretch in self.stretches:
            found += [(stretch.state, *charge) for charge in stretch.charges(self.settled)]
        return sorted(found)


@dataclass
class Payment:
    """What a payment is worth by what has been told of it, in whatever order."""

    owner: str
    amount: int
    minor: int
    paid: bool = False
    refunded: int = 0
    disputed: int = 0
    won: bool = False

    @property
    def worth(self):
        if not self.paid:
            return 0
        left = self.amount - self.amount * self.refunded // self.minor
        return left - (0 if self.won else min(left, self.amount * self.disputed // self.minor))


def seconds(moment):
    return int(moment.astimezone(UTC).timestamp())
