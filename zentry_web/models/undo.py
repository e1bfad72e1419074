"""What can be undone: what was before each change of a machine, for as long as it can be put back."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_WAITING = text("used_at IS NOT NULL AND done_at IS NULL")


class DbUndo(Base):
    """One change of one machine. Used once: whoever sets ``used_at`` first."""

    __tablename__ = "undo"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    event_id: Mapped[str] = mapped_column(String(40))  # the one that tells of the change
    together: Mapped[str | None] = mapped_column(String(40))  # of several machines changed at once: the same for all
    action: Mapped[str] = mapped_column(String(40))  # 'vm.stop'
    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"))
    put_back: Mapped[dict[str, Any]] = mapped_column(JSON)  # what was before
    made_by: Mapped[str] = mapped_column(String(40))
    made_at: Mapped[datetime] = mapped_column(UTCDateTime)
    until: Mapped[datetime] = mapped_column(UTCDateTime)
    used_by: Mapped[str | None] = mapped_column(String(40))
    used_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    done_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None while it waits for what is under way
    problem: Mapped[str] = mapped_column(Text, default="")  # why it came to nothing after all

    __table_args__ = (
        Index("ix_undo_event_id", "event_id"),
        Index("ix_undo_together", "together"),
        Index("ix_undo_vm_id_id", "vm_id", "id"),
        Index("ix_undo_waiting", "vm_id", sqlite_where=_WAITING, postgresql_where=_WAITING),
    )
