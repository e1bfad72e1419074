"""Viewing as: an admin sees a person's pages as that person does, for half an hour, and can change nothing.

A view is a row bound to the admin's session, so it ends with it. While one is open the web layer refuses every request
that would write, and tells this layer by ``only_look``: then no transaction begins. The Actor of such a request also
names who looks; ``audit`` refuses it, so nothing is ever recorded as done by the person.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.secret import secret_hash
from zentry_web.domain.text import clean_text
from zentry_web.domain.user import SYSTEM, AccountView, Actor, Role
from zentry_web.models import DbAuthSession, DbUser, DbUserView
from zentry_web.services.base_service import BaseService
from zentry_web.services.errors import AuthenticationRequiredError, ConflictError, PermissionDeniedError
from zentry_web.services.shared.access import require_admin, require_recent_proof
from zentry_web.services.shared.account_rows import as_user, require_user_row
from zentry_web.services.shared.fields import Fields
from zentry_web.services.shared.rounds import each_alone

LASTS = timedelta(minutes=30)
LONGEST_REASON = 300


class UserViews(BaseService):
    """Begins, finds and ends views; a part of UserService. Their events belong to the person looked at."""

    name = "user_views"

    def begin(self, user_id: str, reason: object, session_token: str, *, actor: Actor) -> AccountView:
        """Look at an account's pages in this session of the admin's, for 30 minutes; another view in it ends.

        Raises PermissionDeniedError (no admin; the account is one), ProofRequiredError, NotFoundError, ConflictError
        (oneself), ValidationError on ``reason``, AuthenticationRequiredError (the session has ended).
        """
        require_admin(actor)
        require_recent_proof(actor, self.now())
        fields = Fields({"reason": reason})
        why = fields.take("reason", _parse_reason, "")
        fields.check()
        if user_id == actor.id:
            raise ConflictError(_("This is your own account: you see it as you do."))
        now, session_hash = self.now(), secret_hash(session_token)
        with self.transaction() as session:
            row = require_user_row(session, user_id)
            if row.role != Role.USER:
                raise PermissionDeniedError(_("An admin's account cannot be viewed."))
            self._check_session(session, session_hash, actor)
            for view_id in session.scalars(_open().where(DbUserView.session_hash == session_hash)).all():
                self._end(session, view_id, actor, "another")
            made = DbUserView(
                id=self.new_id("view"), session_hash=session_hash, admin_id=actor.id, user_id=user_id, began_at=now,
                expires_at=now + LASTS, ended_at=None, page="",
            )  # fmt: skip
            session.add(made)
            session.flush()
            self._log("user.view_begin", made, actor, personal={"reason": why})
            return AccountView(made.id, as_user(row), now, made.expires_at)

    def find(self, view_id: str, session_token: str, admin_id: str) -> AccountView | None:
        """The view, if it is open in this session of this admin's; None once it has ended. One statement."""
        query = (
            select(DbUserView, DbUser)
            .join(DbUser, DbUser.id == DbUserView.user_id)
            .where(
                DbUserView.id == view_id,
                DbUserView.session_hash == secret_hash(session_token),
                DbUserView.admin_id == admin_id,
                DbUserView.ended_at.is_(None),
                DbUserView.expires_at > self.now(),
                DbUser.role == Role.USER,
            )
        )
        with self.reading() as session:
            found = session.execute(query).one_or_none()
            return (
                AccountView(found[0].id, as_user(found[1]), found[0].began_at, found[0].expires_at) if found else None
            )

    def note_page(self, view_id: str, page: str, ids: Mapping[str, str], *, actor: Actor) -> None:
        """Record that the admin sees this page: once, until it is another one. ``actor`` is the admin."""
        shown = " ".join([page, *(f"{name}={value}" for name, value in sorted(ids.items()))])[:200]
        with self.reading() as session:
            row = session.get(DbUserView, view_id)
            if row is None or row.page == shown:
                return
        with self.transaction() as session:
            row = session.get(DbUserView, view_id, with_for_update=True, populate_existing=True)
            if row is not None and row.page != shown:
                row.page = shown
                session.flush()
                self._log("user.view_page", row, actor, {"page": shown})

    def end(self, view_id: str, session_token: str, *, actor: Actor, why: str = "left") -> None:
        """End a view of this session. One that has ended already is no error; ``actor`` is the admin."""
        mine = DbUserView.id == view_id, DbUserView.session_hash == secret_hash(session_token)
        with self.transaction() as session:
            found = session.scalar(_open().where(*mine))
            if found is not None:
                self._end(session, found, actor, why)

    def expire(self) -> int:
        """End the views whose time is over or whose session has ended; returns how many. For the worker."""
        ended = DbAuthSession.token_hash.is_(None) | DbAuthSession.ended_at.is_not(None)
        query = _open().outerjoin(DbAuthSession, DbAuthSession.token_hash == DbUserView.session_hash)
        late = query.where(or_(DbUserView.expires_at <= self.now(), ended))
        with self.reading() as session:
            found = list(session.scalars(late))
        return len(each_alone("end view", found, self._expire))

    def _expire(self, view_id: str) -> None:
        with self.transaction() as session:
            self._end(session, view_id, SYSTEM, "time")

    def _check_session(self, session: Session, session_hash: str, actor: Actor) -> None:
        """The session is the admin's and open: a view must not outlive it."""
        own = session.scalar(
            select(DbAuthSession.token_hash).where(
                DbAuthSession.token_hash == session_hash,
                DbAuthSession.user_id == actor.id,
                DbAuthSession.ended_at.is_(None),
            )
        )
        if own is None:
            raise AuthenticationRequiredError(_("Please log in again."))

    def _end(self, session: Session, view_id: str, actor: Actor, why: str) -> None:
        open_one = DbUserView.id == view_id, DbUserView.ended_at.is_(None)
        if run(session, update(DbUserView).where(*open_one).values(ended_at=self.now())):
            row = session.get(DbUserView, view_id, populate_existing=True)
            if row is not None:
                self._log("user.view_end", row, actor, {"why": why})

    def _log(
        self, action: str, row: DbUserView, actor: Actor, more: dict[str, Any] | None = None,
        personal: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        admin = replace(actor, id=row.admin_id)  # also where the time is over
        self.audit(action, Subject.user(row.user_id), {"view": row.id, **(more or {})}, actor=admin, personal=personal)


def _open() -> Select[Any]:
    return select(DbUserView.id).where(DbUserView.ended_at.is_(None))


def _parse_reason(value: object) -> str:
    text = clean_text(value, longest=LONGEST_REASON)
    if not text:
        raise ValueError(_("Say why: it is written down."))
    return text
