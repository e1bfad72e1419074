"""Consoles of machines: tickets, and what became of them."""

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_OPEN = text("opened_at IS NOT NULL AND ended_at IS NULL")


class DbConsoleSession(Base):
    """A ticket, and the console it opened. The browser has the ticket's secret, the row only its hash."""

    __tablename__ = "console_session"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"))
    user_id: Mapped[str] = mapped_column(ForeignKey("user.id"), index=True)
    session_hash: Mapped[str] = mapped_column(String(64))  # of the browser session it is bound to
    as_admin: Mapped[bool] = mapped_column(Boolean)  # by being an admin of Zentry
    kind: Mapped[str] = mapped_column(String(10))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    opened_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    seen_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # by the process that holds it
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (Index("ix_console_session_open", "vm_id", sqlite_where=_OPEN, postgresql_where=_OPEN),)
