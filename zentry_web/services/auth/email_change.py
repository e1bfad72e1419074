"""Changing an account's address: a link to the old one and one to the new, and nothing before both were opened.

The person who asks cannot tell whether the new address has an account: the page, its time and the mail to the old
address are the same. Only whoever reads the new mailbox learns it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.language import _, speaking
from zentry_web.domain.notice import Mail
from zentry_web.domain.notice_texts import say
from zentry_web.domain.secret import new_secret, secret_hash
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor, EmailLink, PendingEmailChange, Role, User
from zentry_web.models import DbEmailChange, DbEmailConfirmation, DbUser
from zentry_web.services.auth.basis import Basis
from zentry_web.services.auth.factors import require_own
from zentry_web.services.auth.one_time_links import GONE
from zentry_web.services.base_service import Core
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_recent_proof
from zentry_web.services.shared.account_rows import as_user, require_user_row
from zentry_web.services.shared.fields import Fields, email_key, invalid, parse_email, parse_local_email
from zentry_web.services.shared.mail_queue import MailQueue
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of

LASTS = timedelta(hours=24)
KEEP = timedelta(days=7)  # they hold addresses
OLD, NEW = "old", "new"


class EmailChange(MailQueue):
    """A part of AuthService."""

    name = "email_change"
    _table = DbEmailConfirmation

    def __init__(self, core: Core, basis: Basis) -> None:
        super().__init__(core)
        self._accounts, self._sessions, self._links = basis.accounts, basis.sessions, basis.links
        self._limits = RateLimiter(core)
        self._mail = core.mail

    @property
    def enabled(self) -> bool:
        """Whether it is offered: where a mail server is set."""
        return self._mail.enabled

    # -- asking ---------------------------------------------------------------------------------

    def request(self, user_id: str, new_email: str, *, actor: Actor) -> None:
        """Have both addresses asked, for 24 hours; an earlier change that is still open is void.

        Raises ValidationError on ``email``, ProofRequiredError, RateLimitedError, NotFoundError (somebody else's
        account; no mail server).
        """
        require_own(actor, user_id)
        if not self.enabled:
            raise NotFoundError(_("This Zentry sends no mail. Ask its administrator to change your address."))
        require_recent_proof(actor, self.now())
        fields = Fields({"email": new_email})
        email = fields.take("email", parse_email, "")
        fields.check()
        with self.reading() as session:
            if require_user_row(session, user_id).email == email:
                raise invalid({"email": _("This is your address already.")})
        self._limits.check(limit_of("email_change", user_id), limit_of("email_change_address", email_key(email)))
        now = self.now()
        with self.transaction() as session:
            row = require_user_row(session, user_id, lock=True)
            self._end(session, user_id)
            change = DbEmailChange(
                id=self.new_id("emc"), user_id=user_id, old_email=row.email, new_email=email, created_at=now,
                expires_at=now + LASTS,
            )  # fmt: skip
            session.add(change)
            session.flush()
            self._post()
            for side in (OLD, NEW):
                session.add(
                    DbEmailConfirmation(id=self.new_id("ecf"), change_id=change.id, side=side, run_at=now, attempts=0)
                )
            self._accounts.log("auth.email_change_ask", user_id, actor, personal={"email": email})

    def find_open(self, user_id: str, *, actor: Actor = SYSTEM) -> PendingEmailChange | None:
        """The change that waits for its confirmations, or None. Raises NotFoundError for somebody else's."""
        require_own(actor, user_id)
        with self.reading() as session:
            query = select(DbEmailChange).where(
                DbEmailChange.user_id == user_id,
                DbEmailChange.ended_at.is_(None),
                DbEmailChange.expires_at > self.now(),
            )
            change = session.scalar(query)
            if change is None:
                return None
            confirmed = {side.side for side in _sides(session, change.id) if side.confirmed_at is not None}
            return PendingEmailChange(change.new_email, change.expires_at, OLD in confirmed, NEW in confirmed)

    def cancel(self, user_id: str, *, actor: Actor) -> None:
        """Call one's own change off. Nothing to call off is no error. Raises NotFoundError."""
        require_own(actor, user_id)
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            if self._end(session, user_id):
                self._accounts.log("auth.email_change_off", user_id, actor)

    # -- the links ------------------------------------------------------------------------------

    def peek(self, token: str) -> EmailLink | None:
        """What a link stands for, without using it; None when it has expired, was used, or the change is off."""
        with self.reading() as session:
            found = self._find(session, token)
            return EmailLink(found[0].side == NEW, found[1].old_email, found[1].new_email) if found else None

    def confirm(self, token: str, *, actor: Actor = SYSTEM, session_token: str | None = None) -> User | None:
        """Confirm from one address. With the second one the address changes: the User as it is now; None before.

        Then all sessions but that of ``session_token`` end, links and log-ins that wait are void, and both addresses
        are told. Raises NotFoundError (see ``peek``), ConflictError when the new address got an account.
        """
        with self.transaction() as session:
            found = self._find(session, token)
            if found is None:
                raise NotFoundError(GONE)
            row = require_user_row(session, found[1].user_id, lock=True)
            used = run(
                session,
                update(DbEmailConfirmation)
                .where(DbEmailConfirmation.id == found[0].id, DbEmailConfirmation.confirmed_at.is_(None))
                .values(confirmed_at=self.now()),
            )
            change = session.get(DbEmailChange, found[1].id, populate_existing=True)
            if used != 1 or change is None or change.ended_at is not None:
                raise NotFoundError(GONE)
            if any(side.confirmed_at is None for side in _sides(session, change.id)):
                return None
            change.ended_at = self.now()
            self._change(session, row, change.new_email, actor, keep=session_token)
            return as_user(row)

    def refuse(self, token: str, *, actor: Actor = SYSTEM) -> None:
        """Call a change off from one of its addresses. Raises NotFoundError."""
        with self.transaction() as session:
            found = self._find(session, token)
            if found is None:
                raise NotFoundError(GONE)
            change = found[1]
            require_user_row(session, change.user_id, lock=True)
            if not self._end(session, change.user_id):
                raise NotFoundError(GONE)
            self._accounts.log("auth.email_change_off", change.user_id, actor, {"side": found[0].side})
            if found[0].side == OLD:
                self._accounts.tell_security(change.user_id, "email", say("email_called_off"))

    # -- by hand --------------------------------------------------------------------------------

    def set_email(self, user_id: str, new_email: str, *, actor: Actor = SYSTEM) -> User:
        """Change an address without asking it: only from the command line, for whoever lost the old mailbox.

        All sessions end; both addresses are told. Raises ValidationError on ``email``, NotFoundError.
        """
        if actor.role != Role.SYSTEM:
            raise NotFoundError(_("There is no such account."))
        fields = Fields({"email": new_email})
        email = fields.take("email", parse_local_email, "")
        fields.check()
        with self.transaction() as session:
            row = require_user_row(session, user_id, lock=True)
            if email_key(email) != row.email_key:
                self._accounts.refuse_taken(email)
            self._end(session, user_id)
            self._change(session, row, email, actor, keep=None)
            return as_user(row)

    # -- mail: the worker's side ----------------------------------------------------------------

    def _is_waiting(self, now: Any) -> ColumnElement[bool]:
        return DbEmailConfirmation.done_at.is_(None)

    def _end_sent(self, mail: Mail) -> None:
        self._note_attempt(mail, done_at=self.now(), error="")

    def _end_refused(self, mail: Mail, error: str) -> None:
        """Nobody can confirm from there: who asked for the change is told in the app."""
        self._note_attempt(mail, done_at=self.now(), error=error)
        with self.transaction() as session:
            change = session.scalars(
                select(DbEmailChange)
                .join(DbEmailConfirmation, DbEmailConfirmation.change_id == DbEmailChange.id)
                .where(DbEmailConfirmation.id == mail.id)
            ).one()
            self._accounts.tell_undelivered(change.user_id, mail.to_address, error)

    def prune(self) -> int:
        """Delete changes a week old, and count them."""
        old = select(DbEmailChange.id).where(DbEmailChange.created_at < self.now() - KEEP)
        with self.transaction() as session:
            session.execute(delete(DbEmailConfirmation).where(DbEmailConfirmation.change_id.in_(old)))
            return run(session, delete(DbEmailChange).where(DbEmailChange.created_at < self.now() - KEEP))

    # -- inside ---------------------------------------------------------------------------------

    def _end(self, session: Session, user_id: str) -> int:
        return run(
            session,
            update(DbEmailChange)
            .where(DbEmailChange.user_id == user_id, DbEmailChange.ended_at.is_(None))
            .values(ended_at=self.now()),
        )

    def _find(self, session: Session, token: str) -> tuple[DbEmailConfirmation, DbEmailChange] | None:
        found = session.execute(
            select(DbEmailConfirmation, DbEmailChange)
            .join(DbEmailChange, DbEmailChange.id == DbEmailConfirmation.change_id)
            .join(DbUser, DbUser.id == DbEmailChange.user_id)
            .where(
                DbEmailConfirmation.token_hash == secret_hash(token),
                DbEmailConfirmation.confirmed_at.is_(None),
                DbEmailChange.ended_at.is_(None),
                DbEmailChange.expires_at > self.now(),
                DbUser.disabled_at.is_(None),
            )
        ).one_or_none()
        return None if found is None else (found[0], found[1])

    def _change(self, session: Session, row: DbUser, email: str, actor: Actor, *, keep: str | None) -> None:
        """The change itself, the account's row locked, in the caller's transaction."""
        old, key = row.email, email_key(email)
        taken = select(DbUser.id).where(DbUser.email_key == key, DbUser.id != row.id)
        if session.scalar(taken) is not None:
            raise ConflictError(_("This address got an account meanwhile."))
        row.email, row.email_key = email, key
        row.email_proven_at = None if actor.role == Role.SYSTEM else self.now()  # by hand nobody asks the mailbox
        row.mail_refused, row.mail_refused_at = "", None
        session.flush()
        self._sessions.end_all(row.id, keep=keep)
        self._links.void(row.id)
        self._accounts.log("auth.email_change", row.id, actor, personal={"email": email, "old_email": old})
        self._accounts.tell_security(row.id, "email", say("email_changed"))
        self._accounts.mail_to(row.id, old, *self._mail.letters.write("email_changed"))

    def _compose(self, row: DbEmailConfirmation) -> Mail | None:
        """The mail for one side; None (and done) when the change is over or there is nothing to say."""
        with self.transaction() as session:
            change = session.get_one(DbEmailChange, row.change_id, populate_existing=True)
            user = require_user_row(session, change.user_id)
            is_over = change.ended_at is not None or change.expires_at <= self.now() or user.disabled_at is not None
            if is_over:
                row.done_at = self.now()
                return None
            owner = session.scalar(select(DbUser).where(DbUser.email_key == email_key(change.new_email)))
            address = change.old_email if row.side == OLD else change.new_email
            with speaking(user.language):
                letter = self._letter(row, change, user, owner)
            return Mail(row.id, address, *letter, row.attempts)

    def _letter(
        self, row: DbEmailConfirmation, change: DbEmailChange, user: DbUser, owner: DbUser | None
    ) -> tuple[str, str]:
        write = self._mail.letters.write
        if row.side == OLD:
            return write("email_change_old", name=user.name, email=change.new_email, link=self._link(row))
        if owner is not None and owner.id != user.id:
            return write("email_change_known")
        return write("email_change_new", link=self._link(row))

    def _link(self, row: DbEmailConfirmation) -> Target:
        secret = new_secret()
        row.token_hash = secret_hash(secret)
        return Target(Place.EMAIL_LINK, secret)


def _sides(session: Session, change_id: str) -> Sequence[DbEmailConfirmation]:
    query = select(DbEmailConfirmation).where(DbEmailConfirmation.change_id == change_id)
    return session.scalars(query.execution_options(populate_existing=True)).all()
