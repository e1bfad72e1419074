"""How Zentry's parts are, and how they were day by day: what visitors see at /status."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

DAYS = 90
WATCHED_EVERY = timedelta(seconds=60)
MISSED_AFTER = timedelta(seconds=180)  # without a look since: nobody watched


class WatchedPart(StrEnum):
    """What is watched. The values stand in stored rows: they are never given anew."""

    WORKER = "worker"
    COMPUTE = "compute"
    DATABASE = "database"
    MAIL = "mail"
    PAYMENTS = "payments"


@dataclass(frozen=True, slots=True)
class PartDay:
    """Seconds of one day (UTC) that a part worked and did not; nobody watched in what is in neither."""

    day: date
    up_seconds: int = 0
    down_seconds: int = 0

    @property
    def watched_seconds(self) -> int:
        return self.up_seconds + self.down_seconds

    @property
    def level(self) -> str:
        """``none``: no data, ``up``, ``partly``, ``down``: did not work for more than an hour."""
        if not self.watched_seconds:
            return "none"
        if not self.down_seconds:
            return "up"
        return "down" if self.down_seconds > 3600 else "partly"


@dataclass(frozen=True, slots=True)
class PartHistory:
    """A part now (``ok`` None: not known) and on each of the last days, oldest first."""

    part: WatchedPart
    ok: bool | None
    since: datetime | None
    days: tuple[PartDay, ...]

    @property
    def up_percent(self) -> float | None:
        """Of the time that was watched, rounded down to hundredths; None: none was."""
        watched = sum(day.watched_seconds for day in self.days)
        return sum(day.up_seconds for day in self.days) * 10_000 // watched / 100 if watched else None

    @property
    def watched_days(self) -> int:
        return sum(1 for day in self.days if day.watched_seconds)

    @property
    def bad_days(self) -> tuple[PartDay, ...]:
        """Those on which it did not always work, newest first."""
        return tuple(day for day in reversed(self.days) if day.down_seconds)


def last_days(today: date, recorded: Mapping[date, PartDay], count: int = DAYS) -> tuple[PartDay, ...]:
    """The last days with today, oldest first; those without a record have no data."""
    days = (today - timedelta(days=back) for back in range(count - 1, -1, -1))
    return tuple(recorded.get(day, PartDay(day)) for day in days)


def seconds_by_day(start: datetime, end: datetime) -> dict[date, int]:
    """The whole seconds from ``start`` to ``end`` (both UTC), by the day they lie in; at most the last ``DAYS``."""
    found: dict[date, int] = {}
    at = max(start, end - timedelta(days=DAYS))
    while at < end:
        midnight = datetime.combine(at.date() + timedelta(days=1), datetime.min.time(), at.tzinfo)
        until = min(end, midnight)
        found[at.date()] = int((until - at).total_seconds())
        at = until
    return {day: seconds for day, seconds in found.items() if seconds}
