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
    bound_to: Mapped[int | None] = mapped_column(BigInteger)  # holds for ``changed_by`` until ``bound_until``
    bound_until: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __mapper_args__ = {"version_id_col": version}
