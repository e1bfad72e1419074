"""What is stored beside the machines' disks, and what storing costs (docs/adr/0035)."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, String, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_KEPT = text("ended_at IS NULL")


class DbStoragePrice(Base):
    """What a GiB of a kind of stored things costs an hour, from a moment on. Triggers refuse UPDATE and DELETE."""

    __tablename__ = "storage_price"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    number: Mapped[int] = mapped_column(Integer)
    micro_per_gib_hour: Mapped[int] = mapped_column(BigInteger)
    starts_at: Mapped[datetime] = mapped_column(UTCDateTime)
    created_by: Mapped[str] = mapped_column(String(40))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)

    __table_args__ = (Index("uq_storage_price_kind_number", "kind", "number", unique=True),)


class DbStored(Base):
    """One stored thing as it is paid for: its id is the snapshot's, image's or backup's own.

    While it is paid an interval is open of it. Not so while ``kept_until`` says how long it is kept for nothing, nor
    while its machine is in the recycle bin.
    """

    __tablename__ = "stored"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"))  # of which it was made
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"))
    project_id: Mapped[str] = mapped_column(ForeignKey("project.id"))
    name: Mapped[str] = mapped_column(String(80))
    gib: Mapped[int] = mapped_column(Integer)  # begun GiB
    price_id: Mapped[str] = mapped_column(ForeignKey("storage_price.id"))
    rate_micro_per_hour: Mapped[int] = mapped_column(BigInteger)
    kept_until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # kept so long without a charge
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (
        CheckConstraint("gib > 0", name="takes_room"),
        Index("ix_stored_vm_id", "vm_id", sqlite_where=_KEPT, postgresql_where=_KEPT),
        Index("ix_stored_owner_id", "owner_id", "project_id", sqlite_where=_KEPT, postgresql_where=_KEPT),
    )
