"""Tokens for programs: rows whose secret only the program knows. Ending a row ends the token at once."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, delete, insert, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.language import _, lazy
from zentry_web.domain.people.factor import FactorNeeded
from zentry_web.domain.people.token import PREFIXES, PersonalToken, TokenKind, TokenPair, TokenScope
from zentry_web.domain.secret import new_secret, secret_hash
from zentry_web.domain.text import clean_name
from zentry_web.domain.user import SYSTEM, Actor, User
from zentry_web.models import DbApiToken, DbUser
from zentry_web.services.auth.basis import Basis
from zentry_web.services.auth.password_login import PasswordLogin
from zentry_web.services.auth.pending_logins import PendingLogins
from zentry_web.services.auth.sessions import TOUCH_EVERY
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import AuthenticationRequiredError, ConflictError, NotFoundError
from zentry_web.services.shared.access import require_recent_proof, require_self
from zentry_web.services.shared.account_rows import as_user, require_user_row
from zentry_web.services.shared.fields import Fields, invalid

ACCESS_LIFETIME = timedelta(minutes=15)
REFRESH_LIFETIME = timedelta(days=30)
KEEP_ENDED = timedelta(days=30)
MOST_PERSONAL = 50
MOST_DAYS = 366
LONGEST_NAME = 100
WRONG_TOKEN = lazy("This token is unknown, has expired or was ended.")


class ApiTokens(BaseService):
    """Access and refresh tokens, and personal ones; a part of AuthService."""

    name = "api_tokens"

    def __init__(self, core: Core, basis: Basis, *, login: PasswordLogin, pending: PendingLogins) -> None:
        """``login`` with its limits, its equal time and its audit; ``pending`` is its second step."""
        super().__init__(core)
        self._accounts, self._sessions = basis.accounts, basis.sessions
        self._login = login
        self._pending = pending

    # -- pairs ----------------------------------------------------------------------------------

    def issue(self, credentials: Mapping[str, object], *, actor: Actor = SYSTEM) -> TokenPair:
        """Log a program in with ``email`` and ``password``: an access token (15 min), a refresh token (30 days).

        An account with a second factor also gives ``code``, of an app or for recovery. Raises what
        ``AuthService.login`` and ``PendingLogins.finish_with_code`` raise, ValidationError on a missing ``code``.
        """
        signed_in = self._login.login(credentials, actor=actor)
        if isinstance(signed_in, FactorNeeded):
            code = credentials.get("code")
            if not isinstance(code, str) or not code:
                raise invalid({"code": _("This account has a second factor: send its code as well.")})
            signed_in = self._pending.finish_with_code(signed_in.secret, code, actor=actor)
        with self.transaction() as session:
            self._sessions.end([signed_in.session_token])  # a program has no use for a browser's session
            family, until = self.new_id("fam"), self.now() + REFRESH_LIFETIME
            return self._pair(session, signed_in.user.id, family, until)

    def refresh(self, token: str, *, actor: Actor = SYSTEM) -> TokenPair:
        """A new pair for a refresh token, which is used up; the end date stays.

        A token that comes a second time was stolen once: all of its family end, and the owner is told.
        Raises AuthenticationRequiredError.
        """
        with self.transaction() as session:
            row = session.scalar(self._open(token, TokenKind.REFRESH).with_for_update())
            if row is not None and row.used_at is None:
                row.used_at = self.now()
                self._end(session, (DbApiToken.family == row.family) & (DbApiToken.kind == TokenKind.ACCESS))
                return self._pair(session, row.user_id, str(row.family), row.expires_at)
            if row is not None:
                self._end(session, DbApiToken.family == row.family)
                self._tell_reuse(row.user_id, actor)
        raise AuthenticationRequiredError(WRONG_TOKEN)  # after the commit: the family stays ended

    def revoke(self, token: str, *, actor: Actor = SYSTEM) -> None:
        """End a token; one of a pair ends its whole family. An unknown one is no error (RFC 7009)."""
        with self.transaction() as session:
            row = session.scalar(
                select(DbApiToken).where(DbApiToken.token_hash == secret_hash(token), DbApiToken.ended_at.is_(None))
            )
            if row is None:
                return
            self._end(session, DbApiToken.family == row.family if row.family else DbApiToken.id == row.id)
            by_owner = Actor(row.user_id, actor.role, actor.address, actor.user_agent, actor.request_id)
            self._accounts.log("token.revoke", row.user_id, by_owner)

    # -- use ------------------------------------------------------------------------------------

    def find_user(self, token: str) -> tuple[User, frozenset[TokenScope]] | None:
        """Whose an access or personal token is and what it may do; None when it lets nobody in. One query."""
        now = self.now()
        with self.reading() as session:
            found = session.execute(
                select(DbApiToken, DbUser)
                .join(DbUser, DbUser.id == DbApiToken.user_id)
                .where(
                    DbApiToken.token_hash == secret_hash(token),
                    DbApiToken.kind.in_((TokenKind.ACCESS, TokenKind.PERSONAL)),
                    DbApiToken.ended_at.is_(None),
                    DbApiToken.expires_at > now,
                    DbUser.disabled_at.is_(None),
                )
            ).one_or_none()
        if found is None:
            return None
        row, user = found
        if row.kind == TokenKind.PERSONAL and (row.last_used_at is None or now - row.last_used_at >= TOUCH_EVERY):
            with self.transaction() as session:
                session.execute(update(DbApiToken).where(DbApiToken.id == row.id).values(last_used_at=now))
        return as_user(user), _scopes(row.scopes)

    # -- personal tokens ------------------------------------------------------------------------

    def create_personal(
        self, user_id: str, name: str, scopes: Iterable[str], days: int, *, actor: Actor = SYSTEM
    ) -> str:
        """Make a token named ``name`` for ``days`` (1 to 366); returns its secret, which is not stored.

        Raises ValidationError (details ``name``, ``scopes``, ``days``), NotFoundError, ConflictError (50 at
        most), ProofRequiredError.
        """
        require_self(actor, user_id)
        require_recent_proof(actor, self.now())
        fields = Fields({"name": name, "scopes": list(scopes), "days": days})
        name = fields.take("name", lambda value: clean_name(value, longest=LONGEST_NAME), "")
        none: tuple[TokenScope, ...] = ()
        chosen = fields.take("scopes", _parse_scopes, none)
        days = fields.take("days", _parse_days, 1)
        fields.check()
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            if len(self.list_personal(user_id)) >= MOST_PERSONAL:
                raise ConflictError(
                    _("There are %(most)s tokens already. End one that is not needed.", most=MOST_PERSONAL)
                )
            until = self.now() + timedelta(days=days)
            secret = self._add(session, user_id, TokenKind.PERSONAL, until, name=name, scopes=chosen)
            self._accounts.log("token.create", user_id, actor, {"scopes": " ".join(chosen), "days": days})
            return secret

    def list_personal(self, user_id: str, *, actor: Actor = SYSTEM) -> list[PersonalToken]:
        """A person's tokens that still work, newest first. Raises NotFoundError when they are somebody else's."""
        require_self(actor, user_id)
        query = (
            select(DbApiToken)
            .where(
                DbApiToken.user_id == user_id,
                DbApiToken.kind == TokenKind.PERSONAL,
                DbApiToken.ended_at.is_(None),
                DbApiToken.expires_at > self.now(),
            )
            .order_by(DbApiToken.id.desc())
        )
        with self.reading() as session:
            return [
                PersonalToken(
                    row.id,
                    row.name,
                    tuple(sorted(_scopes(row.scopes))),
                    row.created_at,
                    row.expires_at,
                    row.last_used_at,
                )
                for row in session.scalars(query)
            ]

    def end_personal(self, user_id: str, token_id: str, *, actor: Actor = SYSTEM) -> None:
        """End one token by its id. Raises NotFoundError when it does not work any more or is somebody else's."""
        require_self(actor, user_id)
        mine = (DbApiToken.id == token_id) & (DbApiToken.user_id == user_id) & (DbApiToken.kind == TokenKind.PERSONAL)
        with self.transaction() as session:
            if not self._end(session, mine):
                raise NotFoundError(_("That token has ended already."))
            self._accounts.log("token.revoke", user_id, actor)

    # -- upkeep ---------------------------------------------------------------------------------

    def end_all(self, user_id: str) -> None:
        """End every token of an account; in the caller's transaction."""
        with self.transaction() as session:
            self._end(session, DbApiToken.user_id == user_id)

    def prune(self) -> int:
        """Delete tokens that ended or expired a month ago; returns how many."""
        long_ago = self.now() - KEEP_ENDED
        with self.transaction() as session:
            old = delete(DbApiToken).where((DbApiToken.ended_at < long_ago) | (DbApiToken.expires_at < long_ago))
            return run(session, old)

    # -- inside ---------------------------------------------------------------------------------

    def _open(self, token: str, kind: TokenKind) -> Select[DbApiToken]:
        return select(DbApiToken).where(
            DbApiToken.token_hash == secret_hash(token),
            DbApiToken.kind == kind,
            DbApiToken.ended_at.is_(None),
            DbApiToken.expires_at > self.now(),
        )

    def _pair(self, session: Session, user_id: str, family: str, until: datetime) -> TokenPair:
        now = self.now()
        if session.scalar(select(DbUser.disabled_at).where(DbUser.id == user_id)) is not None:
            raise AuthenticationRequiredError(WRONG_TOKEN)
        access_until = min(now + ACCESS_LIFETIME, until)
        access = self._add(session, user_id, TokenKind.ACCESS, access_until, family=family, scopes=tuple(TokenScope))
        refresh = self._add(session, user_id, TokenKind.REFRESH, until, family=family)
        seconds = [int((end - now).total_seconds()) for end in (access_until, until)]
        return TokenPair(access, seconds[0], refresh, seconds[1])

    def _add(
        self,
        session: Session,
        user_id: str,
        kind: TokenKind,
        until: datetime,
        *,
        family: str | None = None,
        name: str = "",
        scopes: Iterable[TokenScope] = (),
    ) -> str:
        secret = PREFIXES[kind] + new_secret()
        row = {
            "id": self.new_id("tok"),
            "user_id": user_id,
            "kind": kind,
            "family": family,
            "name": name,
            "scopes": " ".join(scopes),
            "token_hash": secret_hash(secret),
            "created_at": self.now(),
            "expires_at": until,
        }
        session.execute(insert(DbApiToken), [row])
        return secret

    def _end(self, session: Session, which: ColumnElement[bool]) -> int:
        return run(session, update(DbApiToken).where(which, DbApiToken.ended_at.is_(None)).values(ended_at=self.now()))

    def _tell_reuse(self, user_id: str, actor: Actor) -> None:
        self._accounts.log("token.reuse", user_id, actor)
        self._accounts.tell_token_reuse(user_id)


def _scopes(stored: str) -> frozenset[TokenScope]:
    """The scopes of a row; one that exists no more is left out."""
    return frozenset(TokenScope(word) for word in stored.split() if word in set(TokenScope))


def _parse_scopes(value: object) -> tuple[TokenScope, ...]:
    words = value if isinstance(value, list) else []
    if not words or not all(word in set(TokenScope) for word in words):
        raise ValueError(_("Choose what the token may do."))
    return tuple(sorted({TokenScope(word) for word in words}))


def _parse_days(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_DAYS:
        raise ValueError(_("Enter a number of days from 1 to %(most)s.", most=MOST_DAYS))
    return value
