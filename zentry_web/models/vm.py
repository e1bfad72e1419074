"""Virtual machines, the operations on them, the catalogue of sizes and images."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, Index, Integer, String, Text, false, text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime

_NOT_DELETED = text("deleted_at IS NULL")
_GRACE = text("disk_until IS NOT NULL")
_BINNED = text("purge_at IS NOT NULL")
_UNCLEAR = text("confirmed_until IS NOT NULL")
_WAITING = text("credit_stopped_at IS NOT NULL")
_SAYING = text("deleted_at IS NULL AND state_reason != ''")
_LEAVING = text("deleted_at IS NOT NULL AND purge_at IS NULL AND state NOT IN ('deleting', 'deleted')")
_RETURNING = text("deleted_at IS NULL AND state = 'binned'")
_OPEN = text("state IN ('queued', 'running')")
_IS_WAITING = text("state IN ('waiting', 'starting')")
_UNTOLD = text("told_at IS NULL")

# As queries spell the two partial indexes. A VM whose project was deleted, or restored, and whose own turn is to come:
IS_LEAVING = text("vm.deleted_at IS NOT NULL AND vm.purge_at IS NULL AND vm.state NOT IN ('deleting', 'deleted')")
IS_RETURNING = text("vm.deleted_at IS NULL AND vm.state = 'binned'")


class DbSize(Base):
    __tablename__ = "size"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str] = mapped_column(String(30), unique=True)
    vcpus: Mapped[int] = mapped_column(Integer)
    memory_mib: Mapped[int] = mapped_column(Integer)
    disk_gib: Mapped[int] = mapped_column(Integer)
    position: Mapped[int] = mapped_column(Integer)
    active: Mapped[bool] = mapped_column(Boolean)


class DbVM(Base):
    """A VM as Zentry wants it and as the hypervisor last reported it."""

    __tablename__ = "vm"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("project.id"))
    owner_id: Mapped[str] = mapped_column(ForeignKey("user.id"))  # whose wallet pays
    name: Mapped[str] = mapped_column(String(63))
    state: Mapped[str] = mapped_column(String(10))
    size_id: Mapped[str] = mapped_column(ForeignKey("size.id"))
    image_id: Mapped[str] = mapped_column(ForeignKey("image.id"))
    image_version_id: Mapped[str | None] = mapped_column(String(40))  # which of its versions it was made from
    price_version_id: Mapped[str] = mapped_column(ForeignKey("price_version.id"))
    image_price_version_id: Mapped[str | None] = mapped_column(String(40))  # None: the image adds nothing
    vcpus: Mapped[int] = mapped_column(Integer)
    memory_mib: Mapped[int] = mapped_column(Integer)
    disk_gib: Mapped[int] = mapped_column(Integer)
    running_micro_per_hour: Mapped[int] = mapped_column(BigInteger)  # the size's price and the image's surcharge
    stopped_micro_per_hour: Mapped[int] = mapped_column(BigInteger)
    ssh_key: Mapped[str] = mapped_column(Text)  # lines of authorized_keys, as chosen at the launch
    user_data: Mapped[str] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(String(120), unique=True)
    body_hash: Mapped[str | None] = mapped_column(String(64))
    snapshot_id: Mapped[str | None] = mapped_column(String(40))  # it goes on from this one
    run_id: Mapped[str | None] = mapped_column(String(120))
    address: Mapped[str] = mapped_column(String(64), default="")
    reach: Mapped[str] = mapped_column(String(200), default="")
    state_reason: Mapped[str] = mapped_column(Text, default="")
    made: Mapped[bool] = mapped_column(Boolean, default=False)  # the hypervisor has it, as far as is known
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    answered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    stopped_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    deleted_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    purge_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # in the recycle bin until then; None: not in it
    deleted_by: Mapped[str | None] = mapped_column(String(40))  # while it returns: who restores it
    binned_with_project: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    protected: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())
    importance: Mapped[int] = mapped_column(Integer, default=0, server_default="0")  # higher: keeps running longer
    credit_stopped_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # to be started again with new credits
    disk_until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # the disk is kept so long without a charge
    rescued_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # since then it boots the rescue system
    agent: Mapped[bool] = mapped_column(Boolean, default=False, server_default=false())  # one listens in its guest
    restart: Mapped[str] = mapped_column(String(10), default="failures", server_default="failures")  # a Restart
    confirmed_until: Mapped[datetime | None] = mapped_column(UTCDateTime)  # unclear since then; None: clear
    seen: Mapped[str] = mapped_column(String(10), default="", server_default="")  # the hypervisor's word
    seen_since: Mapped[datetime | None] = mapped_column(UTCDateTime)
    version: Mapped[int] = mapped_column(Integer)

    __mapper_args__ = {"version_id_col": version}
    __table_args__ = (
        Index(
            "uq_vm_project_id_name",
            "project_id",
            "name",
            unique=True,
            sqlite_where=_NOT_DELETED,
            postgresql_where=_NOT_DELETED,
        ),
        Index("ix_vm_owner_id_id", "owner_id", "id", sqlite_where=_NOT_DELETED, postgresql_where=_NOT_DELETED),
        Index("ix_vm_project_id_id", "project_id", "id"),
        # For lists and counts of what there is, which SQLite answers from an index alone if all that is asked is in it.
        Index(
            "ix_vm_living", "project_id", "id", "deleted_at", sqlite_where=_NOT_DELETED, postgresql_where=_NOT_DELETED
        ),
        Index(
            "ix_vm_states",
            "project_id",
            "state",
            "deleted_at",
            sqlite_where=_NOT_DELETED,
            postgresql_where=_NOT_DELETED,
        ),
        Index("ix_vm_saying", "project_id", sqlite_where=_SAYING, postgresql_where=_SAYING),
        Index("ix_vm_binned", "project_id", "purge_at", sqlite_where=_BINNED, postgresql_where=_BINNED),
        Index("ix_vm_purge_at", "purge_at", sqlite_where=_BINNED, postgresql_where=_BINNED),
        Index("ix_vm_disk_until", "disk_until", sqlite_where=_GRACE, postgresql_where=_GRACE),
        Index("ix_vm_unclear", "id", sqlite_where=_UNCLEAR, postgresql_where=_UNCLEAR),
        Index("ix_vm_leaving", "project_id", sqlite_where=_LEAVING, postgresql_where=_LEAVING),
        Index("ix_vm_returning", "project_id", sqlite_where=_RETURNING, postgresql_where=_RETURNING),
        Index("ix_vm_credit_stopped", "owner_id", sqlite_where=_WAITING, postgresql_where=_WAITING),
    )


class DbOutage(Base):
    """One time that a machine was off though nobody asked Zentry for it."""

    __tablename__ = "outage"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"))
    cause: Mapped[str] = mapped_column(String(10))
    went_at: Mapped[datetime] = mapped_column(UTCDateTime)
    seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    state: Mapped[str] = mapped_column(String(10))
    due_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # to be started again then
    operation_id: Mapped[str | None] = mapped_column(String(40))  # its start
    back_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    told_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # its owner was, or need not be

    __table_args__ = (
        Index("ix_outage_vm_id_id", "vm_id", "id"),
        Index("ix_outage_went_at", "went_at"),
        Index("ix_outage_open", "due_at", sqlite_where=_IS_WAITING, postgresql_where=_IS_WAITING),
        Index("ix_outage_untold", "vm_id", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
    )


class DbOperation(Base):
    """Work for the worker: claimed under a lease, fenced by ``attempts``, retried with back-off."""

    __tablename__ = "operation"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    vm_id: Mapped[str] = mapped_column(ForeignKey("vm.id"))
    state: Mapped[str] = mapped_column(String(10))
    step: Mapped[str] = mapped_column(String(12))
    reason: Mapped[str] = mapped_column(String(10))  # 'owner', 'admin', 'credit'
    requested_by: Mapped[str] = mapped_column(String(40))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    run_at: Mapped[datetime] = mapped_column(UTCDateTime)
    give_up_at: Mapped[datetime] = mapped_column(UTCDateTime)
    lease_until: Mapped[datetime | None] = mapped_column(UTCDateTime)
    worker: Mapped[str | None] = mapped_column(String(60))
    attempts: Mapped[int] = mapped_column(Integer, default=0)
    error: Mapped[str] = mapped_column(Text, default="")
    secret: Mapped[str] = mapped_column(Text, default="", server_default="")  # until it has ended
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    log: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list, server_default="[]")  # steps and words
    aborted_by: Mapped[str | None] = mapped_column(String(40))  # who wants it to end; the worker does that

    __table_args__ = (
        Index("ix_operation_open", "run_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("uq_operation_open_vm", "vm_id", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_operation_vm_id_id", "vm_id", "id"),
    )
