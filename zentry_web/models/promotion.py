"""Promotional credit: what was given to whom, and what became of it."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_LEFT = text("remaining > 0")


class DbPromotion(Base):
    """Credits given for promotion. Triggers refuse DELETE, and any change of whom, how much and when."""

    __tablename__ = "promotion"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    transfer_id: Mapped[str] = mapped_column(ForeignKey("transfer.id"), unique=True)  # what brought it
    amount: Mapped[int] = mapped_column(BigInteger)
    remaining: Mapped[int] = mapped_column(BigInteger)  # amount less what promotion_use says
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # a whole UTC hour; None: it stays
    given_at: Mapped[datetime] = mapped_column(UTCDateTime)
    told: Mapped[int] = mapped_column(Integer, default=0)  # the fewest days before its end that were told; 0: none

    __table_args__ = (
        CheckConstraint("amount > 0", name="above_zero"),
        CheckConstraint("remaining >= 0 AND remaining <= amount", name="within_amount"),
        Index("ix_promotion_owner_id", "owner_id", sqlite_where=_LEFT, postgresql_where=_LEFT),
        Index("ix_promotion_expires_at", "expires_at", sqlite_where=_LEFT, postgresql_where=_LEFT),
    )


class DbPromotionUse(Base):
    """How much of a promotion one transfer used or let expire. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "promotion_use"

    promotion_id: Mapped[str] = mapped_column(ForeignKey("promotion.id"), primary_key=True)
    transfer_id: Mapped[str] = mapped_column(ForeignKey("transfer.id"), primary_key=True, index=True)
    amount: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (CheckConstraint("amount > 0", name="above_zero"),)
