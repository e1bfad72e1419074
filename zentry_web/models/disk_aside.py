"""What machines were before they were rebuilt or reverted, kept for an hour."""

from datetime import datetime

from sqlalchemy import Boolean, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime


class DbDiskAside(Base):
    """What a machine is to be when a rebuild under way has succeeded, and what it was once that has; its disk then lies
    aside on the host under the rebuild's id."""

    __tablename__ = "disk_aside"

    operation_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"))
    image_id: Mapped[str] = mapped_column(String(40))
    image_version_id: Mapped[str | None] = mapped_column(String(40))
    image_price_version_id: Mapped[str | None] = mapped_column(String(40))
    ssh_key: Mapped[str] = mapped_column(Text)
    user_data: Mapped[str] = mapped_column(Text)
    until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: under way

    __table_args__ = (Index("ix_disk_aside_vm_id", "vm_id"), Index("ix_disk_aside_until", "until"))


class DbRevertAside(Base):
    """What a machine was before a revert: a snapshot of it on the host, named after the revert, which is nobody's to
    see or to pay for (docs/adr/0043)."""

    __tablename__ = "revert_aside"

    operation_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"))
    snapshot_id: Mapped[str | None] = mapped_column(String(40))  # what it went on from
    has_memory: Mapped[bool] = mapped_column(Boolean)  # it ran
    until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # None: the revert is under way, or came to nothing

    __table_args__ = (Index("ix_revert_aside_vm_id", "vm_id"), Index("ix_revert_aside_until", "until"))
