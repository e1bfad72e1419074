"""Counting attempts in the database: one count for all processes, which a restart does not forget."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run, upsert
from zentry_web.domain.language import _, lazy, ngettext
from zentry_web.domain.user import Actor
from zentry_web.models import DbRateCounter
from zentry_web.services.base_service import BaseService, is_only_looking
from zentry_web.services.errors import RateLimitedError
from zentry_web.services.shared.rate_rules import RULES

LONGEST_IN_SECONDS = 90
BUCKETS = 15  # a window is counted in this many slices, so that it slides
KEEP = timedelta(days=2)  # no window may be longer than half of this


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``count`` times in any ``window_seconds``, for one ``subject`` under one ``rule``."""

    rule: str
    subject: str
    count: int
    window_seconds: int
    costly: bool = False
    words: str = lazy("attempts")

    @property
    def key(self) -> str:
        """What is stored: the subject (an address, an e-mail) only as a hash."""
        return f"{self.rule}:{hashlib.sha256(self.subject.encode()).hexdigest()}"

    @property
    def width_seconds(self) -> int:
        return max(1, self.window_seconds // BUCKETS)

    def bucket(self, now: datetime) -> datetime:
        """The start of the slice that ``now`` lies in."""
        second = int(now.timestamp())
        return datetime.fromtimestamp(second - second % self.width_seconds, UTC)

    def retry_after(self, counts: Sequence[tuple[datetime, int]], now: datetime) -> int:
        """Seconds until one more attempt fits beside ``counts`` (slice start, attempts; oldest first), or 0."""
        left = sum(count for _, count in counts)
        wait = 0
        for start, count in counts:
            if left < self.count:
                break
            left -= count
            gone = start + timedelta(seconds=self.width_seconds + self.window_seconds)
            wait = max(1, -((now - gone) // timedelta(seconds=1)))
        return wait


def limit_of(rule: str, subject: str, count: int | None = None) -> Limit:
    """The limit that the table (rate_rules.py) sets for a subject; ``count`` instead where a setting says so."""
    found = RULES[rule]
    return Limit(rule, subject, found.count if count is None else count, found.seconds, found.costly, found.words)


def network_of(address: str | None) -> str:
    """Whom an address is counted as: itself, or its /64 for IPv6, where one person has millions of addresses."""
    try:
        parsed = ip_address(address or "")
    except ValueError:  # what a proxy calls them: not all of those are one
        return f"unknown {address[:64]}" if address else "unknown"
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return f"{IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(parsed)


class RateLimiter(BaseService):
    """Refuses what is tried too often. Refused attempts are not counted, so waiting always helps."""

    name = "rate_limit"

    def check_actor(self, rule: str, actor: Actor, *, times: int = 1) -> None:
        """Count so many uses by ``actor`` of something costly, if they come over the network; else as ``check``."""
        if actor.address is not None:
            self.check(*[limit_of(rule, actor.id)] * times)

    def check(self, *limits: Limit) -> None:
        """Count one attempt under each limit, or none and raise RateLimitedError.

        Commits by itself, so that the count stays when the caller fails: not to be called in a transaction.
        """
        if is_only_looking():
            return  # an admin's look at a page uses up nothing of the person's
        if self._database.open_session.get() is not None:
            raise RuntimeError("attempts are counted outside of transactions")
        now = self.now()
        factor = self._core.rate_factor
        limits = tuple(replace(each, count=each.count * factor) if each.costly else each for each in limits)
        with self.reading() as session:  # somebody who hammers never gets to take the write lock
            for limit in limits:
                _refuse_if_full(session, limit, now, already_counted=0)
        with self.transaction() as session:
            for limit in sorted(limits, key=lambda each: each.key):
                self._add(session, limit, now)
                _refuse_if_full(session, limit, now, already_counted=1)

    def count(self, limit: Limit) -> int:
        """How many attempts are counted in the present window."""
        since = self.now() - timedelta(seconds=limit.window_seconds + limit.width_seconds)
        counted = select(func.coalesce(func.sum(DbRateCounter.count), 0)).where(
            DbRateCounter.key == limit.key, DbRateCounter.window_start > since
        )
        with self.reading() as session:
            return int(session.scalar(counted) or 0)

    def clear(self, *limits: Limit) -> None:
        """Forget the attempts under each limit; in the caller's transaction if there is one."""
        with self.transaction() as session:
            session.execute(delete(DbRateCounter).where(DbRateCounter.key.in_([limit.key for limit in limits])))

    def give_back(self, limit: Limit) -> None:
        """Take back the attempt just counted: it was none to be slowed down. In the caller's transaction, if any."""
        with self.transaction() as session:
            run(
                session,
                update(DbRateCounter)
                .where(
                    DbRateCounter.key == limit.key,
                    DbRateCounter.window_start == limit.bucket(self.now()),
                    DbRateCounter.count > 0,
                )
                .values(count=DbRateCounter.count - 1),
            )

    def prune(self) -> int:
        """Delete counters too old to matter; returns how many."""
        with self.transaction() as session:
            old = delete(DbRateCounter).where(DbRateCounter.window_start < self.now() - KEEP)
            return run(session, old)

    def _add(self, session: Session, limit: Limit, now: datetime) -> None:
        session.execute(
            upsert(session, DbRateCounter)
            .values(key=limit.key, window_start=limit.bucket(now), count=1)
            .on_conflict_do_update(
                index_elements=[DbRateCounter.key, DbRateCounter.window_start],
                set_={"count": DbRateCounter.count + 1},
            )
        )


def _refuse_if_full(session: Session, limit: Limit, now: datetime, *, already_counted: int) -> None:
    # A slice counts until its last attempt is a whole window old.
    since = now - timedelta(seconds=limit.window_seconds + limit.width_seconds)
    rows = session.execute(
        select(DbRateCounter.window_start, DbRateCounter.count)
        .where(DbRateCounter.key == limit.key, DbRateCounter.window_start > since)
        .order_by(DbRateCounter.window_start)
    )
    counts = [(start, count) for start, count in rows]
    if already_counted:  # the attempt in question is in the newest slice
        counts[-1] = (counts[-1][0], counts[-1][1] - already_counted)
    seconds = limit.retry_after(counts, now)
    if seconds:
        message = _(
            "Too many %(words)s. Please try again in %(seconds)s.", words=limit.words, seconds=wait_words(seconds)
        )
        raise RateLimitedError(message, details={"retry_after": seconds})


def wait_words(seconds: int) -> str:
    """How long that is: in seconds as long as a minute is too rough, then in minutes, never less than it is."""
    if seconds <= LONGEST_IN_SECONDS:
        return ngettext("a second", "%(num)s seconds", seconds)
    return _("%(minutes)s minutes", minutes=-(-seconds // 60))
