"""Changes of an account's address, which both addresses have to confirm."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_OPEN = text("ended_at IS NULL")
_WAITING = text("done_at IS NULL")


class DbEmailChange(Base):
    """Asked for by the owner. One is open at a time."""

    __tablename__ = "email_change"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), index=True)
    old_email: Mapped[str] = mapped_column(String(254))
    new_email: Mapped[str] = mapped_column(String(254))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # done, called off, or replaced by a later one

    __table_args__ = (
        Index("uq_email_change_open", "user_id", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
    )


class DbEmailConfirmation(Base):
    """One address's mail and link. The secret exists only in the mail."""

    __tablename__ = "email_confirmation"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    change_id: Mapped[str] = mapped_column(ForeignKey("email_change.id"), index=True)
    side: Mapped[str] = mapped_column(String(3))  # old, new
    run_at: Mapped[datetime] = mapped_column(UTCDateTime)
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str] = mapped_column(Text, default="", server_default="")
    done_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # mailed, or nothing to mail
    token_hash: Mapped[str | None] = mapped_column(String(64), unique=True)
    confirmed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (
        Index("ix_email_confirmation_waiting", "run_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
    )
