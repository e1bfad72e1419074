"""Bills that can be recomputed: charges with everything they were worked out from. Pure rules, no I/O."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from itertools import groupby

from zentry_web.domain.credits.usage import ChargeKind, ChargeLine, Interval, charge_lines, seconds_between
from zentry_web.domain.event import Event
from zentry_web.domain.money import cost

MICRO_DECIMALS = 6


def shown_amounts(amounts: Sequence[int], decimals: int) -> list[int]:
    """``amounts`` (micro-credits) rounded to ``decimals`` so that they add up to their rounded sum.

    Largest remainder: each is cut down, and the units still missing go to those that lost most (the first of
    equals). Amounts are not negative. The answer is in micro-credits again.
    """
    unit = 10 ** (MICRO_DECIMALS - decimals)
    cut = [amount // unit for amount in amounts]
    total = shown_total(amounts, decimals) // unit
    order = sorted(range(len(cut)), key=lambda i: (-(amounts[i] % unit), i))
    for i in order[: total - sum(cut)]:
        cut[i] += 1
    return [part * unit for part in cut]


def shown_total(amounts: Iterable[int], decimals: int) -> int:
    """The sum rounded half up to ``decimals``, in micro-credits."""
    unit: int = 10 ** (MICRO_DECIMALS - decimals)
    return (sum(amounts) + unit // 2) // unit * unit


@dataclass(frozen=True, slots=True)
class BillInterval:
    """An interval as a bill shows it: what it was, what it is worked out from, and what opened and closed it."""

    interval: Interval
    vm_name: str
    project_name: str
    size_name: str
    price_version: int
    opened_by: str
    closed_by: str | None
    charged_seconds: int  # of the charges in the bill; minimum lines not counted
    charged_micro: int
    accrued_micro: int = 0  # used since the last charge
    image_name: str = ""
    image_price_version: int | None = None  # None: the image adds nothing
    surcharge_micro_per_hour: int = 0
    accrued_seconds: int = 0
    minimum_seconds: int = 0  # charged beyond what was used, to the minimum
    first: datetime | None = None  # the second of the period from which on it is charged, and the one up to which
    last: datetime | None = None
    stored_name: str = ""  # of what was stored of the machine; then ``size_name`` is its kind

    @property
    def used_seconds(self) -> int:
        """The seconds that ``total_micro`` is for; minimum lines not counted."""
        return self.charged_seconds + self.accrued_seconds

    @property
    def total_micro(self) -> int:
        return self.charged_micro + self.accrued_micro

    @property
    def size_micro_per_hour(self) -> int:
        """The size's part of the rate; the image's surcharge is the rest."""
        return self.interval.rate_micro_per_hour - self.surcharge_micro_per_hour

    @property
    def price_name(self) -> str:
        """The versions that the rate is made of: ``small v7`` or ``small v7 + Debian v2``."""
        size = f"{self.size_name} v{self.price_version}"
        return size if self.image_price_version is None else f"{size} + {self.image_name} v{self.image_price_version}"

    @property
    def goes_on(self) -> bool:
        return self.interval.end is None


@dataclass(frozen=True, slots=True)
class BillCharge:
    """One charge with all its inputs: amount = rate × seconds ÷ 3600, rounded half to even."""

    of: BillInterval
    line: ChargeLine
    transfer_id: str

    @property
    def recomputed_micro(self) -> int:
        return cost(self.of.interval.rate_micro_per_hour, self.line.seconds)

    @property
    def agrees(self) -> bool:
        """Whether amount and seconds are what they must be."""
        if self.line.kind == ChargeKind.USAGE and self.line.seconds != seconds_between(self.line.start, self.line.end):
            return False
        return self.recomputed_micro == self.line.amount


@dataclass(frozen=True, slots=True)
class ChargedDay:
    """The charges that begin on one day, newest first."""

    day: date
    charges: tuple[BillCharge, ...]

    @property
    def seconds(self) -> int:
        return sum(charge.line.seconds for charge in self.charges)

    @property
    def micro(self) -> int:
        return sum(charge.line.amount for charge in self.charges)


def charges_by_day(charges: Sequence[BillCharge], zone: tzinfo) -> list[ChargedDay]:
    """Charges in order of time as days of ``zone``, newest first."""
    groups = groupby(reversed(charges), lambda charge: charge.line.start.astimezone(zone).date())
    return [ChargedDay(day, tuple(group)) for day, group in groups]


@dataclass(frozen=True, slots=True)
class OpenedInterval:
    """One interval, opened: its charges and the events at its two ends."""

    bill: BillInterval
    charges: tuple[BillCharge, ...]
    opened: Event | None
    closed: Event | None
    start: datetime | None = None  # only the charges that begin in [start, end) were asked for
    end: datetime | None = None

    @property
    def total_micro(self) -> int:
        return sum(charge.line.amount for charge in self.charges)

    @property
    def replays(self) -> bool:
        """Whether working the interval out again from its facts alone gives these charges, one by one."""
        wanted = [line for line in replay(self.bill.interval) if self._asked_for(line.start)]
        return wanted == [charge.line for charge in self.charges]

    @property
    def agrees(self) -> bool:
        return self.replays and all(charge.agrees for charge in self.charges)

    def _asked_for(self, moment: datetime) -> bool:
        return (self.start is None or moment >= self.start) and (self.end is None or moment < self.end)


@dataclass(frozen=True, slots=True)
class OpenedTransfer:
    """A payment for usage, opened into its charges, and how it was paid."""

    id: str
    at: datetime
    charges: tuple[BillCharge, ...]
    paid_micro: int  # out of wallet and held
    written_off_micro: int

    @property
    def total_micro(self) -> int:
        return sum(charge.line.amount for charge in self.charges)

    @property
    def agrees(self) -> bool:
        all_agree = all(charge.agrees for charge in self.charges)
        return all_agree and self.total_micro == self.paid_micro + self.written_off_micro


def replay(interval: Interval) -> list[ChargeLine]:
    """The charges that an interval's facts (start, end, rate, minimum, zone) lead to, up to where it is settled."""
    return charge_lines(dataclasses.replace(interval, settled_until=interval.start), interval.settled_until)


@dataclass(frozen=True, slots=True)
class Bill:
    """The intervals of a period. ``total_micro`` is the sum of its lines and nothing else."""

    start: datetime
    end: datetime
    lines: tuple[BillInterval, ...]
    more: bool = False  # there are more intervals than were asked for

    @property
    def total_micro(self) -> int:
        return sum(line.total_micro for line in self.lines)


@dataclass(frozen=True, slots=True)
class SpendGroup:
    """What one VM, project, size or day cost in a period."""

    key: str
    name: str
    amount_micro: int
    running_seconds: int = 0
    stopped_seconds: int = 0
    note: str = ""  # a VM's project: names are unique within one only


@dataclass(frozen=True, slots=True)
class PeriodSpend:
    """A period's cost, four times the same sum."""

    start: datetime
    end: datetime
    by_vm: tuple[SpendGroup, ...]
    by_project: tuple[SpendGroup, ...]
    by_size: tuple[SpendGroup, ...]
    by_day: tuple[SpendGroup, ...]  # every day of the period, in order

    @property
    def total_micro(self) -> int:
        return sum(group.amount_micro for group in self.by_vm)
