"""What is done with machines at set times."""

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_WAITING = text("next_at IS NOT NULL")


class DbTimer(Base):
    """One set time of one machine: once, or again and again."""

    __tablename__ = "timer"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"))
    action: Mapped[str] = mapped_column(String(10))  # 'start', 'stop', 'reboot', 'delete'
    repeat: Mapped[str] = mapped_column(String(10))
    first: Mapped[str] = mapped_column(String(16))  # 2026-12-04T19:00, by the clock of its zone
    time_zone: Mapped[str] = mapped_column(String(60))
    catches_up: Mapped[bool] = mapped_column(Boolean)
    next_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: never again
    last_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    last_error: Mapped[str] = mapped_column(Text)
    told_seconds: Mapped[int | None] = mapped_column(Integer)  # of a deletion: the notice so long before is out
    created_by: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (
        Index("ix_timer_vm_id", "vm_id"),
        Index("ix_timer_next_at", "next_at", sqlite_where=_WAITING, postgresql_where=_WAITING),
    )
