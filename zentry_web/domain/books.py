"""The admin's books: what the ledger browser shows, requests that need a second admin, refunds, sums per day."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from .billing import AccountKind, Check, TransferKind
from .bills import BillCharge

DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
APPROVAL_TIME = timedelta(days=7)  # how long a request waits for a second admin
LATE = timedelta(minutes=15)  # charges are made right after the whole hour; later ones had to wait for a worker


@dataclass(frozen=True, slots=True)
class LedgerFilter:
    """Which transfers are wanted; '' and None: all. Amounts are micro-credits, the period is [start, end)."""

    person: str = ""  # id or e-mail address
    kind: str = ""
    account: str = ""  # kind of account that an entry is on
    actor: str = ""  # id or e-mail address
    text: str = ""  # in the reason
    least: int | None = None
    most: int | None = None
    start: datetime | None = None
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """One transfer in the browser; ``amount_micro`` is what its gaining side gained."""

    seq: int
    id: str
    at: datetime
    kind: TransferKind
    amount_micro: int
    reason: str
    owner_id: str
    owner_email: str
    actor_id: str
    actor_name: str


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One side of a transfer."""

    account_id: str
    account: AccountKind
    owner_email: str
    seq: int
    amount_micro: int
    balance_after_micro: int


@dataclass(frozen=True, slots=True)
class LedgerTransfer:
    """A transfer, opened: its entries, and what was used or refunded by it."""

    row: LedgerRow
    idempotency_key: str
    entries: tuple[LedgerEntry, ...]
    charges: tuple[BillCharge, ...]
    refunded_micro: int  # of the charges, up to now
    approval_id: str | None


class ApprovalOutcome(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Approval:
    """Credits that one admin asked to move and a second one must agree to."""

    id: str
    kind: TransferKind
    user_id: str
    amount_micro: int
    reason: str
    target: str
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    outcome: ApprovalOutcome
    decided_by: str | None
    decided_at: datetime | None
    transfer_id: str | None
    user_email: str = ""
    asked_by_name: str = ""
    decided_by_name: str = ""

    @property
    def is_open(self) -> bool:
        return self.outcome == ApprovalOutcome.PENDING

    def gains(self, user_id: str) -> bool:
        """Whether that person's wallet grows by it: then they may not agree to it."""
        return user_id == self.user_id and self.kind != TransferKind.DEDUCTION

    def as_of(self, now: datetime) -> "Approval":
        """The request as it stands at ``now``: one that waited too long has expired."""
        return replace(self, outcome=ApprovalOutcome.EXPIRED) if self.is_open and now >= self.expires_at else self


def needs_second(amount: int, given_lately: int, threshold: int) -> bool:
    """Whether ``amount``, with what the same admin moved for the same person lately, needs a second admin."""
    return amount + given_lately > threshold


@dataclass(frozen=True, slots=True)
class Batch:
    """Grants to many people at once. Each has a key of its own; the second admin's rule looks at the sum of all."""

    key: str
    count: int
    total_micro: int

    def key_of(self, user_id: str) -> str:
        """The idempotency key of one of its grants."""
        return f"{BATCH_KEYS}{self.key}:{user_id}"


BATCH_KEYS = "batch:"  # what the keys of grants in batches begin with


@dataclass(frozen=True, slots=True)
class Refundable:
    """A charge as far as refunds go: what was paid of it, and what has been given back."""

    interval_id: str
    from_at: datetime
    kind: str
    paid_micro: int
    refunded_micro: int

    @property
    def left_micro(self) -> int:
        return max(0, self.paid_micro - self.refunded_micro)


def spread_refund(charges: list[Refundable], amount: int) -> list[tuple[Refundable, int]]:
    """Which charges a refund of ``amount`` gives back, the latest first. Never more of one than it has left."""
    parts = []
    for charge in sorted(charges, key=lambda each: (each.from_at, each.interval_id, each.kind), reverse=True):
        part = min(amount, charge.left_micro)
        if part:
            parts.append((charge, part))
            amount -= part
    return parts


@dataclass(frozen=True, slots=True)
class WriteOff:
    """Usage that nobody paid for."""

    seq: int  # of the entry: lists page by it
    at: datetime
    transfer_id: str
    owner_id: str
    owner_email: str
    vm_id: str | None
    vm_name: str
    interval_id: str | None
    amount_micro: int
    why: str


def why_written_off(kind: str, posted: datetime, until: datetime | None) -> str:
    """In words why credits were written off: by a transfer of that kind, for usage up to ``until``."""
    if kind != TransferKind.USAGE or until is None:
        return "Taken back by the payment provider"
    if posted - until > LATE:
        return "The worker was away or a host did not answer: charged too late"
    return "Nobody could pay: wallet and hold were empty"


def day_number(moment: datetime) -> int:
    """The UTC day that ``moment`` lies in, counted from 1970."""
    return (moment - EPOCH) // DAY


def day_start(number: int) -> datetime:
    """The first moment of a UTC day."""
    return EPOCH + number * DAY


@dataclass(frozen=True, slots=True)
class BookDay:
    """What one UTC day brought, and what wallets and holds had at its end (Zentry's liability)."""

    day: datetime
    usage_micro: int = 0
    grants_micro: int = 0  # less deductions
    payments_micro: int = 0
    refunds_micro: int = 0
    write_offs_micro: int = 0
    liability_micro: int = 0


@dataclass(frozen=True, slots=True)
class VerifyRun:
    """A run of the ledger's checks."""

    id: str
    at: datetime
    took_ms: int
    ok: bool
    lines: tuple[Check, ...]

    def is_stale(self, now: datetime) -> bool:
        """Whether it is too old to be relied on: checks run every hour."""
        return now - self.at > timedelta(hours=2)
