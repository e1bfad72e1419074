"""Who pays, what taxes there are, and receipts."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, CheckConstraint, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime


class DbBillingDetails(Base):
    """Whom a person's receipts are made out to."""

    __tablename__ = "billing_details"

    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), primary_key=True)
    name: Mapped[str] = mapped_column(String(120), default="")
    address: Mapped[str] = mapped_column(Text, default="")
    country: Mapped[str] = mapped_column(String(2), default="")
    vat_number: Mapped[str] = mapped_column(String(24), default="")
    is_business: Mapped[bool] = mapped_column(Boolean, default=False)


class DbTaxRate(Base):
    """A row of the operator's table. One that has begun stays for good: a newer one takes its place."""

    __tablename__ = "tax_rate"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    country: Mapped[str] = mapped_column(String(2))
    kind: Mapped[str] = mapped_column(String(12))  # a BuyerKind
    basis_points: Mapped[int] = mapped_column(Integer)
    label: Mapped[str] = mapped_column(String(40))
    note: Mapped[str] = mapped_column(String(200))
    valid_from: Mapped[datetime] = mapped_column(UTCDateTime)
    created_by: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (
        CheckConstraint("basis_points >= 0 AND basis_points <= 10000", name="a_part"),
        Index("ix_tax_rate_country_kind", "country", "kind"),
    )


class DbReceiptSeries(Base):
    """The last number given in a series: raised in the transaction that writes the receipt, so none is left out."""

    __tablename__ = "receipt_series"

    kind: Mapped[str] = mapped_column(String(12), primary_key=True)
    year: Mapped[int] = mapped_column(Integer, primary_key=True)
    last: Mapped[int] = mapped_column(Integer)


class DbReceipt(Base):
    """A receipt, or a credit note that counts against one. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "receipt"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(12))  # a ReceiptKind
    year: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payment.id"))
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    of_number: Mapped[str] = mapped_column(String(20))  # of a credit note: the receipt's
    net_minor: Mapped[int] = mapped_column(BigInteger)
    tax_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))
    country: Mapped[str] = mapped_column(String(2))
    buyer_kind: Mapped[str] = mapped_column(String(12))
    basis_points: Mapped[int] = mapped_column(Integer)
    label: Mapped[str] = mapped_column(String(40))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)  # note, buyer and seller as they were

    __table_args__ = (
        Index("uq_receipt_kind_year_number", "kind", "year", "number", unique=True),
        Index("ix_receipt_payment_id", "payment_id"),
        Index("ix_receipt_owner_id_at", "owner_id", "at"),
        Index("ix_receipt_at", "at"),
    )
