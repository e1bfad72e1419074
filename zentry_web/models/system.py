"""What the processes of Zentry tell each other: heartbeats, and what was last learned of the hypervisor."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import UTCDateTime


class DbHeartbeat(Base):
    """One row per loop of each worker: when it last went round and how that ended."""

    __tablename__ = "heartbeat"

    worker: Mapped[str] = mapped_column(String(60), primary_key=True)
    loop: Mapped[str] = mapped_column(String(30), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    milliseconds: Mapped[int] = mapped_column(Integer)
    error: Mapped[str] = mapped_column(Text)


class DbEventExport(Base):
    """How far the event log was written to the logs: one row."""

    __tablename__ = "event_export"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger)


class DbComputeStatus(Base):
    """What the worker last learned of the hypervisor; pages read this instead of asking it."""

    __tablename__ = "compute_status"

    driver: Mapped[str] = mapped_column(String(20), primary_key=True)
    simulated: Mapped[bool] = mapped_column(Boolean)
    ok: Mapped[bool] = mapped_column(Boolean)
    detail: Mapped[str] = mapped_column(Text)
    answered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # what is not unclear is confirmed until then
    checked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    images: Mapped[list[str]] = mapped_column(JSON)
    capacity: Mapped[dict[str, Any]] = mapped_column(JSON)
    backups: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # BackupRoom; empty: not known yet
    boot: Mapped[str] = mapped_column(String(64), default="", server_default="")  # of its host; '': not known yet


class DbLeader(Base):
    """A lease on a job that only one worker may do at a time (reconcile, sample, bill)."""

    __tablename__ = "leader"

    job: Mapped[str] = mapped_column(String(30), primary_key=True)
    worker: Mapped[str] = mapped_column(String(60))
    lease_until: Mapped[datetime] = mapped_column(UTCDateTime)


class DbSetting(Base):
    """What an admin chose instead of the default; None again: the default. What the environment sets is not here."""

    __tablename__ = "setting"

    key: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)
    version: Mapped[int] = mapped_column(Integer)
    changed_by: Mapped[str] = mapped_column(String(40))
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime)

    __mapper_args__ = {"version_id_col": version}


class DbPartState(Base):
    """How one of Zentry's parts was when the worker last looked."""

    __tablename__ = "part_state"

    part: Mapped[str] = mapped_column(String(20), primary_key=True)
    ok: Mapped[bool] = mapped_column(Boolean)
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    checked_at: Mapped[datetime] = mapped_column(UTCDateTime)


class DbAvailability(Base):
    """How long a part worked, and did not, on one day in UTC; what nobody watched is in neither."""

    __tablename__ = "availability"

    part: Mapped[str] = mapped_column(String(20), primary_key=True)
    day: Mapped[str] = mapped_column(String(10), primary_key=True)  # '2026-11-30'
    up_seconds: Mapped[int] = mapped_column(Integer)
    down_seconds: Mapped[int] = mapped_column(Integer)


class DbStrayMachine(Base):
    """A machine that the hypervisor has and the database does not; the row goes when that is over."""

    __tablename__ = "stray_machine"

    vm_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    power: Mapped[str] = mapped_column(String(10))
    name: Mapped[str | None] = mapped_column(String(63))  # it and the next four: None when nothing tells
    vcpus: Mapped[int | None] = mapped_column(Integer)
    memory_mib: Mapped[int | None] = mapped_column(Integer)
    disk_gib: Mapped[int | None] = mapped_column(Integer)
    image: Mapped[str | None] = mapped_column(String(63))
    first_seen_at: Mapped[datetime] = mapped_column(UTCDateTime)
    removal_asked_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    error: Mapped[str] = mapped_column(Text, default="")
