"""Payments, what providers told of them, refunds and disputes, stored methods and automatic top-up."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, CheckConstraint, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_LOOK = text("look_at IS NOT NULL")


class DbPayment(Base):
    """One payment. What has been posted for it stands in the ledger; the sums here say how far that has come."""

    __tablename__ = "payment"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    provider: Mapped[str] = mapped_column(String(20))
    provider_ref: Mapped[str | None] = mapped_column(String(120))  # None until the provider has answered
    idempotency_key: Mapped[str] = mapped_column(String(160), unique=True)
    is_automatic: Mapped[bool] = mapped_column(Boolean, default=False)
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    state: Mapped[str] = mapped_column(String(10))
    error: Mapped[str] = mapped_column(Text, default="")
    save_method: Mapped[bool] = mapped_column(Boolean, default=False)
    method_id: Mapped[str | None] = mapped_column(ForeignKey("payment_method.id"))  # the one charged, or stored by it
    method_label: Mapped[str] = mapped_column(String(60), default="")
    refunded_minor: Mapped[int] = mapped_column(BigInteger, default=0)  # without what failed
    refund_told_minor: Mapped[int] = mapped_column(BigInteger, default=0)  # the highest sum of refunds that was told
    refunded_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when the last refund was learnt of
    disputed_minor: Mapped[int] = mapped_column(BigInteger, default=0)  # of disputes open or lost
    transfer_id: Mapped[str | None] = mapped_column(String(40))  # what brought the credits in
    refund_micro: Mapped[int] = mapped_column(BigInteger, default=0)  # taken back for refunds
    dispute_micro: Mapped[int] = mapped_column(BigInteger, default=0)  # taken back for disputes
    refund_off_micro: Mapped[int] = mapped_column(BigInteger, default=0)  # the part of it that was written off
    dispute_off_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    postings: Mapped[int] = mapped_column(Integer, default=0)  # numbers the idempotency keys of reversals
    tax_minor: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # the part of minor that is tax
    tax: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # a domain Tax, worked out when it began; None: before
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when it came to an end, good or bad
    look_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when the worker asks the provider again
    looks: Mapped[int] = mapped_column(Integer, default=0)

    __table_args__ = (
        CheckConstraint("refunded_minor >= 0 AND disputed_minor >= 0", name="sums_not_below_zero"),
        Index("uq_payment_provider_ref", "provider", "provider_ref", unique=True),
        Index("ix_payment_owner_id_id", "owner_id", "id"),
        Index("ix_payment_look_at", "look_at", sqlite_where=_LOOK, postgresql_where=_LOOK),
    )


class DbPaymentEvent(Base):
    """A webhook that was taken in; its id makes a repetition have no effect. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "payment_event"

    provider: Mapped[str] = mapped_column(String(20), primary_key=True)
    id: Mapped[str] = mapped_column(String(120), primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"), index=True)
    kind: Mapped[str] = mapped_column(String(80))
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    received_at: Mapped[datetime] = mapped_column(UTCDateTime)
    payload: Mapped[Any] = mapped_column(JSON)
    effect: Mapped[str] = mapped_column(String(200))


class DbPaymentRefund(Base):
    """A refund that an admin asked for. The row is there before the provider is asked."""

    __tablename__ = "payment_refund"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"), index=True)
    minor: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[str] = mapped_column(Text)
    actor_id: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(10))
    error: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (CheckConstraint("minor > 0", name="something"),)


class DbPaymentRefundTold(Base):
    """One refund as the provider told of it. Failed once, it stays failed."""

    __tablename__ = "payment_refund_told"

    provider: Mapped[str] = mapped_column(String(20), primary_key=True)
    ref: Mapped[str] = mapped_column(String(120), primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"), index=True)
    minor: Mapped[int] = mapped_column(BigInteger)
    has_failed: Mapped[bool] = mapped_column(Boolean, default=False)


class DbPaymentDispute(Base):
    """A payment questioned at the bank."""

    __tablename__ = "payment_dispute"

    provider: Mapped[str] = mapped_column(String(20), primary_key=True)
    ref: Mapped[str] = mapped_column(String(120), primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"), index=True)
    minor: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(10))


class DbPaymentMethod(Base):
    """A means of payment that the provider keeps for a person. Card numbers never come near Zentry."""

    __tablename__ = "payment_method"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"), index=True)
    provider: Mapped[str] = mapped_column(String(20))
    ref: Mapped[str] = mapped_column(String(120))
    label: Mapped[str] = mapped_column(String(60))
    expiry_month: Mapped[int] = mapped_column(Integer)
    expiry_year: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    removed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (Index("uq_payment_method_provider_ref", "provider", "ref", unique=True),)


class DbTopUp(Base):
    """A person's automatic top-up, and who they are to the provider."""

    __tablename__ = "top_up"

    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), primary_key=True)
    provider: Mapped[str] = mapped_column(String(20), default="")
    customer_ref: Mapped[str] = mapped_column(String(120), default="")
    enabled: Mapped[bool] = mapped_column(Boolean, default=False)
    threshold_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    runway_hours: Mapped[int] = mapped_column(Integer, default=0)
    amount_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    ceiling_micro: Mapped[int] = mapped_column(BigInteger, default=0)
    method_id: Mapped[str | None] = mapped_column(ForeignKey("payment_method.id"))
    last_attempt_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    off_reason: Mapped[str] = mapped_column(String(200), default="")
