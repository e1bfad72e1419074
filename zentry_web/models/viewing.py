"""Admins looking at the pages of others."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_OPEN = text("ended_at IS NULL")


class DbUserView(Base):
    """One look at one account, in one session of one admin. Why is a personal field of its event."""

    __tablename__ = "user_view"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    session_hash: Mapped[str] = mapped_column(String(64))
    admin_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    began_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    page: Mapped[str] = mapped_column(String(200), default="")  # the one shown last

    __table_args__ = (
        # One at a time in a session.
        Index("uq_user_view_open", "session_hash", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
    )
