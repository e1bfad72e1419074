"""Backups of machines (docs/adr/0041), and the schedules by which Zentry takes snapshots and backups."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime


class DbBackup(Base):
    """A copy of a machine's disk that is made, kept or removed; the row goes with it. Its id is its name in the place
    where it lies."""

    __tablename__ = "backup"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"))
    name: Mapped[str] = mapped_column(String(80))
    note: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(10))
    error: Mapped[str] = mapped_column(Text)  # why it came to nothing
    is_scheduled: Mapped[bool] = mapped_column(Boolean)
    # What the machine was then.
    size_name: Mapped[str] = mapped_column(String(30))
    image_id: Mapped[str] = mapped_column(String(40))
    image_version_id: Mapped[str | None] = mapped_column(String(40))
    image_price_version_id: Mapped[str | None] = mapped_column(String(40))
    disk_gib: Mapped[int] = mapped_column(Integer)
    was_on: Mapped[bool] = mapped_column(Boolean)
    # What the copy is, once it is whole.
    is_frozen: Mapped[bool] = mapped_column(Boolean)  # the guest held its file systems still at that moment
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    created_by: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    # Its proof: the next one while somebody waits for it, and how the last one ended.
    proof_asked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    proved_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    proof: Mapped[str] = mapped_column(String(10), default="", server_default="")
    proof_seconds: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    proof_text: Mapped[str] = mapped_column(Text, default="", server_default="")

    __table_args__ = (
        Index("ix_backup_vm_id", "vm_id", "id"),
        Index("ix_backup_proof_asked_at", "proof_asked_at"),
    )


class DbSchedule(Base):
    """When Zentry takes snapshots or backups of a machine by itself, and how many of those it keeps."""

    __tablename__ = "schedule"

    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10), primary_key=True)  # 'snapshot', 'backup'
    every: Mapped[str] = mapped_column(String(10))  # 'hour', 'day', 'week', 'month'
    hour: Mapped[int] = mapped_column(Integer)  # of the day, in ``time_zone``
    keep: Mapped[int] = mapped_column(Integer)
    time_zone: Mapped[str] = mapped_column(String(60))
    next_at: Mapped[datetime] = mapped_column(UTCDateTime)
    last_error: Mapped[str] = mapped_column(Text)
    created_by: Mapped[str] = mapped_column(String(40))

    __table_args__ = (Index("ix_schedule_next_at", "next_at"),)
