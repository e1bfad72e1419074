"""Proving an e-mail address: signing up and getting back in by a link that only its mailbox receives.

A request writes one row, whether or not there is an account: neither its words nor its time tell. The worker
finds out which mail to send, makes the secret, and keeps no more of it than a hash.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.email import mailbox
from zentry_web.domain.language import _, speaking
from zentry_web.domain.notice import Mail
from zentry_web.domain.secret import new_secret, secret_hash
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor, PendingSignup, Role, SignedIn, User
from zentry_web.models import DbMailRequest, DbUser
from zentry_web.services.auth.accounts import spoken
from zentry_web.services.auth.basis import Basis
from zentry_web.services.auth.one_time_links import GONE, LinkPurpose
from zentry_web.services.auth.password_strength import strong_password
from zentry_web.services.base_service import Core
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.account_rows import as_user
from zentry_web.services.shared.fields import Fields, email_key, parse_email, parse_person
from zentry_web.services.shared.mail_queue import MailQueue
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of, network_of

SIGNUP, RESET, FORCED = "signup", "reset", "forced_reset"
SIGNUP_LIFETIME = timedelta(hours=24)
GIVE_UP = timedelta(hours=24)
KEEP = timedelta(days=7)  # they hold addresses of people who may have no account
RESETTING = (LinkPurpose.RESET_PASSWORD,)


class EmailVerification(MailQueue):
    """Sign-up and forgotten passwords by mail; a part of AuthService."""

    name = "email_verification"
    _table = DbMailRequest

    def __init__(self, core: Core, basis: Basis) -> None:
        super().__init__(core)
        self._accounts, self._sessions, self._rules = basis.accounts, basis.sessions, basis.rules
        self._links, self._passwords = basis.links, basis.passwords
        self._limits = RateLimiter(core)
        self._mail = core.mail

    @property
    def enabled(self) -> bool:
        """Whether addresses are verified: where a mail server is set."""
        return self._mail.enabled

    # -- signing up -----------------------------------------------------------------------------

    def request_signup(self, user_data: Mapping[str, object], *, actor: Actor = SYSTEM) -> None:
        """Have a link mailed to ``email``; ``name`` is kept for the account. The same for known and unknown addresses.

        ``invitation`` as in ``AuthService.signup``. Raises ValidationError (details per field), ConflictError (closed),
        RateLimitedError (3 an hour for one address; a setting for one network).
        """
        fields = Fields(user_data)
        email = fields.take("email", parse_email, "")
        name = fields.take("name", parse_person, "")
        fields.check()
        invitation_id = self._rules.check(email, invitation=user_data.get("invitation"), actor=actor)
        self._ask(SIGNUP, email, name, actor, invitation_id)

    def peek_signup(self, token: str) -> PendingSignup | None:
        """What a sign-up's link stands for, without using it; None when it has expired or was used."""
        with self.reading() as session:
            row = session.scalar(self._open_signup(token))
        return PendingSignup(row.email, row.name) if row else None

    def finish_signup(self, token: str, password: str, *, actor: Actor = SYSTEM) -> SignedIn:
        """Make the account, with its wallet and starting credits (once per mailbox), and sign in.

        Raises ValidationError (details ``password``), NotFoundError when the link has expired or was used,
        ConflictError when the address got an account meanwhile, or may not sign up any more.
        """
        waiting = self.peek_signup(token)
        if waiting is None:
            raise NotFoundError(GONE)
        self._rules.check_again(waiting.email)
        fields = Fields({"password": password})
        password = fields.take("password", strong_password(waiting.email, waiting.name), "")
        fields.check()
        password_hash = self._passwords.hash(password)
        with self.transaction() as session:
            if not self._use(session, token):
                raise NotFoundError(GONE)
            if session.scalar(select(DbUser.id).where(DbUser.email_key == email_key(waiting.email))) is not None:
                raise ConflictError(_("There is an account with this e-mail address by now. Please log in."))
            self._rules.use(session.scalar(select(DbMailRequest.invitation_id).where(_secret(token))))
            user = self._accounts.add(
                waiting.email, waiting.name, Role.USER, password_hash, actor=actor, once_per=mailbox(waiting.email)
            )
            return self._sessions.open(user, actor)

    # -- getting back in ------------------------------------------------------------------------

    def request_reset(self, email: str, *, actor: Actor = SYSTEM) -> None:
        """Have a link mailed to an account's address. The same, for the one who asks, when there is no account.

        Raises ValidationError on ``email``, RateLimitedError.
        """
        fields = Fields({"email": email})
        address = fields.take("email", parse_email, "")
        fields.check()
        self._ask(RESET, address, "", actor)

    def send_forced_reset(self, row: DbUser) -> None:
        """Have a link mailed by which a person sets a new password because an admin made the old one useless; in the
        caller's transaction."""
        now = self.now()
        with self.transaction() as session:
            self._post()
            session.add(
                DbMailRequest(
                    id=self.new_id("mrq"),
                    purpose=FORCED,
                    email=row.email,
                    name="",
                    created_at=now,
                    run_at=now,
                    attempts=0,
                )
            )

    def peek_reset(self, token: str) -> User | None:
        """Whose password a link sets anew, without using it; None when it has expired or was used."""
        found = self._links.find(token, RESETTING)
        return as_user(found[0]) if found else None

    def reset_password(self, token: str, password: str, *, actor: Actor = SYSTEM) -> User:
        """Set a new password and end all sessions; nobody is signed in by it.

        Raises ValidationError on ``password``, NotFoundError when the link has expired or was used.
        """
        user = self._links.require(token, RESETTING)
        fields = Fields({"password": password})
        password = fields.take("password", strong_password(user.email, user.name), "")
        fields.check()
        password_hash = self._passwords.hash(password)
        with self.transaction() as session:
            row, _ = self._links.use(session, token, RESETTING)
            row.password_hash, row.email_proven_at = password_hash, self.now()
            session.flush()
            self._sessions.end_all(row.id)
            self._links.void(row.id)
            self._accounts.log("auth.password_reset", row.id, actor)
            self._accounts.tell_password_changed(row.id)
            return as_user(row)

    # -- mail: the worker's side ----------------------------------------------------------------

    def _is_waiting(self, now: Any) -> ColumnElement[bool]:
        return DbMailRequest.done_at.is_(None)

    def _end_sent(self, mail: Mail) -> None:
        self._note_attempt(mail, done_at=self.now(), error="")

    def _end_refused(self, mail: Mail, error: str) -> None:
        self._note_attempt(mail, done_at=self.now(), error=error)

    def prune(self) -> int:
        """Delete requests a week old, and count them."""
        with self.transaction() as session:
            old = delete(DbMailRequest).where(DbMailRequest.created_at < self.now() - KEEP)
            return run(session, old)

    # -- inside ---------------------------------------------------------------------------------

    def _ask(self, purpose: str, email: str, name: str, actor: Actor, invitation_id: str | None = None) -> None:
        most = self._rules.most_per_hour() if purpose == SIGNUP else None
        self._limits.check(
            limit_of(f"mail_{purpose}", email_key(email)),
            limit_of(f"mail_{purpose}_network", network_of(actor.address), most),
        )
        now = self.now()
        row = DbMailRequest(
            id=self.new_id("mrq"), purpose=purpose, email=email, name=name, created_at=now, run_at=now, attempts=0,
            invitation_id=invitation_id, language=spoken(),
        )  # fmt: skip
        with self.transaction() as session:
            self._post()
            session.add(row)

    def _compose(self, row: DbMailRequest) -> Mail | None:
        """The mail that a request comes to; None (and done) when it comes to none."""
        with self.transaction() as session:
            user = session.scalar(select(DbUser).where(DbUser.email_key == email_key(row.email)))
            with speaking(user.language if user else row.language):
                written = self._letter(session, row, user)
            if written is None:
                session.execute(update(DbMailRequest).where(DbMailRequest.id == row.id).values(done_at=self.now()))
                return None
        subject, body = written
        return Mail(row.id, user.email if user else row.email, subject, body, row.attempts)

    def _letter(self, session: Session, row: DbMailRequest, user: DbUser | None) -> tuple[str, str] | None:
        if row.created_at < self.now() - GIVE_UP:
            return None
        if row.purpose == SIGNUP:
            return self._signup_letter(session, row) if user is None else self._known_letter(user)
        return self._reset_letter(user, forced=row.purpose == FORCED)

    def _signup_letter(self, session: Session, row: DbMailRequest) -> tuple[str, str]:
        secret = new_secret()
        session.execute(
            update(DbMailRequest)
            .where(DbMailRequest.id == row.id)
            .values(token_hash=secret_hash(secret), expires_at=self.now() + SIGNUP_LIFETIME)
        )
        # Not the name: a stranger may have typed it.
        return self._mail.letters.write("sign_up", link=Target(Place.SIGN_UP_LINK, secret))

    def _known_letter(self, user: DbUser) -> tuple[str, str] | None:
        if user.disabled_at is not None:
            return None
        login, forgotten = Target(Place.LOGIN), Target(Place.FORGOTTEN)
        return self._mail.letters.write("sign_up_known", name=user.name, login=login, forgotten=forgotten)

    def _reset_letter(self, user: DbUser | None, *, forced: bool) -> tuple[str, str] | None:
        if user is None or user.disabled_at is not None:
            return None
        if forced and user.password_hash is not None:
            return None  # its owner has chosen another one already
        link = Target(Place.RESET_LINK, self._links.make(user.id, LinkPurpose.RESET_PASSWORD))
        if forced:
            forgotten = Target(Place.FORGOTTEN)
            return self._mail.letters.write("reset_forced", name=user.name, link=link, forgotten=forgotten)
        return self._mail.letters.write("reset", name=user.name, link=link)

    def _open_signup(self, token: str) -> Select[DbMailRequest]:
        return select(DbMailRequest).where(
            DbMailRequest.purpose == SIGNUP,
            DbMailRequest.token_hash == secret_hash(token),
            DbMailRequest.used_at.is_(None),
            DbMailRequest.expires_at > self.now(),
        )

    def _use(self, session: Session, token: str) -> bool:
        return (
            run(
                session,
                update(DbMailRequest)
                .where(
                    _secret(token),
                    DbMailRequest.used_at.is_(None),
                    DbMailRequest.expires_at > self.now(),
                )
                .values(used_at=self.now(), done_at=self.now()),
            )
            == 1
        )


def _secret(token: str) -> ColumnElement[bool]:
    return DbMailRequest.token_hash == secret_hash(token)
