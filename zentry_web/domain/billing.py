"""Accounts, transfers, and what people are shown of their credits. The rules of usage are in usage.py."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from .usage import MINIMUM_SECONDS, BilledVM, ChargeKind, UsageState
from .vm import ComingPrice

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


SYSTEM_ACCOUNTS = (AccountKind.GRANTS, AccountKind.PAYMENTS, AccountKind.REVENUE, AccountKind.WRITE_OFF)


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
    surcharge_micro_per_hour: int = 0  # the image's part of the running price
    coming: ComingPrice | None = None  # of size and image together, where a change is announced

    @property
    def missing_micro(self) -> int:
        return max(0, self.hold_micro - self.available_micro)


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
    """A VM whose credit ends at ``ends_at``: the worker hands this to VMService.stop_for_credit."""

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
