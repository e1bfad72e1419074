"""The admin's books: what the ledger browser shows, requests that need a second admin, refunds, sums per day."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from zentry_web.domain.credits.billing import AccountKind, Check, TransferKind
from zentry_web.domain.credits.bills import BillCharge
from zentry_web.domain.language import _, lazy
from zentry_web.domain.money import format_credits

DAY = timedelta(days=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
APPROVAL_TIME = timedelta(days=7)  # how long a request waits for a second admin
LATELY = timedelta(hours=24)  # what an admin moved within it counts together
LATE = timedelta(minutes=15)  # charges are made right after the whole hour; later ones had to wait for a worker


@dataclass(frozen=True, slots=True)
class LedgerFilter:
    """Which transfers are wanted; '' and None: all. Amounts are micro-credits, the period is [start, end)."""

    person: str = ""  # id or e-mail address
    kind: str = ""
    account: str = ""  # kind of account that an entry is on
    actor: str = ""  # id or e-mail address
    text: str = ""  # words in the reason
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


# What came of a request has the request's id in its own.
APPROVED_TRANSFER, APPROVED_BATCH, APPROVED_REFUND = "approval:apr_", "vb_apr_", "ref_apr_"


class MoveKind(StrEnum):
    """The ways in which an admin creates or moves credits or money."""

    GRANT = "grant"
    PROMOTION = "promotion"
    DEDUCTION = "deduction"
    REFUND = "refund"  # of what was charged
    PAYMENT = "payment"  # a payment is given back
    VOUCHERS = "vouchers"
    SETTING = "setting"  # of what others get by themselves, or of the limit itself


GIVING = (MoveKind.GRANT, MoveKind.PROMOTION, MoveKind.REFUND, MoveKind.VOUCHERS)
TO_NOBODY = (MoveKind.DEDUCTION, MoveKind.VOUCHERS, MoveKind.SETTING)  # no certain person gains by these


@dataclass(frozen=True, slots=True)
class Move:
    """What an admin is about to do with credits or money."""

    kind: MoveKind
    user_id: str  # whose wallet or payment; the admin's own where it is nobody's
    amount_micro: int  # the most that it can come to
    reason: str
    target: str = ""  # of a refund what was charged, else the payment or the setting
    terms: Mapping[str, Any] = field(default_factory=dict)  # what else is needed to do it

    def gains(self, user_id: str) -> bool:
        """Whether that person has more by it: then they may neither do it alone nor agree to it."""
        return user_id == self.user_id and self.kind not in TO_NOBODY


@dataclass(frozen=True, slots=True)
class ByHand:
    """Credits that somebody asks to move. ``target``: of a refund, 'transfer:ID' or 'interval:ID'; ``expires_at``: of
    promotional credit, None where it stays."""

    user_id: str
    kind: TransferKind
    amount: int
    reason: str
    target: str = ""
    expires_at: datetime | None = None

    @property
    def move(self) -> Move:
        """The same, to be weighed."""
        terms = {"expires_at": self.expires_at.isoformat()} if self.expires_at else {}
        return Move(MoveKind(self.kind), self.user_id, self.amount, self.reason, self.target, terms)

    @classmethod
    def of(cls, move: Move) -> "ByHand":
        """What ``move`` was made from."""
        end = move.terms.get("expires_at")
        moment = datetime.fromisoformat(end) if end else None
        return cls(move.user_id, TransferKind(move.kind), move.amount_micro, move.reason, move.target, moment)


@dataclass(frozen=True, slots=True)
class Approval:
    """What one admin asked for and a second one must agree to."""

    id: str
    move: Move
    asked_by: str
    asked_at: datetime
    expires_at: datetime
    outcome: ApprovalOutcome
    decided_by: str | None
    decided_at: datetime | None
    transfer_id: str | None  # what agreeing posted, where that is one transfer
    user_email: str = ""
    asked_by_name: str = ""
    decided_by_name: str = ""

    @property
    def is_open(self) -> bool:
        return self.outcome == ApprovalOutcome.PENDING

    @property
    def is_about_a_person(self) -> bool:
        return self.move.kind not in (MoveKind.VOUCHERS, MoveKind.SETTING)

    @property
    def batch_id(self) -> str:
        """Of vouchers: the batch that it becomes."""
        return f"vb_{self.id}"

    @property
    def refund_id(self) -> str:
        """Of a payment given back: the refund that it becomes."""
        return f"ref_{self.id}"

    @property
    def what(self) -> str:
        """What is asked for, in words that go on after 'Your request for'; lazily, for whoever reads them."""
        terms, kind = self.move.terms, self.move.kind
        if kind == MoveKind.VOUCHERS:
            count, each = f"{terms['count']:,}", format_credits(terms["value_micro"])
            if terms["uses"] == 1:
                return lazy("%(count)s × a voucher of %(credits)s credits", count=count, credits=each)
            return lazy(
                "%(count)s × a voucher of %(credits)s credits with %(uses)s uses each",
                count=count, credits=each, uses=f"{terms['uses']:,}",
            )  # fmt: skip
        if kind == MoveKind.PAYMENT:
            return lazy("a refund of %(price)s of a payment", price=terms["price"])
        if kind == MoveKind.SETTING:
            return lazy(
                "“%(title)s” to be %(now)s instead of %(before)s",
                title=terms["title"], now=terms["to"], before=terms["from"],
            )  # fmt: skip
        amount = format_credits(self.move.amount_micro)
        if kind == MoveKind.PROMOTION:
            if "expires_at" not in terms:
                return lazy("%(credits)s promotional credits", credits=amount)
            end = terms["expires_at"][:16].replace("T", " ")
            return lazy("%(credits)s promotional credits, to be used by %(end)s UTC", credits=amount, end=end)
        return lazy("%(credits)s credits", credits=amount)

    def as_of(self, now: datetime) -> "Approval":
        """The request as it stands at ``now``: one that waited too long has expired."""
        return replace(self, outcome=ApprovalOutcome.EXPIRED) if self.is_open and now >= self.expires_at else self


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
        return _("Taken back by the payment provider")
    if posted - until > LATE:
        return _("The worker was away or a host did not answer: charged too late")
    return _("Nobody could pay: wallet and hold were empty")


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
    usage_micro: int = 0  # that credits paid which were not promotional, or nobody
    grants_micro: int = 0  # less deductions
    payments_micro: int = 0
    refunds_micro: int = 0
    write_offs_micro: int = 0
    promo_given_micro: int = 0
    promo_used_micro: int = 0  # usage that promotions paid: no revenue
    promo_expired_micro: int = 0
    liability_micro: int = 0  # with what is promotional
    promo_open_micro: int = 0  # how much of it is promotional


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
