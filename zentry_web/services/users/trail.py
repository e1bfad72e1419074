"""The audit trail for admins: searched, as a file, and checked."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import cache
from itertools import pairwise
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, Select, and_, func, literal, or_, select
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.event import Event, Subject, TrailCheck, TrailFilter
from zentry_web.domain.ids import first_id
from zentry_web.domain.list_keys import date_bounds
from zentry_web.domain.query_language import Term
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbEvent, DbEventPersonal, DbUsageInterval, DbUser
from zentry_web.services.base_service import BaseService, personal_hash
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.comparing import conditions_of
from zentry_web.services.shared.event_log import read_events
from zentry_web.services.shared.fields import email_key, storable
from zentry_web.services.shared.paging import CHUNK, in_chunks, page_of
from zentry_web.services.shared.rate_limits import RateLimiter

CHECKED = 10_000  # events of one check: a fraction of a second
NOBODY = "nobody"  # the id of no account
_SLACK = timedelta(seconds=1)  # between the making of an event's id and its time


class AuditTrail(BaseService):
    """A part of UserService; all of it for admins only. Raises PermissionDeniedError."""

    name = "audit_trail"

    def search_events(
        self, wanted: TrailFilter, *, actor: Actor = SYSTEM, before: int | None = None, limit: int = 50
    ) -> list[Event]:
        """The events that fit, newest first, with personal fields and whether they still match their hash.

        ``before`` is the ``seq`` of the last row seen. One statement, and one for each address and word asked for.
        """
        require_admin(actor)
        with self.reading() as session:
            return read_events(session, *_conditions(session, wanted), before=before, limit=limit)

    def list_actions(self, *, actor: Actor = SYSTEM) -> list[str]:
        """The actions that the trail has, by name. One statement, which reads an event of each."""
        require_admin(actor)
        with self.reading() as session:
            return [action for action in session.scalars(_actions()) if action is not None]

    def export(self, wanted: TrailFilter, *, actor: Actor = SYSTEM) -> Iterator[Event]:
        """The events that fit, all of them, for a file. That it was taken is audited.

        Read in chunks, none of which holds a transaction open for the others. Raises RateLimitedError.
        """
        require_admin(actor)
        RateLimiter(self._core).check_actor("file", actor)
        named = ("action", "resource_id", "outcome", "start", "end", "search")
        asked = {name: bool(getattr(wanted, name)) for name in named}
        self.audit("audit.export", Subject("event", "all"), asked, actor=actor)

        def read(before: int | None) -> tuple[Sequence[Event], int | None]:
            events = self.search_events(wanted, actor=actor, before=before, limit=CHUNK)
            return page_of(events, CHUNK, lambda event: event.seq)

        return in_chunks(read)

    def verify(self, *, actor: Actor = SYSTEM, before: int | None = None, limit: int = CHECKED) -> TrailCheck | None:
        """Check the newest ``limit`` events, or those before a number: that none is missing, that personal fields are
        as they were written, and that what usage was charged for is there. None: there are no events.

        Two statements, besides those that count the use. Raises RateLimitedError.
        """
        require_admin(actor)
        RateLimiter(self._core).check_actor("verify", actor)
        query = select(DbEvent.seq, DbEvent.id, DbEvent.at, DbEvent.personal_hash, _SALT, _FIELDS)
        query = query.outerjoin(DbEventPersonal, DbEventPersonal.event_id == DbEvent.id)
        query = query.order_by(DbEvent.seq.desc()).limit(limit)
        with self.reading() as session:
            rows = session.execute(query if before is None else query.where(DbEvent.seq < before)).all()
            if not rows:
                return None
            first, last = rows[-1], rows[0]
            kept = [row for row in rows if row.salt is not None]
            altered = tuple(row.seq for row in kept if personal_hash(row.salt, dict(row.fields)) != row.personal_hash)
            ids = [row.id for row in rows]
            return TrailCheck(
                count=len(rows),
                first=first.seq,
                last=last.seq,
                first_at=first.at,
                last_at=last.at,
                missing=_missing(session, [row.seq for row in rows], before),
                intact=len(kept) - len(altered),
                erased=sum(row.salt is None and row.personal_hash is not None for row in rows),
                altered=altered,
                unknown=_unknown(session, min(ids), max(ids)),
                next_before=first.seq if len(rows) == limit and first.seq > 1 else None,
            )


_SALT, _FIELDS = DbEventPersonal.salt, DbEventPersonal.fields


def _conditions(session: Session, wanted: TrailFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.action:
        found.append(_of_action(wanted.action))
    if wanted.actor_id:
        found.append(DbEvent.actor_id == _as_id(session, wanted.actor_id))
    if wanted.resource_id:
        found.append(DbEvent.resource_id == _as_id(session, wanted.resource_id))
    if wanted.outcome:
        found.append(DbEvent.outcome == wanted.outcome)
    found += _between(wanted.start, wanted.end)
    return found + conditions_of(wanted.search, lambda term: _fits(session, term, wanted.search.zone))


def _fits(session: Session, term: Term, zone: tzinfo) -> ColumnElement[bool]:
    value = storable(term.value)
    if term.key == "action":
        return _of_action(value.lower())
    if term.key == "outcome":
        return DbEvent.outcome == value
    if term.key == "date":
        return and_(*_between(*date_bounds(value, zone)))
    if term.key == "who":
        return DbEvent.actor_id.in_(_ids(value))
    if term.key == "what":
        return DbEvent.resource_id.in_(_ids(value))
    actions = [name for name in session.scalars(_actions()) if name is not None and value.lower() in name]
    return or_(DbEvent.actor_id.in_(_ids(value)), DbEvent.resource_id.in_(_ids(value)), DbEvent.action.in_(actions))


def _of_action(action: str) -> ColumnElement[bool]:
    """That one, or all that begin with it when it ends in a full stop; '/' is the character after that."""
    if action.endswith("."):
        return and_(DbEvent.action >= action, DbEvent.action < f"{action[:-1]}/")
    return DbEvent.action == action


def _between(start: datetime | None, end: datetime | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if start is not None:  # ids are sorted by time, and have an index
        found += [DbEvent.at >= start, DbEvent.id >= first_id("evt", start - _SLACK)]
    if end is not None:
        found += [DbEvent.at < end, DbEvent.id < first_id("evt", end + _SLACK)]
    return found


def _ids(typed: str) -> CompoundSelect[Any]:
    """An id as it is, and those of the accounts whose e-mail address holds what was typed."""
    of_accounts = select(DbUser.id).where(DbUser.email_key.contains(email_key(typed), autoescape=True))
    return select(literal(typed)).union_all(of_accounts)


def _as_id(session: Session, typed: str) -> str:
    """An id as it is; of an e-mail address its account's."""
    if "@" not in typed:
        return typed
    return session.scalar(select(DbUser.id).where(DbUser.email_key == email_key(typed))) or NOBODY


@cache
def _actions() -> Select[Any]:
    """From each action to the one after it: however long the trail, the index is read once for each."""
    step = select(func.min(DbEvent.action).label("action")).cte("step", recursive=True)
    following = select(func.min(DbEvent.action)).where(DbEvent.action > step.c.action).scalar_subquery()
    step = step.union_all(select(following).where(step.c.action.is_not(None)))
    return select(step.c.action)


def _missing(session: Session, numbers: Sequence[int], before: int | None) -> int | None:
    """How many numbers no event has, of these (newest first) and up to the one before which they were read.

    SQLite gives one after the other. PostgreSQL leaves out those of transactions that failed: None.
    """
    if session.get_bind().dialect.name != "sqlite":
        return None
    upper = numbers if before is None else (before, *numbers)
    return sum(above - below - 1 for above, below in pairwise(upper))


def _unknown(session: Session, first: str, last: str) -> int:
    """How many intervals of usage name an event between these two that is not there."""
    named = []
    for column in (DbUsageInterval.opened_by, DbUsageInterval.closed_by):
        event = aliased(DbEvent)
        there = select(event.id).where(event.id == column).exists()
        named.append(column.between(first, last) & ~there)
    return session.scalar(select(func.count()).select_from(DbUsageInterval).where(or_(*named))) or 0
