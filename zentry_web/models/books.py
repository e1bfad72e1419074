"""The admin's books: requests that need a second admin, refunds, daily sums of the ledger, results of the checks."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Text,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime, UTCSecond

_PENDING = text("outcome = 'pending'")


class DbApproval(Base):
    """What one admin asked for and another must agree to. Triggers refuse changing a decided one."""

    __tablename__ = "approval"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(12))  # a MoveKind
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"))  # whom it is about; whoever asked where that is nobody
    amount: Mapped[int] = mapped_column(BigInteger)  # the most it can come to in micro-credits, above zero
    reason: Mapped[str] = mapped_column(Text)
    target: Mapped[str] = mapped_column(String(60))  # the interval or transfer, the payment, the setting; else ''
    terms: Mapped[dict[str, Any]] = mapped_column(JSON, server_default="{}")  # what else is needed to do it
    request_key: Mapped[str] = mapped_column(String(120))  # the form's idempotency key
    body_hash: Mapped[str] = mapped_column(String(64))
    asked_by: Mapped[str] = mapped_column(String(40))
    asked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    outcome: Mapped[str] = mapped_column(String(10))  # pending, approved, refused, expired
    decided_by: Mapped[str | None] = mapped_column(String(40))
    decided_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    transfer_id: Mapped[str | None] = mapped_column(String(40))  # what approving it posted

    __table_args__ = (
        CheckConstraint("amount > 0", name="above_zero"),
        CheckConstraint("decided_by IS NULL OR outcome <> 'approved' OR decided_by <> asked_by", name="two_admins"),
        Index("uq_approval_request_key", "request_key", unique=True),
        Index("ix_approval_pending", "id", sqlite_where=_PENDING, postgresql_where=_PENDING),
    )


class DbRefund(Base):
    """How much of one charge a refund gives back. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "refund"

    transfer_id: Mapped[str] = mapped_column(ForeignKey("transfer.id"), primary_key=True)
    interval_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    from_at: Mapped[datetime] = mapped_column(UTCSecond, primary_key=True)
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    amount: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        CheckConstraint("amount > 0", name="above_zero"),
        ForeignKeyConstraint(
            ["interval_id", "from_at", "kind"],
            ["charge.interval_id", "charge.from_at", "charge.kind"],
            name="fk_refund_interval_id_from_at_kind_charge",
        ),
        Index("ix_refund_charge", "interval_id", "from_at", "kind"),
    )


class DbLedgerDay(Base):
    """What all transfers of one kind moved on one kind of account in one UTC day: sums kept for the charts."""

    __tablename__ = "ledger_day"

    day: Mapped[int] = mapped_column(Integer, primary_key=True)  # days since 1970
    kind: Mapped[str] = mapped_column(String(12), primary_key=True)  # of the transfers
    account: Mapped[str] = mapped_column(String(12), primary_key=True)  # kind of the accounts
    amount: Mapped[int] = mapped_column(BigInteger)
    entries: Mapped[int] = mapped_column(BigInteger)


class DbVerifyRun(Base):
    """One run of the ledger's checks by the worker; its id is the hour it is for."""

    __tablename__ = "verify_run"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    took_ms: Mapped[int] = mapped_column(Integer)
    ok: Mapped[bool] = mapped_column(Boolean)
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
