"""Accounts, transfers, and what people are shown of their credits. The rules of usage are in usage.py."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from zentry_web.domain.credits.budget import CapReached
from zentry_web.domain.credits.landing import PlanLine
from zentry_web.domain.credits.promotions import Promotion, lapsing, left_after
from zentry_web.domain.credits.usage import MINIMUM_SECONDS, BilledVM, ChargeKind, UsageState
from zentry_web.domain.projects.quota import Room
from zentry_web.domain.vms.catalogue import ComingPrice
from zentry_web.domain.vms.vm import Rates

__all__ = [
    "MINIMUM_SECONDS",
    "SYSTEM_ACCOUNTS",
    "AccountKind",
    "Balance",
    "BilledVM",
    "ChargeKind",
    "Check",
    "CreditStop",
    "Quote",
    "Transaction",
    "TransferKind",
    "UsageLine",
    "UsageState",
    "UsageSummary",
    "run_out",
]


class AccountKind(StrEnum):
    WALLET = "wallet"
    HELD = "held"
    GRANTS = "grants"
    PAYMENTS = "payments"
    REVENUE = "revenue"
    WRITE_OFF = "write_off"
    PROMOTIONS = "promotions"  # what was given for promotion comes from here
    PROMO_USED = "promo_used"  # usage that promotions paid: no revenue
    EXPIRED = "expired"  # what was left of promotions when they ended


SYSTEM_ACCOUNTS = (
    AccountKind.GRANTS, AccountKind.PAYMENTS, AccountKind.REVENUE, AccountKind.WRITE_OFF, AccountKind.PROMOTIONS,
    AccountKind.PROMO_USED, AccountKind.EXPIRED,
)  # fmt: skip


class TransferKind(StrEnum):
    GRANT = "grant"  # starting credits or an admin's gift
    DEDUCTION = "deduction"  # taken back by an admin
    HOLD = "hold"  # wallet to held, for a running VM
    RELEASE = "release"  # held to wallet, when it ends
    USAGE = "usage"  # held and wallet to revenue
    VOUCHER = "voucher"  # a code that a person redeemed
    REFUND = "refund"  # revenue back to the wallet, by an admin
    PAYMENT = "payment"  # a payment came in
    PAYMENT_REFUND = "pay_refund"  # a payment was given back: from the wallet, what it lacks from write-offs
    PROMOTION = "promotion"  # promotional credit, by an admin
    EXPIRY = "expiry"  # what was left of a promotion when it ended
    DISPUTE = "dispute"  # the same for a payment questioned at the bank; the other way round once it was won


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
    first_end: PlanLine | None = None  # what the landing plan stops first, looked up in the week before credits end
    last_end: PlanLine | None = None
    promotions: tuple[Promotion, ...] = ()  # that have something left, in the order in which they are used

    @property
    def promo_micro(self) -> int:
        """How much of ``total_micro`` is promotional: it is used first, so seconds not charged yet have used it."""
        return min(self.total_micro, sum(left for _, left in self.open_promotions))

    @property
    def paid_micro(self) -> int:
        """How much of ``total_micro`` is not."""
        return self.total_micro - self.promo_micro

    @property
    def open_promotions(self) -> list[tuple[Promotion, int]]:
        """Promotions with what they have left, seconds not charged yet taken into account."""
        return left_after(self.promotions, self.accrued_micro)

    def lasting_micro(self, burn_micro_per_hour: int) -> int:
        """``total_micro`` less what expires unused if credits are used at that rate."""
        lost = lapsing(self.promotions, self.at, self.accrued_micro, burn_micro_per_hour) if self.promotions else 0
        return max(0, self.total_micro - lost)

    @property
    def total_micro(self) -> int:
        return max(0, self.wallet_micro + self.held_micro - self.accrued_micro)

    @property
    def available_micro(self) -> int:
        """What a new launch may use: held credits are spoken for."""
        return self.wallet_micro

    @property
    def usable_micro(self) -> int:
        """What of ``total_micro`` is not set aside: the wallet, but for what is used and not charged to it yet."""
        return min(self.wallet_micro, self.total_micro)

    @property
    def runs_out_at(self) -> datetime | None:
        """When credits end at the present burn rate; None when nothing burns or it is over 100 years away."""
        return self.runs_out_with(self.burn_micro_per_hour)

    def runs_out_with(self, burn_micro_per_hour: int) -> datetime | None:
        """When credits would end at another burn rate.

        The plan knows better than a division: what runs on its hold lasts a little longer once the wallet pays no
        disks. By as much as it differs now, other rates' ends are put right, too.
        """
        now_burning = self.burn_micro_per_hour
        end = run_out(self.at, self.lasting_micro(burn_micro_per_hour), burn_micro_per_hour)
        divided = run_out(self.at, self.lasting_micro(now_burning), now_burning)
        if end is None or divided is None or self.last_end is None:
            return end
        return max(self.at, end + (self.last_end.at - divided))

    @property
    def is_ending(self) -> bool:
        """Whether credits end within the time at which people are first told of it (landing.RUNWAY_NOTICES)."""
        return self._ends_within(timedelta(days=7))

    @property
    def is_nearly_over(self) -> bool:
        """Whether they end within a day."""
        return self._ends_within(timedelta(days=1))

    def _ends_within(self, span: timedelta) -> bool:
        end = self.runs_out_at
        return end is not None and end - self.at <= span


def run_out(now: datetime, micro: int, burn_micro_per_hour: int) -> datetime | None:
    """When ``micro`` is used up at a burn rate; None when never (or in over 100 years)."""
    if burn_micro_per_hour <= 0:
        return None
    seconds = micro * 3600 // burn_micro_per_hour
    return now + timedelta(seconds=seconds) if seconds < 100 * 365 * 86400 else None


@dataclass(frozen=True, slots=True)
class Quote:
    """What a launch would cost and how long credits would last after it."""

    running_micro_per_hour: int  # of one machine
    stopped_micro_per_hour: int
    month_micro: int  # of all together, as what follows
    hold_micro: int
    available_micro: int
    burn_after_micro_per_hour: int
    runs_out_at: datetime | None
    surcharge_micro_per_hour: int = 0  # the image's part of the running price
    runs_out_before: datetime | None = None  # without this launch
    coming: ComingPrice | None = None  # of size and image together, where a change is announced
    count: int = 1  # machines

    @property
    def rates(self) -> Rates:
        """What all of them together cost per hour."""
        return Rates(self.running_micro_per_hour * self.count, self.stopped_micro_per_hour * self.count)

    @property
    def missing_micro(self) -> int:
        return max(0, self.hold_micro - self.available_micro)


@dataclass(frozen=True, slots=True)
class LaunchQuote:
    """What a launch would cost whom. ``quote`` holds the payer's funds."""

    quote: Quote
    payer_name: str
    is_own: bool
    room: Room  # what quotas leave there
    cap: CapReached | None = None  # why the project's budget lets it not begin


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transfer as its wallet's owner sees it: amount and balance are of wallet and held together."""

    id: str
    at: datetime
    kind: TransferKind
    amount_micro: int
    balance_after_micro: int
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
class CreditStop:
    """A VM whose credit ends at ``ends_at``: the worker hands this to VMService.landing."""

    vm_id: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Check:
    """One line of ``zentry verify``. Not ``live``: no look at a database can tell, only a test can."""

    id: str
    title: str
    ok: bool
    detail: str
    milliseconds: int
    live: bool = True

    @property
    def verdict(self) -> str:
        if not self.live:
            return "by test only"
        return "ok" if self.ok else "BREACH"
