"""Signed-in browsers: rows whose secret is known to the cookie only. Ending a row ends the session at once."""

import hashlib
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    false,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.exc import OperationalError

from zentry_web.adapters.database import run
from zentry_web.domain.package_settings import AuthSettings
from zentry_web.domain.people.device import device_name
from zentry_web.domain.people.token import TokenKind
from zentry_web.domain.secret import new_secret, secret_hash
from zentry_web.domain.user import Actor, CurrentSession, OpenSession, SignedIn, User
from zentry_web.models import DbApiToken, DbAuthSession, DbEvent, DbFactor, DbPendingLogin, DbUser
from zentry_web.services.auth.accounts import Accounts
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.shared.account_rows import as_user
from zentry_web.services.shared.rate_limits import network_of

log = structlog.get_logger(__name__)

TOUCH_EVERY = timedelta(minutes=5)  # a read-only page writes 'last seen' at most this often
KEEP_ENDED = timedelta(days=30)
RENEW_EVERY = timedelta(hours=12)
RENEW_AGAIN = timedelta(minutes=1)  # of pages that are opened at once, one brings the new secret
PREVIOUS_LASTS = timedelta(minutes=2)  # for what was under way when the new secret arrived
MOST_SHOWN = 100


def public_id(token_hash: str) -> str:
    """A name for a session that its owner may see. Nothing leads from it back to the hash or the secret."""
    return f"ses_{hashlib.sha256(f'public:{token_hash}'.encode()).hexdigest()[:20]}"


class Sessions(BaseService):
    """Opens, finds, renews and ends sessions: after some days always, sooner when unused.

    A session's secret is renewed twice a day. The new one counts from the moment the browser first shows it, so an
    answer that got lost shuts nobody out. Who shows the old one later has a copy, or was copied: the session ends.
    """

    name = "sessions"

    def __init__(self, core: Core, settings: AuthSettings, accounts: Accounts) -> None:
        super().__init__(core)
        self._accounts = accounts
        self._lifetime = timedelta(days=settings.session_days)
        self._idle = timedelta(days=min(settings.session_idle_days, settings.session_days))

    def open(self, user: User, actor: Actor, *, expires_at: datetime | None = None) -> SignedIn:
        """A new session of ``user``, who has just proved who it is; in the caller's transaction."""
        return self._open(user, actor, expires_at=expires_at, proved_at=self.now())

    def _open(self, user: User, actor: Actor, *, expires_at: datetime | None, proved_at: datetime | None) -> SignedIn:
        now = self.now()
        secret = new_secret()
        expires_at = expires_at or now + self._lifetime
        with self.transaction() as session:
            session.add(
                DbAuthSession(
                    token_hash=secret_hash(secret),
                    user_id=user.id,
                    created_at=now,
                    last_seen_at=now,
                    expires_at=expires_at,
                    ended_at=None,
                    proved_at=proved_at,
                    address=(actor.address or "")[:64],
                    user_agent=(actor.user_agent or "")[:300],
                )
            )
        return SignedIn(user, secret, expires_at)

    def find(self, secret: str) -> CurrentSession | None:
        """Whose session it is, or None when it has ended, expired, or the account is disabled. One query."""
        row = self._find(secret)
        if row is None:
            return None
        shown, now = secret_hash(secret), self.now()
        secret_at = row.secret_at or row.begun_at
        is_previous = shown == row.previous_hash
        if is_previous and now - secret_at > PREVIOUS_LASTS:
            self._end_reused(row)
            return None
        if shown == row.next_hash:
            self._promote(row)
            secret_at = now
        elif now - row.last_seen_at >= TOUCH_EVERY:
            self._touch(row.token_hash)
        is_due = is_previous or now - secret_at >= RENEW_EVERY
        return CurrentSession(as_user(row), row.proved_at, bool(row.has_factor), is_due, row.newest or 0)

    def find_all(self, secrets: Collection[str]) -> dict[str, CurrentSession]:
        """By secret, the open ones among these. Does nothing to them. One statement."""
        by_hash = {secret_hash(secret): secret for secret in secrets}
        with self.reading() as session:
            rows = session.execute(_ALL_OPEN, {"shown": list(by_hash)} | self._now_open()).all()
        return {
            by_hash[shown]: CurrentSession(as_user(row), row.proved_at, bool(row.has_factor))
            for row in rows
            for shown in (row.token_hash, row.next_hash, row.previous_hash)
            if shown in by_hash
        }

    def renew(self, secret: str) -> str | None:
        """Another secret for the browser that holds this one; this one works until the other is first shown.

        None when the session is not open, or another answer brought one a moment ago.
        """
        now, fresh = self.now(), new_secret()
        shown = secret_hash(secret)
        with self.transaction() as session:
            given = run(
                session,
                update(DbAuthSession)
                .where(
                    or_(DbAuthSession.token_hash == shown, DbAuthSession.previous_hash == shown),
                    DbAuthSession.ended_at.is_(None),
                    or_(DbAuthSession.next_at.is_(None), DbAuthSession.next_at <= now - RENEW_AGAIN),
                )
                .values(next_hash=secret_hash(fresh), next_at=now),
            )
        return fresh if given == 1 else None

    def rotate(self, secret: str, actor: Actor) -> SignedIn | None:
        """End this session and open another with its end date; None if it is not open. In the caller's transaction."""
        with self.transaction():
            row = self._find(secret)
            if row is None or not self.end([secret]):
                return None
            return self._open(as_user(row), actor, expires_at=row.expires_at, proved_at=row.proved_at)

    def prove(self, secret: str) -> None:
        """The person behind this session has just proved again who it is; in the caller's transaction, if any."""
        with self.transaction() as session:
            run(
                session,
                update(DbAuthSession)
                .where(_shows([secret]), DbAuthSession.ended_at.is_(None))
                .values(proved_at=self.now()),
            )

    def was_used_from(self, user_id: str, network: str) -> bool:
        """Whether the account was signed in from this network (rate_limit.network_of) in the last weeks."""
        with self.reading() as session:
            addresses = session.scalars(
                select(DbAuthSession.address).where(DbAuthSession.user_id == user_id).distinct()
            ).all()
        return network in {network_of(address) for address in addresses if address}

    def list_open(self, user_id: str, *, current: str | None = None) -> list[OpenSession]:
        """The sessions of an account that still let somebody in, the one used last first; ``current`` is marked."""
        now = self.now()
        here = secret_hash(current) if current else "none"
        query = (
            select(DbAuthSession)
            .where(
                DbAuthSession.user_id == user_id,
                DbAuthSession.ended_at.is_(None),
                DbAuthSession.expires_at > now,
                DbAuthSession.last_seen_at > now - self._idle,
            )
            .order_by(DbAuthSession.last_seen_at.desc(), DbAuthSession.token_hash)
            .limit(MOST_SHOWN)
        )
        with self.reading() as session:
            return [
                OpenSession(
                    id=public_id(row.token_hash),
                    device=device_name(row.user_agent),
                    address=row.address,
                    created_at=row.created_at,
                    last_seen_at=row.last_seen_at,
                    expires_at=min(row.expires_at, row.last_seen_at + self._idle),
                    is_current=here in (row.token_hash, row.next_hash, row.previous_hash),
                )
                for row in session.scalars(query)
            ]

    def end_one(self, user_id: str, session_id: str) -> int:
        """End the session with this public id, if it is the account's; returns how many were open (0 or 1)."""
        with self.reading() as session:
            hashes = session.scalars(
                select(DbAuthSession.token_hash).where(
                    DbAuthSession.user_id == user_id, DbAuthSession.ended_at.is_(None)
                )
            )
            found = [each for each in hashes if public_id(each) == session_id]
        return self._end(DbAuthSession.token_hash.in_(found)) if found else 0

    def is_new_device(self, user_id: str, user_agent: str) -> bool:
        """Whether an account that has been used before was never used by a browser that calls itself so."""
        with self.reading() as session:
            agents = session.scalars(
                select(DbAuthSession.user_agent).where(DbAuthSession.user_id == user_id).distinct()
            ).all()
        return bool(agents) and device_name(user_agent) not in {device_name(agent) for agent in agents}

    def end(self, some: Iterable[str]) -> int:
        """End the sessions with these secrets; returns how many were open."""
        return self._end(_shows(some))

    def end_all(self, user_id: str, *, keep: str | None = None) -> int:
        """End all sessions of an account, except the one with the secret ``keep``; returns how many were open.

        Tokens that programs got by the password end with them; without ``keep``, personal tokens too. Log-ins that
        wait for a factor are void.
        """
        with self.transaction() as session:
            session.execute(delete(DbPendingLogin).where(DbPendingLogin.user_id == user_id))
        condition = DbAuthSession.user_id == user_id
        tokens = and_(DbApiToken.user_id == user_id, DbApiToken.ended_at.is_(None))
        if keep is not None:
            condition = and_(condition, func.coalesce(_shows([keep]), false()).is_(false()))
            tokens = and_(tokens, DbApiToken.kind != TokenKind.PERSONAL)
        with self.transaction() as session:
            run(session, update(DbApiToken).where(tokens).values(ended_at=self.now()))
            return self._end(condition)

    def prune(self) -> int:
        """Delete sessions that ended or expired a month ago; returns how many."""
        long_ago = self.now() - KEEP_ENDED
        with self.transaction() as session:
            old = delete(DbAuthSession).where(
                or_(DbAuthSession.ended_at < long_ago, DbAuthSession.expires_at < long_ago)
            )
            return run(session, old)

    def _find(self, secret: str) -> Any:
        with self.looking() as session:
            return session.execute(_OPEN, {"shown": secret_hash(secret)} | self._now_open()).first()

    def _now_open(self) -> dict[str, datetime]:
        now = self.now()
        return {"now": now, "used_after": now - self._idle}

    def _end(self, condition: ColumnElement[bool]) -> int:
        with self.transaction() as session:
            return run(
                session,
                update(DbAuthSession).where(condition, DbAuthSession.ended_at.is_(None)).values(ended_at=self.now()),
            )

    def _promote(self, row: Any) -> None:
        """The browser has the new secret: from now on it is the one, and the old one is remembered."""
        now, old, new = self.now(), row.token_hash, row.next_hash
        try:
            with self.transaction() as session:
                run(
                    session,
                    update(DbAuthSession)
                    .where(DbAuthSession.token_hash == old, DbAuthSession.next_hash == new)
                    .values(token_hash=new, previous_hash=old, next_hash=None, secret_at=now, last_seen_at=now),
                )
        except OperationalError:  # the database is busy: the next request does it
            log.warning("session_not_renewed")

    def _end_reused(self, row: Any) -> None:
        with self.transaction():
            if self._end(DbAuthSession.token_hash == row.token_hash):
                self._accounts.session_reused(row.user_id)

    def _touch(self, token_hash: str) -> None:
        try:
            with self.transaction() as session:
                run(
                    session,
                    update(DbAuthSession).where(DbAuthSession.token_hash == token_hash).values(last_seen_at=self.now()),
                )
        except OperationalError:  # the database is busy: a page must not fail for this
            log.warning("session_not_touched")


def _read_open(*, several: bool) -> Select[Any]:
    """The open sessions whose secret has the hash ``shown`` (or one of them), with their accounts: plain columns, and
    built once, for every request asks this before it does anything."""
    table, user = DbAuthSession.__table__.c, DbUser.__table__.c
    shown: Any = bindparam("shown", expanding=several)
    secrets = (table.token_hash, table.next_hash, table.previous_hash)
    return (
        select(
            *(*secrets, table.secret_at, table.last_seen_at, table.user_id, table.expires_at, table.proved_at),
            table.created_at.label("begun_at"),
            *(user.id, user.email, user.name, user.role, user.time_zone, user.created_at, user.disabled_at),
            *(user.region, user.language, user.theme, user.shortcuts, user.mail_refused, user.mail_refused_at),
            exists().where(DbFactor.user_id == user.id).label("has_factor"),
            select(func.max(DbEvent.seq)).scalar_subquery().label("newest"),
        )
        .join_from(DbAuthSession.__table__, DbUser.__table__, user.id == table.user_id)
        .where(
            or_(*(each.in_(shown) if several else each == shown for each in secrets)),
            table.ended_at.is_(None),
            table.expires_at > bindparam("now"),
            table.last_seen_at > bindparam("used_after"),
            user.disabled_at.is_(None),
        )
    )


_OPEN, _ALL_OPEN = _read_open(several=False), _read_open(several=True)


def _shows(secrets: Iterable[str]) -> ColumnElement[bool]:
    """The sessions that one of these secrets belongs to: the one in force, the one before, or the one to come."""
    hashes = [secret_hash(secret) for secret in secrets]
    return or_(
        DbAuthSession.token_hash.in_(hashes),
        DbAuthSession.next_hash.in_(hashes),
        DbAuthSession.previous_hash.in_(hashes),
    )
