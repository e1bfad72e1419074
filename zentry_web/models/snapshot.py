"""Snapshots of machines (docs/adr/0036)."""

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime


class DbSnapshot(Base):
    """A snapshot that Zentry takes, keeps or removes; the row goes with it. Its id is its name on the hypervisor."""

    __tablename__ = "snapshot"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"))
    name: Mapped[str] = mapped_column(String(80))
    note: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(10))
    parent_id: Mapped[str | None] = mapped_column(String(40))  # what the machine was made from or reverted to last
    has_memory: Mapped[bool] = mapped_column(Boolean)
    size_name: Mapped[str] = mapped_column(String(30))  # of the machine, then
    is_scheduled: Mapped[bool] = mapped_column(Boolean)
    created_by: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (Index("ix_snapshot_vm_id", "vm_id", "id"),)
