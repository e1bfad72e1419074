"""What usage costs: intervals, cut points, charges, holds. Pure rules; sources in docs/adr/0004."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from .money import cost

MINIMUM_SECONDS = 60  # every start by a person pays for at least this long
HOUR = timedelta(hours=1)


class UsageState(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"


class AccountKind(StrEnum):
    WALLET = "wallet"
    HELD = "held"
    GRANTS = "grants"
    PAYMENTS = "payments"
    REVENUE = "revenue"
    WRITE_OFF = "write_off"


SYSTEM_ACCOUNTS = (AccountKind.GRANTS, AccountKind.PAYMENTS, AccountKind.REVENUE, AccountKind.WRITE_OFF)


class TransferKind(StrEnum):
    GRANT = "grant"  # starting credits or an admin's gift
    DEDUCTION = "deduction"  # taken back by an admin
    HOLD = "hold"  # wallet to held, for a running VM
    RELEASE = "release"  # held to wallet, when it ends
    USAGE = "usage"  # held and wallet to revenue


class ChargeKind(StrEnum):
    USAGE = "usage"
    MINIMUM = "minimum"


def whole_second(moment: datetime) -> datetime:
    """Billing counts whole seconds: the second that ``moment`` lies in."""
    return moment.astimezone(UTC).replace(microsecond=0)


def month_start(moment: datetime, zone: str = "UTC") -> datetime:
    """The first instant (UTC) of the month that ``moment`` lies in, in the account's time zone."""
    local = moment.astimezone(ZoneInfo(zone))
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0).astimezone(UTC)


def next_month_start(moment: datetime, zone: str = "UTC") -> datetime:
    """The first instant (UTC) of the month after the one that ``moment`` lies in."""
    local = moment.astimezone(ZoneInfo(zone)).replace(day=1)
    later = (local + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    return later.astimezone(UTC)


def next_cut(moment: datetime, zone: str = "UTC") -> datetime:
    """The first fixed cut point after ``moment``: the next whole UTC hour or the account's month boundary.

    Charges are cut at these points only, never at the moment the biller runs, so rounding does not
    depend on when it runs.
    """
    hour = moment.replace(minute=0, second=0, microsecond=0) + HOUR
    return min(hour, next_month_start(moment, zone))


def pieces(start: datetime, end: datetime, zone: str = "UTC") -> Iterator[tuple[datetime, datetime]]:
    """[start, end) cut at every fixed point inside it, in order."""
    while start < end:
        cut = min(next_cut(start, zone), end)
        yield start, cut
        start = cut


def last_cut(start: datetime, until: datetime, zone: str = "UTC") -> datetime:
    """The last fixed cut point in [start, until]; ``start`` when none lies between."""
    reached = start
    for _, piece_end in pieces(start, until, zone):
        if piece_end == next_cut(reached, zone):
            reached = piece_end
    return reached


def seconds_between(start: datetime, end: datetime) -> int:
    """Whole seconds from ``start`` to ``end``."""
    return int((end - start) // timedelta(seconds=1))


def charges_cost(rate_micro_per_hour: int, start: datetime, end: datetime, zone: str = "UTC") -> int:
    """Micro-credits that the charges over [start, end) will add up to, each piece rounded on its own."""
    return sum(cost(rate_micro_per_hour, seconds_between(a, b)) for a, b in pieces(start, end, zone))


def minimum_cost(rate_micro_per_hour: int, seconds: int) -> int:
    """The extra line of a run shorter than a minute: what is missing to 60 s; 0 for longer runs."""
    return cost(rate_micro_per_hour, max(0, MINIMUM_SECONDS - seconds))


def affordable_until(
    rate_micro_per_hour: int, start: datetime, latest: datetime, micro: int, zone: str = "UTC"
) -> datetime:
    """The latest whole second up to ``latest`` such that charges over [start, it) cost at most ``micro``."""
    low, high = 0, max(0, seconds_between(start, latest))
    while low < high:
        middle = (low + high + 1) // 2
        if charges_cost(rate_micro_per_hour, start, start + timedelta(seconds=middle), zone) <= micro:
            low = middle
        else:
            high = middle - 1
    return start + timedelta(seconds=low)


@dataclass(frozen=True, slots=True)
class Balance:
    """A person's credits at one moment, to the second.

    ``wallet`` and ``held`` are the ledger's; ``accrued`` is what running seconds have used since the
    last settlement. ``total`` is what is shown.
    """

    at: datetime
    wallet_micro: int
    held_micro: int
    accrued_micro: int
    burn_micro_per_hour: int

    @property
    def total_micro(self) -> int:
        return max(0, self.wallet_micro + self.held_micro - self.accrued_micro)

    @property
    def available_micro(self) -> int:
        """What a new launch may use: held credits are spoken for."""
        return self.wallet_micro

    @property
    def runs_out_at(self) -> datetime | None:
        """When credits end at the present burn rate; None when nothing burns or it is over 100 years away."""
        return run_out(self.at, self.total_micro, self.burn_micro_per_hour)


def run_out(now: datetime, micro: int, burn_micro_per_hour: int) -> datetime | None:
    """When ``micro`` is used up at a burn rate; None when never (or in over 100 years)."""
    if burn_micro_per_hour <= 0:
        return None
    seconds = micro * 3600 // burn_micro_per_hour
    return now + timedelta(seconds=seconds) if seconds < 100 * 365 * 86400 else None


@dataclass(frozen=True, slots=True)
class Quote:
    """What a launch would cost and how long credits would last after it."""

    running_micro_per_hour: int
    stopped_micro_per_hour: int
    month_micro: int
    hold_micro: int
    available_micro: int
    burn_after_micro_per_hour: int
    runs_out_at: datetime | None

    @property
    def missing_micro(self) -> int:
        return max(0, self.hold_micro - self.available_micro)


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transfer as its wallet's owner sees it: ``amount_micro`` is the change of wallet and held together."""

    id: str
    at: datetime
    kind: TransferKind
    amount_micro: int
    wallet_after_micro: int | None
    reason: str
    actor_id: str
    vm_id: str | None
    vm_name: str


@dataclass(frozen=True, slots=True)
class UsageLine:
    """What one VM used and cost in a period."""

    vm_id: str
    vm_name: str
    project_id: str
    deleted: bool
    running_seconds: int
    stopped_seconds: int
    amount_micro: int  # settled charges plus what has accrued since


@dataclass(frozen=True, slots=True)
class UsageSummary:
    start: datetime
    end: datetime
    lines: tuple[UsageLine, ...]

    @property
    def total_micro(self) -> int:
        return sum(line.amount_micro for line in self.lines)


@dataclass(frozen=True, slots=True)
class BilledVM:
    """What billing needs to know of a VM."""

    vm_id: str
    owner_id: str
    project_id: str
    price_version_id: str
    running_micro_per_hour: int
    stopped_micro_per_hour: int

    def rate(self, state: UsageState) -> int:
        """Micro-credits per hour in that state."""
        return self.running_micro_per_hour if state == UsageState.RUNNING else self.stopped_micro_per_hour


@dataclass(frozen=True, slots=True)
class CreditStop:
    """A VM whose credit ends at ``ends_at``: the worker hands this to VMService.stop_for_credit."""

    vm_id: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Check:
    """One line of ``zentry verify``."""

    id: str
    title: str
    ok: bool
    detail: str
    milliseconds: int
