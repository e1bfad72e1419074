"""Usage: intervals, the fixed points that cut them into charges, holds and their renewal. Pure rules (ADR 0004)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from math import gcd
from typing import Any, Protocol

from zentry_web.domain.money import SECONDS_PER_HOUR, cost
from zentry_web.domain.zones import zone_of

MINIMUM_SECONDS = 60  # every start by a person pays for at least this long
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENTS = 4096  # a settlement asks about the same few hours for every VM


class UsageState(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    SNAPSHOT = "snapshot"  # these three are of things stored beside a machine (storage.py)
    IMAGE = "image"
    BACKUP = "backup"


class ChargeKind(StrEnum):
    USAGE = "usage"
    MINIMUM = "minimum"


def whole_second(moment: datetime) -> datetime:
    """Billing counts whole seconds: the second that ``moment`` lies in."""
    return moment.astimezone(UTC).replace(microsecond=0)


@lru_cache(_MOMENTS)
def month_start(moment: datetime, zone: str = "UTC") -> datetime:
    """The first instant (UTC) of the month that ``moment`` lies in, in the account's time zone."""
    local = moment.astimezone(zone_of(zone))
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)


def day_start(moment: datetime, zone: str = "UTC") -> datetime:
    """The first instant (UTC) of the day that ``moment`` lies in, in that time zone."""
    local = moment.astimezone(zone_of(zone))
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)


@lru_cache(_MOMENTS)
def next_month_start(moment: datetime, zone: str = "UTC") -> datetime:
    """The first instant (UTC) of the month after the one that ``moment`` lies in."""
    local = moment.astimezone(zone_of(zone)).replace(day=1)
    later = (local + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    return later.astimezone(UTC)


@lru_cache(_MOMENTS)
def local_month(moment: datetime, zone: str = "UTC") -> str:
    """The month that ``moment`` lies in, in that time zone: ``'2026-11'``."""
    return f"{moment.astimezone(zone_of(zone)):%Y-%m}"


def hour_start(moment: datetime) -> datetime:
    """The whole UTC hour at or before ``moment``."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def last_cut(start: datetime, until: datetime, zone: str = "UTC") -> datetime:
    """The last fixed cut point in [start, until]; ``start`` when none lies between."""
    return max(start, hour_start(until), month_start(until, zone))


def pieces(start: datetime, end: datetime, zone: str = "UTC") -> Iterator[tuple[datetime, datetime]]:
    """[start, end) cut at every fixed point inside it, in order."""
    month = next_month_start(start, zone)
    while start < end:
        if start >= month:
            month = next_month_start(start, zone)
        cut = min(hour_start(start) + HOUR, month, end)
        yield start, cut
        start = cut


def seconds_between(start: datetime, end: datetime) -> int:
    """Whole seconds from ``start`` to ``end``."""
    return (end - start) // SECOND


def charges_cost(rate_micro_per_hour: int, start: datetime, end: datetime, zone: str = "UTC") -> int:
    """Micro-credits that the charges over [start, end) will add up to, each piece rounded on its own."""
    return sum(cost(rate_micro_per_hour, seconds_between(a, b)) for a, b in pieces(start, end, zone))


def affordable_until(
    rate_micro_per_hour: int, start: datetime, latest: datetime, micro: int, zone: str = "UTC"
) -> datetime:
    """The latest whole second up to ``latest`` such that charges over [start, it) cost at most ``micro``."""
    low, high = 0, max(0, seconds_between(start, latest))
    if charges_cost(rate_micro_per_hour, start, latest, zone) <= micro:
        low = high
    while low < high:
        middle = (low + high + 1) // 2
        if charges_cost(rate_micro_per_hour, start, start + middle * SECOND, zone) <= micro:
            low = middle
        else:
            high = middle - 1
    return start + low * SECOND


class _VMRow(Protocol):
    """A VM's row, as far as billing is concerned."""

    id: Any
    owner_id: Any
    project_id: Any
    price_version_id: Any
    running_micro_per_hour: Any
    stopped_micro_per_hour: Any
    image_price_version_id: Any


@dataclass(frozen=True, slots=True)
class BilledVM:
    """What billing needs to know of a VM."""

    vm_id: str
    owner_id: str
    project_id: str
    price_version_id: str
    running_micro_per_hour: int  # the size's price and the image's surcharge
    stopped_micro_per_hour: int
    image_price_version_id: str | None = None

    @classmethod
    def of(cls, vm: _VMRow) -> "BilledVM":
        """What a VM's row holds of it."""
        return cls(
            vm.id, vm.owner_id, vm.project_id, vm.price_version_id,
            vm.running_micro_per_hour, vm.stopped_micro_per_hour, vm.image_price_version_id,
        )  # fmt: skip

    def rate(self, state: UsageState) -> int:
        """Micro-credits per hour in that state."""
        return self.running_micro_per_hour if state == UsageState.RUNNING else self.stopped_micro_per_hour


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time that a VM spent in one billed state: [start, end), charged up to ``settled_until``.

    ``minimum_seconds`` is what is paid for at least: 60 after a start by a person, what is left of it when a
    run goes on in another interval, else 0. ``zone`` is the account's time zone when the interval opened.
    """

    id: str
    vm_id: str
    owner_id: str
    project_id: str
    state: UsageState
    rate_micro_per_hour: int
    start: datetime
    end: datetime | None
    settled_until: datetime
    minimum_seconds: int
    zone: str
    stored_id: str | None = None  # what was stored; None: it is the machine's own time

    @property
    def seconds_missing(self) -> int:
        """Seconds of the minimum that a closed interval fell short of."""
        return max(0, self.minimum_seconds - seconds_between(self.start, self.end)) if self.end else 0

    def earliest_end(self, moment: datetime) -> datetime:
        """``moment`` as a whole second, never before what is charged already (a clock may have stepped back)."""
        return max(whole_second(moment), self.settled_until)

    def closed(self, end: datetime, *, charge_minimum: bool) -> "Interval":
        """The interval closed at ``end``. Without ``charge_minimum`` nothing is added up to the minimum: the run goes
        on in another interval."""
        minimum = self.minimum_seconds
        if not charge_minimum:
            minimum = min(minimum, seconds_between(self.start, end))
        return replace(self, end=end, minimum_seconds=minimum)


def exact_cut(interval: Interval, moment: datetime) -> datetime:
    """The last second by ``moment`` at which an open interval can be cut without rounding: the charges of both parts
    add up to those of the whole. At the latest fixed cut at least it can; at round prices some seconds before."""
    latest = interval.earliest_end(moment)
    begin = last_cut(interval.settled_until, latest, interval.zone)
    step = SECONDS_PER_HOUR // gcd(interval.rate_micro_per_hour, SECONDS_PER_HOUR)
    return begin + seconds_between(begin, latest) // step * step * SECOND


@dataclass(frozen=True, slots=True)
class ChargeLine:
    """What [start, end) of an interval costs; a minimum line lies at the interval's end and covers no time."""

    kind: ChargeKind
    start: datetime
    end: datetime
    seconds: int
    amount: int


def charge_lines(interval: Interval, until: datetime, *, most: int | None = None) -> list[ChargeLine]:
    """The charges of an interval that are due by ``until`` and not yet made, at most ``most`` of them.

    An open interval is charged up to the last fixed cut by then, a closed one to its end, followed by a line
    for the rest of the minimum. However often and whenever this is asked, the lines are the same.
    """
    end = interval.end or last_cut(interval.settled_until, until, interval.zone)
    rate = interval.rate_micro_per_hour
    lines = []
    for a, b in islice(pieces(interval.settled_until, end, interval.zone), most):
        seconds = seconds_between(a, b)
        lines.append(ChargeLine(ChargeKind.USAGE, a, b, seconds, cost(rate, seconds)))
    missing = interval.seconds_missing
    if missing and (most is None or len(lines) < most):
        lines.append(ChargeLine(ChargeKind.MINIMUM, end, end, missing, cost(rate, missing)))
    return lines


@dataclass(frozen=True, slots=True)
class Paid:
    """Where the credits of one charge come from."""

    hold: int
    wallet: int
    write_off: int


def pay(amount: int, *, hold: int, wallet: int) -> Paid:
    """``amount`` from the hold, then the wallet; only what neither has is written off."""
    from_hold = min(amount, hold)
    from_wallet = min(amount - from_hold, wallet)
    return Paid(from_hold, from_wallet, amount - from_hold - from_wallet)


@dataclass(frozen=True, slots=True)
class OpenHold:
    """Credits set aside for a running VM, with what its interval says about the seconds they are for."""

    id: str
    vm_id: str
    rate_micro_per_hour: int
    remaining: int
    paid_until: datetime
    settled_until: datetime
    zone: str
    importance: int = 0


@dataclass(frozen=True, slots=True)
class Renewal:
    """What a hold gets out of the wallet, and the second it lasts to then."""

    hold: OpenHold
    move: int
    paid_until: datetime


def plan_renewals(
    holds: Iterable[OpenHold], wallet: int, now: datetime, window: timedelta, *, others: Iterable[OpenHold] = ()
) -> list[Renewal]:
    """Extend holds to a whole window from now as far as one wallet goes, the most important first, then the one that
    ends first.

    A hold that the wallet cannot extend so far gets as many whole seconds as there are credits for. None is
    ever shortened. ``others`` are holds that need nothing yet: a less important one does not get what those will need
    for the same time.
    """
    renewals = []
    target = whole_second(now + window)
    waiting = sorted(others, key=lambda hold: -hold.importance)
    for hold in sorted(holds, key=lambda hold: (-hold.importance, hold.paid_until, hold.id)):
        while waiting and waiting[0].importance > hold.importance:
            other = waiting.pop(0)
            wallet -= cost(other.rate_micro_per_hour, max(0, seconds_between(other.paid_until, target)))
        if hold.rate_micro_per_hour == 0:  # what costs nothing needs nothing, however much is set aside for others
            renewals.append(Renewal(hold, 0, max(hold.paid_until, target)))
            continue
        if wallet <= 0:  # what the hold has left reaches to where it lasts already
            renewals.append(Renewal(hold, 0, hold.paid_until))
            continue
        reached = affordable_until(
            hold.rate_micro_per_hour, hold.settled_until, target, hold.remaining + wallet, hold.zone
        )
        if reached <= hold.paid_until:
            renewals.append(Renewal(hold, 0, hold.paid_until))
            continue
        needed = charges_cost(hold.rate_micro_per_hour, hold.settled_until, reached, hold.zone) - hold.remaining
        move = max(0, needed)
        wallet -= move
        renewals.append(Renewal(hold, move, reached))
    return renewals
