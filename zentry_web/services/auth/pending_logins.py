"""From a right password to a session: where an account has a second factor, that has to come first."""

from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.event import Outcome
from zentry_web.domain.language import lazy
from zentry_web.domain.notice_texts import say
from zentry_web.domain.people.factor import FactorKind, FactorNeeded, Factors, is_app_code, plain_code
from zentry_web.domain.secret import new_secret, secret_hash
from zentry_web.domain.user import Actor, SignedIn
from zentry_web.models import DbFactor, DbPendingLogin, DbUser
from zentry_web.services.auth.basis import Basis
from zentry_web.services.auth.factors import WRONG_CODE, SecondFactors
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import AuthenticationRequiredError
from zentry_web.services.shared.account_rows import as_user, require_user_row
from zentry_web.services.shared.fields import invalid
from zentry_web.services.shared.rate_limits import Limit, RateLimiter, limit_of, network_of

LIFETIME = timedelta(minutes=5)
ATTEMPTS = 5
AGAIN = lazy("Please log in again: five minutes have passed, or too many codes were wrong.")


class PendingLogins(BaseService):
    """Keeps who may bring a factor, for five minutes and five attempts; a part of AuthService.

    Codes have six digits, so guesses are limited three times: per log-in, per account and network, and per account
    over all networks it was never used from. The last cannot shut the owner out: it does not count where they have
    been signed in before, nor for recovery codes and passkeys, which nobody guesses.
    """

    name = "pending_logins"

    def __init__(self, core: Core, basis: Basis, factors: SecondFactors) -> None:
        super().__init__(core)
        self._accounts, self._sessions = basis.accounts, basis.sessions
        self._factors = factors
        self._limits = RateLimiter(core)

    def enter(
        self, row: DbUser, actor: Actor, *, replaces: str | None = None, by_link: bool = False
    ) -> SignedIn | FactorNeeded:
        """Open a session, or ask for the factor if there is one; in the caller's transaction, the row locked.

        ``replaces`` is an older session of this browser, to be ended with the log-in. ``by_link``: an admin's link,
        of which the caller makes an event of its own.
        """
        with self.transaction() as session:
            if session.scalar(select(DbFactor.id).where(DbFactor.user_id == row.id).limit(1)) is None:
                if by_link:
                    return self._sessions.open(as_user(row), actor)
                return self.open(row, actor, replaces=replaces)
            now, secret = self.now(), new_secret()
            session.add(
                DbPendingLogin(
                    token_hash=secret_hash(secret),
                    user_id=row.id,
                    created_at=now,
                    expires_at=now + LIFETIME,
                    attempts=0,
                )
            )
            return FactorNeeded(as_user(row), secret, now + LIFETIME)

    def open(self, row: DbUser, actor: Actor, *, replaces: str | None = None, by: FactorKind | None = None) -> SignedIn:
        """Open the session of somebody who has proved all there is to prove; in the caller's transaction."""
        if replaces:
            self._sessions.end([replaces])
        self._accounts.log("auth.login", row.id, actor, {"factor": by} if by else None)
        if self._sessions.is_new_device(row.id, actor.user_agent or ""):
            self._accounts.tell_new_device(row.id, actor)
        return self._sessions.open(as_user(row), actor)

    def find_factors(self, secret: str) -> Factors | None:
        """What may be brought in a log-in that waits; None when it does not wait any more."""
        user_id = self.find_user_id(secret)
        return self._factors.list_factors(user_id) if user_id else None

    def find_user_id(self, secret: str) -> str | None:
        """Whose log-in waits, or None."""
        with self.reading() as session:
            return session.scalar(
                select(DbPendingLogin.user_id)
                .join(DbUser, DbUser.id == DbPendingLogin.user_id)
                .where(
                    DbPendingLogin.token_hash == secret_hash(secret),
                    DbPendingLogin.expires_at > self.now(),
                    DbPendingLogin.attempts < ATTEMPTS,
                    DbUser.disabled_at.is_(None),
                )
            )

    def finish_with_code(self, secret: str, code: str, *, actor: Actor, replaces: str | None = None) -> SignedIn:
        """Bring the code of an app or a recovery code, and be signed in.

        Raises ValidationError on ``code``, RateLimitedError, AuthenticationRequiredError when the log-in does not
        wait any more (then it begins at the password again).
        """
        user_id = self.find_user_id(secret)
        if user_id is None:
            raise AuthenticationRequiredError(AGAIN)
        limits = self._limits_of(user_id, code, actor)
        self._limits.check(*limits)
        left = self.take_attempt(secret)
        with self.transaction() as session:
            row = require_user_row(session, user_id, lock=True)
            used = self._factors.spend(session, user_id, code, actor)
            if used is not None:
                self.use(session, secret, row)
                for limit in limits:
                    self._limits.give_back(limit)
                return self.open(row, actor, replaces=replaces, by=used)
        self.refused(user_id, actor, left)
        raise invalid({"code": WRONG_CODE})

    def take_attempt(self, secret: str) -> int:
        """Count an attempt before it is looked at, so that many at once are counted too; returns how many are left.

        Raises AuthenticationRequiredError when none is left.
        """
        with self.transaction() as session:
            attempts = session.scalar(
                update(DbPendingLogin)
                .where(
                    DbPendingLogin.token_hash == secret_hash(secret),
                    DbPendingLogin.expires_at > self.now(),
                    DbPendingLogin.attempts < ATTEMPTS,
                )
                .values(attempts=DbPendingLogin.attempts + 1)
                .returning(DbPendingLogin.attempts)
                .execution_options(synchronize_session=False)
            )
        if attempts is None:
            raise AuthenticationRequiredError(AGAIN)
        return ATTEMPTS - attempts

    def use(self, session: Session, secret: str, row: DbUser) -> None:
        """Let a log-in wait no longer, in the caller's transaction: of two who finish it, one does.

        Raises AuthenticationRequiredError when it is gone, or the account was disabled meanwhile.
        """
        gone = run(
            session,
            delete(DbPendingLogin).where(
                DbPendingLogin.token_hash == secret_hash(secret), DbPendingLogin.expires_at > self.now()
            ),
        )
        if gone != 1 or row.disabled_at is not None:
            raise AuthenticationRequiredError(AGAIN)

    def refused(self, user_id: str, actor: Actor, left: int) -> None:
        """Record a wrong factor; when the attempts are used up, the owner learns that somebody has the password."""
        with self.transaction():
            self._accounts.log("auth.factor", user_id, actor, outcome=Outcome.REFUSED)
            if left == 0:
                day = f"{self.now():%Y-%m-%d}"
                self._accounts.tell_security(user_id, "factor_guessed", say("factor_guessed"), key=day)

    def prune(self) -> int:
        """Delete log-ins that wait no longer; returns how many."""
        with self.transaction() as session:
            old = delete(DbPendingLogin).where(DbPendingLogin.expires_at <= self.now())
            return run(session, old)

    def _limits_of(self, user_id: str, code: str, actor: Actor) -> list[Limit]:
        network = network_of(actor.address)
        limits = [limit_of("factor", f"{user_id}|{network}")]
        if is_app_code(plain_code(code)) and not self._sessions.was_used_from(user_id, network):
            limits.append(limit_of("factor_strangers", user_id))
        return limits
