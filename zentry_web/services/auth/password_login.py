"""Logging in by address and password: the same words and time whatever is wrong, and longer waits for who guesses."""

from collections.abc import Mapping

from sqlalchemy import select

from zentry_web.domain.language import lazy
from zentry_web.domain.people.factor import FactorNeeded
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.user import SYSTEM, Actor, SignedIn
from zentry_web.models import DbUser
from zentry_web.services.auth.basis import Basis
from zentry_web.services.auth.captcha_gate import CaptchaGate
from zentry_web.services.auth.pending_logins import PendingLogins
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import AuthenticationRequiredError
from zentry_web.services.shared.account_rows import require_user_row
from zentry_web.services.shared.fields import email_key
from zentry_web.services.shared.rate_limits import Limit, RateLimiter, limit_of, network_of
from zentry_web.services.shared.rate_rules import RULES
from zentry_web.services.shared.settings import Settings

WRONG_LOGIN = lazy("The e-mail address or the password is wrong.")


class PasswordLogin(BaseService):
    """A part of AuthService."""

    name = "password_login"

    def __init__(
        self, core: Core, basis: Basis, *, settings: Settings, captcha: CaptchaGate, pending: PendingLogins
    ) -> None:
        super().__init__(core)
        self._accounts, self._passwords = basis.accounts, basis.passwords
        self._settings = settings
        self._captcha = captcha
        self._pending = pending
        self._limits = RateLimiter(core)

    def login(
        self, credentials: Mapping[str, object], *, actor: Actor = SYSTEM, replaces: str | None = None
    ) -> SignedIn | FactorNeeded:
        """Open a session, or ask for the factor. Promises and raises what ``AuthService.login`` does."""
        typed = credentials.get("email")
        key = email_key(typed) if isinstance(typed, str) else ""
        network = network_of(actor.address)
        tries = self._settings.number(SettingKey.LOGIN_TRIES)
        pair = _waits(f"{key}|{network}", tries)
        crowd = limit_of("login_network", network)
        self._limits.check(*pair, crowd)
        self._captcha.check_login(typed, credentials.get("captcha"), actor)
        password = credentials.get("password")
        with self.reading() as session:
            row = session.scalar(select(DbUser).where(DbUser.email_key == key))
        right = self._passwords.verify(
            row.password_hash if row else None, password if isinstance(password, str) else ""
        )
        if row is None or row.password_hash is None or not right or row.disabled_at is not None:
            self._accounts.log_refused(row, typed, actor)
            raise AuthenticationRequiredError(WRONG_LOGIN)
        rehashed = None
        if self._passwords.needs_rehash(row.password_hash):
            rehashed = self._passwords.hash(str(password))
        with self.transaction():
            self._limits.clear(*pair)
            self._limits.give_back(crowd)  # an office behind one address may log in all day
            return self._begin(row, rehashed, replaces, actor)

    def _begin(
        self, found: DbUser, rehashed: str | None, replaces: str | None, actor: Actor
    ) -> SignedIn | FactorNeeded:
        with self.transaction() as session:
            row = require_user_row(session, found.id, lock=True)
            if row.password_hash != found.password_hash or row.disabled_at is not None:
                raise AuthenticationRequiredError(WRONG_LOGIN)  # changed or disabled while it was being checked
            if rehashed is not None:
                row.password_hash = rehashed
            return self._pending.enter(row, actor, replaces=replaces)


def _waits(subject: str, tries: int) -> tuple[Limit, ...]:
    """The growing waits of who guesses: a minute, a quarter of an hour after ``tries``, an hour after twice as many.

    The longest first, so that it is the one that is told.
    """
    burst = min(RULES["login_burst"].count, tries)
    return (
        limit_of("login_long", subject, 2 * tries),
        limit_of("login", subject, tries),
        limit_of("login_burst", subject, burst),
    )
