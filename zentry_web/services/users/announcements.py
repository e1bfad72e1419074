"""Announcements: banners that admins write, which appear and vanish by the clock and can be put away."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Table, delete, or_, select
from sqlalchemy.orm import Session

from zentry_web.adapters.database import upsert
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, lazy
from zentry_web.domain.people.announcement import (
    MAX_LINK_TEXT,
    MAX_TEXT,
    Announcement,
    AnnouncementDraft,
    Level,
    parse_level,
    parse_link,
)
from zentry_web.domain.text import clean_name
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbAnnouncement, DbAnnouncementDismissal
from zentry_web.services.base_service import BaseService
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.fields import Fields, invalid
from zentry_web.services.shared.request_keys import LONGEST_KEY, require_same

DISMISSAL = cast(Table, DbAnnouncementDismissal.__table__)
MOST_SHOWN = 5
EARLIEST = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
LATEST = datetime.fromisoformat("9000-01-01T00:00:00+00:00")
_FIELDS = ("level", "text", "link", "link_text", "from_at", "until_at", "is_public")
_OFF = lazy("This announcement is over. Make a new one.")
_MOVED = lazy("Somebody else changed this announcement meanwhile. Look at it again.")


class Announcements(BaseService):
    """A part of UserService."""

    name = "announcements"

    # -- for everybody --------------------------------------------------------------------------

    def list_shown(self, user_id: str | None) -> list[Announcement]:
        """What a page says now, gravest first: to a person all but what they put away, to visitors (None) the public
        ones. One statement."""
        with self.reading() as session:
            return gravest(session.scalars(select(DbAnnouncement).where(*shown_to(user_id, self.now()))))

    def dismiss(self, announcement_id: str, *, actor: Actor) -> None:
        """Show it to this person no more; twice is once. Raises NotFoundError (none, or not shown now),
        ConflictError (a critical one stays)."""
        with self.transaction() as session:
            row = session.scalar(
                select(DbAnnouncement).where(DbAnnouncement.id == announcement_id, *_shown_at(self.now()))
            )
            if row is None:
                raise NotFoundError(_("This announcement is not shown any more."))
            if row.level == Level.CRITICAL:
                raise ConflictError(_("A critical announcement stays until it is over."))
            once = upsert(session, DISMISSAL)
            values = {"announcement_id": row.id, "user_id": actor.id, "at": self.now()}
            session.execute(once.values(**values).on_conflict_do_nothing())

    # -- for admins -----------------------------------------------------------------------------

    def list_all(self, *, actor: Actor = SYSTEM, before: str | None = None, limit: int = 50) -> list[Announcement]:
        """All announcements, newest first; admins only. ``before``: the id of the last one seen."""
        require_admin(actor)
        query = select(DbAnnouncement).order_by(DbAnnouncement.id.desc()).limit(limit)
        if before is not None:
            query = query.where(DbAnnouncement.id < before)
        with self.reading() as session:
            return [_as_announcement(row) for row in session.scalars(query)]

    def get_announcement(self, announcement_id: str, *, actor: Actor = SYSTEM) -> Announcement:
        """One of them; admins only. Raises NotFoundError."""
        require_admin(actor)
        with self.reading() as session:
            return _as_announcement(_require(session, announcement_id))

    def check(self, draft: AnnouncementDraft, *, actor: Actor = SYSTEM) -> Announcement:
        """The draft as it would be shown, kept nowhere: for the preview. Raises as ``create``."""
        require_admin(actor)
        return _as_announcement(DbAnnouncement(id="preview", version=0, created_by=actor.id, **_parsed(draft)))

    def create(
        self, draft: AnnouncementDraft, *, actor: Actor = SYSTEM, idempotency_key: str | None = None
    ) -> Announcement:
        """Announce something; admins only; audited. One key makes one announcement.

        Raises ValidationError (level, text, link, link_text, from_at, until_at), ConflictError (key used before).
        """
        require_admin(actor)
        values = _parsed(draft)
        _refuse_past(values["until_at"], self.now())
        key = f"{actor.id}|{idempotency_key[:LONGEST_KEY]}" if idempotency_key else None
        with self.transaction() as session:
            made = session.scalar(select(DbAnnouncement).where(DbAnnouncement.idempotency_key == key)) if key else None
            if made is not None:
                require_same(
                    all(getattr(made, name) == values[name] for name in _FIELDS),
                    _("This form was already used for another announcement. Open a new one."),
                )
                return _as_announcement(made)
            row = DbAnnouncement(
                id=self.new_id("ann"), created_by=actor.id, created_at=self.now(), idempotency_key=key, **values
            )
            session.add(row)
            session.flush()
            self._log("announcement.create", row, actor, {}, {"text": row.text})
            return _as_announcement(row)

    def change(
        self, announcement_id: str, draft: AnnouncementDraft, version: int, *, actor: Actor = SYSTEM
    ) -> Announcement:
        """Write it anew; ``version`` is the one that was seen. Other words or a graver level come back to those who
        had put it away. Raises as ``create``, ConflictError (over, or changed meanwhile), NotFoundError."""
        require_admin(actor)
        values = _parsed(draft)
        with self.transaction() as session:
            row = _require_open(session, announcement_id, self.now())
            if row.version != version:
                raise ConflictError(_MOVED)
            changed = [name for name in _FIELDS if getattr(row, name) != values[name]]
            if not changed:
                return _as_announcement(row)
            if "until_at" in changed:
                _refuse_past(values["until_at"], self.now())
            text_before = row.text
            for name in changed:
                setattr(row, name, values[name])
            session.flush()
            if {"text", "level"} & set(changed):
                _forget_dismissals(session, row.id)
            personal = {"text": row.text, "text_before": text_before} if "text" in changed else {}
            self._log("announcement.edit", row, actor, {"changed": changed}, personal)
            return _as_announcement(row)

    def end(self, announcement_id: str, *, actor: Actor = SYSTEM) -> Announcement:
        """Take it off every page now; admins only. One that is over already is left as it is. Raises NotFoundError."""
        require_admin(actor)
        with self.transaction() as session:
            row = _require(session, announcement_id)
            if row.ended_at is None and (row.until_at is None or row.until_at > self.now()):
                row.ended_at = self.now()
                session.flush()
                _forget_dismissals(session, row.id)
                self._log("announcement.end", row, actor, {}, {})
            return _as_announcement(row)

    # -- inside ---------------------------------------------------------------------------------

    def _log(
        self, action: str, row: DbAnnouncement, actor: Actor, more: dict[str, Any], personal: dict[str, str]
    ) -> None:
        # What it says may name somebody: it goes into the table that can be erased.
        details = {
            "level": row.level,
            "from": row.from_at.isoformat(),
            "until": row.until_at.isoformat() if row.until_at else None,
            "public": row.is_public,
        }
        self.audit(action, Subject("announcement", row.id), details | more, actor=actor, personal=personal)


def shown_to(user_id: Any, now: Any) -> list[ColumnElement[bool]]:
    """Which announcements pages show to a person, or to visitors (None). Both may be parameters of the statement."""
    if user_id is None:
        return [*_shown_at(now), DbAnnouncement.is_public.is_(True)]
    return [*_shown_at(now), or_(DbAnnouncement.level == Level.CRITICAL, ~_put_away(user_id))]


def gravest(rows: Iterable[Any]) -> list[Announcement]:
    """As many as a page shows, the gravest first, of one level the newest."""
    found = sorted(rows, key=lambda row: row.id)
    found.sort(key=lambda row: (list(Level).index(Level(row.level)), row.from_at), reverse=True)
    return [_as_announcement(row) for row in found[:MOST_SHOWN]]


def _shown_at(now: Any) -> list[ColumnElement[bool]]:
    until = DbAnnouncement.until_at
    return [DbAnnouncement.ended_at.is_(None), DbAnnouncement.from_at <= now, or_(until.is_(None), until > now)]


def _put_away(user_id: Any) -> ColumnElement[bool]:
    dismissal = DbAnnouncementDismissal
    mine = (dismissal.announcement_id == DbAnnouncement.id) & (dismissal.user_id == user_id)
    return select(dismissal.user_id).where(mine).correlate(DbAnnouncement).exists()


def _forget_dismissals(session: Session, announcement_id: str) -> None:
    session.execute(delete(DbAnnouncementDismissal).where(DbAnnouncementDismissal.announcement_id == announcement_id))


def _require(session: Session, announcement_id: str) -> DbAnnouncement:
    row = session.get(DbAnnouncement, announcement_id)
    if row is None:
        raise NotFoundError(_("There is no such announcement."))
    return row


def _require_open(session: Session, announcement_id: str, now: datetime) -> DbAnnouncement:
    row = _require(session, announcement_id)
    if row.ended_at is not None or (row.until_at is not None and row.until_at <= now):
        raise ConflictError(_OFF)
    return row


def _parsed(draft: AnnouncementDraft) -> dict[str, Any]:
    fields = Fields({name: getattr(draft, name) for name in _FIELDS})
    values: dict[str, Any] = {
        "level": fields.take("level", parse_level, Level.INFO),
        "text": fields.take("text", _text, ""),
        "link": fields.take("link", parse_link, ""),
        "link_text": fields.take("link_text", _link_text, ""),
        "from_at": draft.from_at,
        "until_at": draft.until_at,
        "is_public": draft.is_public,
    }
    if not EARLIEST <= draft.from_at < LATEST:
        fields.errors["from_at"] = _("Choose another day.")
    if draft.until_at is not None and draft.until_at <= draft.from_at:
        fields.errors["until_at"] = _("Choose an end after the beginning.")
    elif draft.until_at is not None and draft.until_at >= LATEST:
        fields.errors["until_at"] = _("Choose an earlier day, or leave it empty: for ever.")
    fields.check()
    return values


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(_("Write what you want to tell."))
    return clean_name(value, longest=MAX_TEXT)


def _link_text(value: object) -> str:
    return clean_name(value, longest=MAX_LINK_TEXT) if value else ""


def _refuse_past(until: object, now: datetime) -> None:
    if isinstance(until, datetime) and until <= now:
        raise invalid({"until_at": _("That is past: nobody would see it.")})


def _as_announcement(row: Any) -> Announcement:
    return Announcement(
        id=row.id,
        level=Level(row.level),
        text=row.text,
        link=row.link,
        link_text=row.link_text,
        from_at=row.from_at,
        until_at=row.until_at,
        is_public=row.is_public,
        version=row.version,
        ended_at=row.ended_at,
        created_by=row.created_by,
    )
