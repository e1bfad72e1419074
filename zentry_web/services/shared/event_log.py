"""Reading the event log: activity lists, the audit trail, and what the live hub follows."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import Session

from zentry_web.domain.event import Event, Outcome
from zentry_web.domain.user import ANONYMOUS_ID, SYSTEM, Actor, Role
from zentry_web.models import DbEvent, DbEventPersonal, DbOperation, DbUndo, DbUser, DbVM
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
    query = events_query(*conditions, limit=limit, endings=endings)
    return fetch_events(session, query if before is None else query.where(DbEvent.seq < before))


def events_query(*conditions: ColumnElement[bool], limit: int, endings: bool = True) -> Select[Any]:
    """What ``read_events`` asks, for who asks the same again and again."""
    query = _query().where(*conditions).order_by(DbEvent.seq.desc()).limit(limit)
    if endings:
        return query
    return query.where(DbEvent.operation_id.is_(None) | (DbEvent.outcome == Outcome.ACCEPTED.value))


def fetch_events(session: Session, query: Select[Any], asked: Mapping[str, object] | None = None) -> list[Event]:
    """The events that a query of ``events_query`` finds; ``asked``: its parameters."""
    return [_as_event(row) for row in session.execute(query, dict(asked or {}))]


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
    return [_as_bare_event(row) for row in rows]


def latest_seq(session: Session) -> int:
    """The newest event's number; 0 when there is none."""
    return session.scalar(select(func.max(DbEvent.seq))) or 0


_COLUMNS = (
    DbEvent.seq, DbEvent.id, DbEvent.at, DbEvent.actor_id, DbEvent.action, DbEvent.outcome, DbEvent.resource_type,
    DbEvent.resource_id, DbEvent.owner_id, DbEvent.project_id, DbEvent.vm_id, DbEvent.operation_id, DbEvent.details,
)  # fmt: skip


@cache
def _query() -> Select[Any]:
    return (
        select(*_COLUMNS, DbEvent.personal_hash, DbEventPersonal.salt, DbEventPersonal.fields.label("personal"))
        .add_columns(DbUser.name.label("actor_name"), DbVM.name.label("vm_name"))
        .add_columns(DbOperation.state.label("ended"), DbOperation.finished_at.label("ended_at"), DbOperation.error)
        .add_columns(DbUndo.id.label("undo_id"), DbUndo.until.label("undo_until"))
        .outerjoin(DbEventPersonal, DbEventPersonal.event_id == DbEvent.id)
        .outerjoin(DbUser, DbUser.id == DbEvent.actor_id)
        .outerjoin(DbVM, DbVM.id == DbEvent.vm_id)
        .outerjoin(DbOperation, (DbOperation.id == DbEvent.operation_id) & (DbEvent.outcome == Outcome.ACCEPTED.value))
        .outerjoin(DbUndo, (DbUndo.event_id == DbEvent.id) & DbUndo.used_at.is_(None))
    )


def _as_event(row: Row[Any]) -> Event:
    personal, intact = dict(row.personal or {}), None
    if row.salt is not None:
        intact = personal_hash(row.salt, personal) == row.personal_hash
    return Event(
        **_fields(row),
        personal=personal,
        personal_intact=intact,
        actor_name="Zentry" if row.actor_id == SYSTEM.id else (row.actor_name or ""),
        resource_name=row.vm_name or personal.get("project", ""),
        ended=row.ended or "",
        ended_at=row.ended_at,
        error=row.error or "",
        undo_id=row.undo_id or "",
        undo_until=row.undo_until,
    )


def _as_bare_event(row: DbEvent) -> Event:
    return Event(**_fields(row))


def _fields(row: Any) -> dict[str, Any]:
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
