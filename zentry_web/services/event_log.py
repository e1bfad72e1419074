"""Reading the event log: activity lists, the audit trail, and what the live hub follows."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import Session

from zentry_web.domain.event import Event, Outcome
from zentry_web.domain.user import ANONYMOUS_ID, SYSTEM, Actor, Role
from zentry_web.models import DbEvent, DbEventPersonal, DbOperation, DbUser, DbVM
from zentry_web.services.base_service import personal_hash

ROLE_SETTLES = timedelta(hours=24)
AN_ADMIN = "an admin"  # to whom it matters only that it was one


def role_changed_lately(session: Session, user_id: str, now: datetime) -> bool:
    """Whether an admin made the account an admin, or an ordinary one, within the last 24 hours.

    So long no admin gets into the account, and it agrees to nothing as the second of two: one admin alone could else
    make up the other, or step into one. What the command line does is not meant.
    """
    changed = select(DbEvent.seq).where(
        DbEvent.action == "user.role",
        DbEvent.resource_id == user_id,
        DbEvent.actor_id != SYSTEM.id,
        DbEvent.at > now - ROLE_SETTLES,
    )
    return session.scalar(changed.limit(1)) is not None


def is_only_admin(session: Session, user_id: str, now: datetime) -> bool:
    """Whether nobody else is an admin, or was one within the last 24 hours, who could be the second of two.

    Who disables the others, or takes their role away, is not alone at once.
    """
    active = DbUser.disabled_at.is_(None) | (DbUser.disabled_at > now - ROLE_SETTLES)
    others = select(DbUser.id).where(DbUser.role == Role.ADMIN, DbUser.id != user_id, active)
    changed = select(DbEvent.seq).where(
        DbEvent.action == "user.role",
        DbEvent.resource_id != user_id,
        DbEvent.actor_id != SYSTEM.id,
        DbEvent.at > now - ROLE_SETTLES,
    )
    return session.scalar(others.limit(1)) is None and session.scalar(changed.limit(1)) is None


def read_events(
    session: Session,
    *conditions: ColumnElement[bool],
    before: int | None = None,
    limit: int = 50,
    endings: bool = True,
) -> list[Event]:
    """Newest first, with names, personal fields, and for requests how their operation ended. One statement.

    ``before`` is the ``seq`` of the last row seen. ``endings=False`` leaves out the events by which an
    operation ended: the request they belong to tells the ending already.
    """
    query = _query().where(*conditions).order_by(DbEvent.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(DbEvent.seq < before)
    if not endings:
        query = query.where(DbEvent.operation_id.is_(None) | (DbEvent.outcome == Outcome.ACCEPTED))
    return [_event(row) for row in session.execute(query)]


def for_viewer(events: list[Event], actor: Actor) -> list[Event]:
    """The events without what is personal to somebody else: an owner need not know an admin's address, nor which admin
    gave an order to a machine of theirs."""
    if actor.is_admin:
        return events
    own = (actor.id, ANONYMOUS_ID)
    return [event if event.actor_id in own else _without_persons(event) for event in events]


def _without_persons(event: Event) -> Event:
    name = AN_ADMIN if event.details.get("reason") == "admin" else event.actor_name
    return replace(event, actor_name=name, personal={}, personal_intact=None)


def read_events_after(session: Session, seq: int, limit: int = 500) -> list[Event]:
    """Events after ``seq``, oldest first, bare: no names, nothing personal."""
    rows = session.scalars(select(DbEvent).where(DbEvent.seq > seq).order_by(DbEvent.seq).limit(limit))
    return [_bare(row) for row in rows]


def latest_seq(session: Session) -> int:
    """The newest event's number; 0 when there is none."""
    return session.scalar(select(func.max(DbEvent.seq))) or 0


def _query() -> Select[DbEvent, DbEventPersonal, str, str, DbOperation]:
    return (
        select(DbEvent, DbEventPersonal, DbUser.name, DbVM.name, DbOperation)
        .outerjoin(DbEventPersonal, DbEventPersonal.event_id == DbEvent.id)
        .outerjoin(DbUser, DbUser.id == DbEvent.actor_id)
        .outerjoin(DbVM, DbVM.id == DbEvent.vm_id)
        .outerjoin(DbOperation, (DbOperation.id == DbEvent.operation_id) & (DbEvent.outcome == Outcome.ACCEPTED.value))
    )


def _event(row: Row[DbEvent, DbEventPersonal, str, str, DbOperation]) -> Event:
    event, personal, actor_name, vm_name, operation = row
    intact = None
    if personal is not None:
        intact = personal_hash(personal.salt, personal.fields) == event.personal_hash
    return Event(
        **_fields(event),
        personal=dict(personal.fields) if personal is not None else {},
        personal_intact=intact,
        actor_name="Zentry" if event.actor_id == SYSTEM.id else (actor_name or ""),
        resource_name=vm_name or (personal.fields.get("project", "") if personal is not None else ""),
        ended=operation.state if operation is not None else "",
        ended_at=operation.finished_at if operation is not None else None,
        error=operation.error if operation is not None else "",
    )


def _bare(row: DbEvent) -> Event:
    return Event(**_fields(row))


def _fields(row: DbEvent) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "id": row.id,
        "at": row.at,
        "actor_id": row.actor_id,
        "action": row.action,
        "outcome": Outcome(row.outcome),
        "resource_type": row.resource_type,
        "resource_id": row.resource_id,
        "owner_id": row.owner_id,
        "project_id": row.project_id,
        "vm_id": row.vm_id,
        "operation_id": row.operation_id,
        "details": dict(row.details),
    }
