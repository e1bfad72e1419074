"""Monthly statements: written once when a month is closed, never changed."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, String
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime, UTCSecond


class DbStatement(Base):
    """One person's closed month. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "statement"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, unique=True)  # 1, 2, 3 … over all accounts, no gaps
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    month: Mapped[str] = mapped_column(String(7))  # '2026-11'
    time_zone: Mapped[str] = mapped_column(String(60))
    start_at: Mapped[datetime] = mapped_column(UTCSecond)
    end_at: Mapped[datetime] = mapped_column(UTCSecond)
    last_seq: Mapped[int] = mapped_column(BigInteger)  # the owner's newest transfer it knows; later ones are the next's
    closed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    opening: Mapped[int] = mapped_column(BigInteger)  # micro-credits, as all amounts here
    credited: Mapped[int] = mapped_column(BigInteger)
    charged: Mapped[int] = mapped_column(BigInteger)
    written_off: Mapped[int] = mapped_column(BigInteger)
    closing: Mapped[int] = mapped_column(BigInteger)
    body: Mapped[dict[str, Any]] = mapped_column(JSON)  # the lines, with the names as they were

    __table_args__ = (Index("uq_statement_owner_id_month", "owner_id", "month", unique=True),)
