"""Vouchers and who redeemed them."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime


class DbVoucher(Base):
    """A code. Triggers refuse DELETE, and any change but of ``used`` and ``revoked_at``."""

    __tablename__ = "voucher"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    code: Mapped[str] = mapped_column(String(20), unique=True)  # readable: an admin hands it out
    value: Mapped[int] = mapped_column(BigInteger)  # micro-credits
    uses: Mapped[int] = mapped_column(Integer)
    used: Mapped[int] = mapped_column(Integer, default=0)
    expires_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    note: Mapped[str] = mapped_column(String(200))
    batch_id: Mapped[str] = mapped_column(String(40))
    number: Mapped[int] = mapped_column(Integer)  # 1, 2, 3 … in its batch
    created_by: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    # None: it gives ordinary credits. Else promotional ones, that last so many days from redeeming on; 0: they stay.
    promo_days: Mapped[int | None] = mapped_column(Integer)

    __table_args__ = (
        CheckConstraint("value > 0", name="worth_something"),
        CheckConstraint("used >= 0 AND used <= uses", name="used_within_uses"),
        Index("uq_voucher_batch_id_number", "batch_id", "number", unique=True),
    )


class DbVoucherRedemption(Base):
    """A voucher that worked for a person: once per pair. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "voucher_redemption"

    voucher_id: Mapped[str] = mapped_column(ForeignKey("voucher.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), primary_key=True)
    transfer_id: Mapped[str] = mapped_column(ForeignKey("transfer.id"), unique=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    request_key: Mapped[str] = mapped_column(String(100))  # of the form: sent twice it is answered alike

    __table_args__ = (Index("ix_voucher_redemption_user_id", "user_id"),)
