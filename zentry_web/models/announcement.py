"""What admins tell everybody, and who has put which away."""

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_OPEN = text("ended_at IS NULL")


class DbAnnouncement(Base):
    """A banner, shown from ``from_at`` until ``until_at`` unless an admin ended it before."""

    __tablename__ = "announcement"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    level: Mapped[str] = mapped_column(String(10))
    text: Mapped[str] = mapped_column(String(500))
    link: Mapped[str] = mapped_column(String(300))
    link_text: Mapped[str] = mapped_column(String(40))
    from_at: Mapped[datetime] = mapped_column(UTCDateTime)
    until_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    is_public: Mapped[bool] = mapped_column(Boolean)
    created_by: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    idempotency_key: Mapped[str | None] = mapped_column(String(150), unique=True)
    version: Mapped[int] = mapped_column(Integer)

    __mapper_args__ = {"version_id_col": version}
    __table_args__ = (Index("ix_announcement_open", "from_at", sqlite_where=_OPEN, postgresql_where=_OPEN),)


class DbAnnouncementDismissal(Base):
    """This person has read that announcement and does not want to see it any more."""

    __tablename__ = "announcement_dismissal"

    announcement_id: Mapped[str] = mapped_column(ForeignKey("announcement.id"), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (Index("ix_announcement_dismissal_user_id", "user_id"),)
