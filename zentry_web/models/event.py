"""The append-only event log and the side table of personal fields that an account's deletion erases."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from zentry_web.db import Base
from zentry_web.models.types import AutoInteger, UTCDateTime


class DbEvent(Base):
    """Triggers refuse UPDATE and DELETE here (migration 0001)."""

    __tablename__ = "event"

    seq: Mapped[int] = mapped_column(AutoInteger, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(40), unique=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    actor_id: Mapped[str] = mapped_column(String(40))
    action: Mapped[str] = mapped_column(String(40))
    outcome: Mapped[str] = mapped_column(String(10))
    resource_type: Mapped[str] = mapped_column(String(20))
    resource_id: Mapped[str] = mapped_column(String(40))
    owner_id: Mapped[str | None] = mapped_column(String(40))
    project_id: Mapped[str | None] = mapped_column(String(40))
    vm_id: Mapped[str | None] = mapped_column(String(40))
    operation_id: Mapped[str | None] = mapped_column(String(40))
    request_id: Mapped[str | None] = mapped_column(String(40))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    personal_hash: Mapped[str | None] = mapped_column(String(64))  # sha256 of salt and fields; None: no fields

    __table_args__ = (
        Index("ix_event_owner_id_seq", "owner_id", "seq"),
        Index("ix_event_vm_id_seq", "vm_id", "seq"),
        Index("ix_event_project_id_seq", "project_id", "seq"),
        Index("ix_event_action_seq", "action", "seq"),
        Index("ix_event_actor_id_seq", "actor_id", "seq"),
        Index("ix_event_resource_id_seq", "resource_id", "seq"),
        Index("ix_event_outcome_seq", "outcome", "seq"),
    )


class DbEventPersonal(Base):
    """Who an event was about or came from. Erased with the person's account."""

    __tablename__ = "event_personal"

    event_id: Mapped[str] = mapped_column(ForeignKey("event.id"), primary_key=True)
    subject_id: Mapped[str] = mapped_column(String(40), index=True)
    salt: Mapped[str] = mapped_column(String(32))
    fields: Mapped[dict[str, str]] = mapped_column(JSON)
