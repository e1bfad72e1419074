"""The double-entry ledger, usage intervals, charges and holds (see docs/adr/0004)."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, CheckConstraint, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import AutoInteger, UTCDateTime, UTCSecond

_UNSETTLED = text("NOT settled")
_SETTLED = text("settled")
_OPEN_INTERVAL = text("end_at IS NULL AND stored_id IS NULL")
_OPEN_STORED = text("end_at IS NULL")
_OPEN_HOLD = text("closed_at IS NULL")
_BY_HAND = text("kind NOT IN ('hold', 'release', 'usage')")
_BY_PEOPLE = text("actor_id <> 'system'")
_GAIN = text("amount > 0")


class DbAccount(Base):
    """A ledger account. The database refuses a wallet or held account below zero."""

    __tablename__ = "account"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(12))
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("user.id"))  # None: a system account
    balance: Mapped[int] = mapped_column(BigInteger, default=0)  # micro-credits
    last_seq: Mapped[int] = mapped_column(BigInteger, default=0)  # number of its newest entry
    # Of a wallet: how much of it and of what is held is promotional, the sum of what its promotions have left.
    promo: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")

    __table_args__ = (
        CheckConstraint("kind NOT IN ('wallet', 'held') OR balance >= 0", name="not_below_zero"),
        CheckConstraint("promo >= 0", name="promo_not_below_zero"),
        Index("uq_account_owner_id_kind", "owner_id", "kind", unique=True),
    )


class DbTransfer(Base):
    """One movement of credits, made of entries that sum to zero. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "transfer"

    # Given in the order of commits per owner (they happen under the owner's wallet lock): lists page by it.
    seq: Mapped[int] = mapped_column(AutoInteger, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    kind: Mapped[str] = mapped_column(String(12))
    idempotency_key: Mapped[str] = mapped_column(String(120), unique=True)
    body_hash: Mapped[str] = mapped_column(String(64))  # the same key with another body is refused
    actor_id: Mapped[str] = mapped_column(String(40))
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    vm_id: Mapped[str | None] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(Text)

    __table_args__ = (
        Index("ix_transfer_owner_id_seq", "owner_id", "seq"),
        # What the ledger browser filters by; the worker's rows, most of all, are left out where people are looked for.
        Index("ix_transfer_at_seq", "at", "seq"),
        Index("ix_transfer_by_hand", "kind", "seq", sqlite_where=_BY_HAND, postgresql_where=_BY_HAND),
        Index("ix_transfer_by_people", "actor_id", "seq", sqlite_where=_BY_PEOPLE, postgresql_where=_BY_PEOPLE),
    )


class DbEntry(Base):
    """One side of a transfer. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "entry"

    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True)  # 1, 2, 3 … per account, no gaps
    transfer_id: Mapped[str] = mapped_column(ForeignKey("transfer.id"), index=True)
    amount: Mapped[int] = mapped_column(BigInteger)
    balance_after: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("ix_entry_amount", "amount", "transfer_id", sqlite_where=_GAIN, postgresql_where=_GAIN),)


class DbPriceVersion(Base):
    """A price that was or will be in force for a size. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "price_version"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    size_id: Mapped[str] = mapped_column(ForeignKey("size.id"))
    number: Mapped[int] = mapped_column(Integer)
    running_micro_per_hour: Mapped[int] = mapped_column(BigInteger)
    disk_micro_per_gib_hour: Mapped[int] = mapped_column(BigInteger)
    starts_at: Mapped[datetime] = mapped_column(UTCDateTime)
    created_by: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    change_id: Mapped[str | None] = mapped_column(String(40))  # published with this change; None: by itself

    __table_args__ = (Index("uq_price_version_size_id_number", "size_id", "number", unique=True),)


class DbUsageInterval(Base):
    """A stretch of time that a VM spent in one billed state, as the compute driver reported it: [start, end).

    With ``stored_id``, one that something made of the VM was stored for (models/storage.py): its state says what kind
    of thing, its rate is that thing's.
    """

    __tablename__ = "usage_interval"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"))
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    project_id: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(10))
    price_version_id: Mapped[str] = mapped_column(ForeignKey("price_version.id"))
    image_price_version_id: Mapped[str | None] = mapped_column(String(40))  # of the surcharge in the rate, if any
    rate_micro_per_hour: Mapped[int] = mapped_column(BigInteger)
    minimum_seconds: Mapped[int] = mapped_column(
        Integer
    )  # 60 for a start by a person; less when a run goes on; 0: none
    time_zone: Mapped[str] = mapped_column(String(60))  # the account's when it opened: decides the month cuts for good
    start_at: Mapped[datetime] = mapped_column(UTCSecond)
    end_at: Mapped[datetime | None] = mapped_column(UTCSecond)
    settled_until: Mapped[datetime] = mapped_column(UTCSecond)
    settled: Mapped[bool] = mapped_column(Boolean, default=False)  # closed and charged to its end
    opened_by: Mapped[str] = mapped_column(String(40))  # event ids
    closed_by: Mapped[str | None] = mapped_column(String(40))
    stored_id: Mapped[str | None] = mapped_column(String(40))  # None: of the machine itself

    __table_args__ = (
        CheckConstraint("end_at IS NULL OR end_at >= start_at", name="ends_after_start"),
        CheckConstraint("settled_until >= start_at", name="settled_after_start"),
        Index(
            "uq_usage_interval_open", "vm_id", unique=True, sqlite_where=_OPEN_INTERVAL, postgresql_where=_OPEN_INTERVAL
        ),
        Index(
            "uq_usage_interval_stored_open",
            "stored_id",
            unique=True,
            sqlite_where=_OPEN_STORED,
            postgresql_where=_OPEN_STORED,
        ),
        Index("ix_usage_interval_vm_id_start_at", "vm_id", "start_at"),
        Index("ix_usage_interval_owner_id_start_at", "owner_id", "start_at"),
        # What the biller looks for, and what a balance adds up: neither reads settled history.
        Index(
            "ix_usage_interval_due", "settled_until", "owner_id", sqlite_where=_UNSETTLED, postgresql_where=_UNSETTLED
        ),
        Index("ix_usage_interval_unsettled", "owner_id", sqlite_where=_UNSETTLED, postgresql_where=_UNSETTLED),
        # Sums over what is used now are answered from it alone: therefore `settled`, which its condition says, too.
        Index(
            "ix_usage_interval_projects",
            "owner_id",
            "project_id",
            "settled_until",
            "end_at",
            "rate_micro_per_hour",
            "start_at",
            "settled",
            sqlite_where=_UNSETTLED,
            postgresql_where=_UNSETTLED,
        ),
        # What ended lately.
        Index("ix_usage_interval_ended", "owner_id", "settled_until", sqlite_where=_SETTLED, postgresql_where=_SETTLED),
    )


class DbCharge(Base):
    """What [from, to) of an interval cost. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "charge"

    interval_id: Mapped[str] = mapped_column(ForeignKey("usage_interval.id"), primary_key=True)
    from_at: Mapped[datetime] = mapped_column(UTCSecond, primary_key=True)
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)  # 'usage' or 'minimum'
    to_at: Mapped[datetime] = mapped_column(UTCSecond)
    seconds: Mapped[int] = mapped_column(Integer)
    amount: Mapped[int] = mapped_column(BigInteger)
    transfer_id: Mapped[str] = mapped_column(ForeignKey("transfer.id"), index=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    vm_id: Mapped[str] = mapped_column(String(40))

    __table_args__ = (
        Index("ix_charge_owner_id_from_at", "owner_id", "from_at"),
        Index("ix_charge_vm_id_from_at", "vm_id", "from_at"),
    )


class DbUsageMonth(Base):
    """What one VM used in one state, month, project and wallet: sums of its charges, kept for pages."""

    __tablename__ = "usage_month"

    vm_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    month: Mapped[str] = mapped_column(String(7), primary_key=True)  # '2026-11', in the interval's time zone
    state: Mapped[str] = mapped_column(String(10), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(40), primary_key=True)  # in which it was then
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"), primary_key=True)  # who paid
    seconds: Mapped[int] = mapped_column(BigInteger)  # used; the seconds of minimum lines are not in it
    amount: Mapped[int] = mapped_column(BigInteger)  # micro-credits, minimum lines included

    __table_args__ = (Index("ix_usage_month_owner_id_month", "owner_id", "month", "project_id"),)


class DbProjectMonth(Base):
    """What one project cost one wallet in a month: sums of the months of its VMs, kept for pages and budgets."""

    __tablename__ = "project_month"

    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"), primary_key=True)  # who paid
    month: Mapped[str] = mapped_column(String(7), primary_key=True)  # as in usage_month
    project_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger)  # micro-credits

    __table_args__ = (Index("ix_project_month_project_id_month", "project_id", "month"),)


class DbHold(Base):
    """Credits set aside for one running VM. ``paid_until`` is the second they last to."""

    __tablename__ = "hold"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"))
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    interval_id: Mapped[str | None] = mapped_column(ForeignKey("usage_interval.id"))  # None: start in progress
    rate_micro_per_hour: Mapped[int] = mapped_column(BigInteger)
    remaining: Mapped[int] = mapped_column(BigInteger)
    paid_until: Mapped[datetime | None] = mapped_column(UTCSecond)  # None while the start is in progress
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (
        CheckConstraint("remaining >= 0", name="not_below_zero"),
        CheckConstraint("closed_at IS NULL OR remaining = 0", name="closed_is_empty"),
        Index("uq_hold_open", "vm_id", unique=True, sqlite_where=_OPEN_HOLD, postgresql_where=_OPEN_HOLD),
        Index("ix_hold_paid_until", "paid_until", sqlite_where=_OPEN_HOLD, postgresql_where=_OPEN_HOLD),
        Index("ix_hold_owner_id", "owner_id", sqlite_where=_OPEN_HOLD, postgresql_where=_OPEN_HOLD),
    )
