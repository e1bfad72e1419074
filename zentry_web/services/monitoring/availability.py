"""How the parts of Zentry were, day by day, as the worker's rounds saw them."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from zentry_web.domain.availability import (
    DAYS,
    MISSED_AFTER,
    PartDay,
    PartHistory,
    WatchedPart,
    last_days,
    seconds_by_day,
)
from zentry_web.models import DbAvailability, DbPartState
from zentry_web.services.base_service import BaseService

KEPT = timedelta(days=400)


class Availability(BaseService):
    """A part of MonitoringService."""

    name = "availability"

    def record(self, seen: Mapping[WatchedPart, bool]) -> None:
        """What the worker sees now. The time since it looked before counts as what it sees; a gap in which nobody
        looked counts for the worker itself, which was away, and for no other part."""
        now = self.now()
        with self.transaction() as session:
            states = {row.part: row for row in session.scalars(select(DbPartState))}
            for part, ok in seen.items():
                row = states.get(part)
                if row is None:
                    session.add(DbPartState(part=part, ok=ok, since=now, checked_at=now))
                    continue
                self._count(session, part, ok, row.checked_at, now)
                if row.ok != ok or self._was_away(part, row.checked_at, now):
                    row.ok, row.since = ok, now
                row.checked_at = now
            session.execute(delete(DbAvailability).where(DbAvailability.day < _text((now - KEPT).date())))

    def read(self) -> list[PartHistory]:
        """Every part that was ever watched, now and over the last days. Two statements."""
        now = self.now()
        first = _text(now.date() - timedelta(days=DAYS - 1))
        with self.reading() as session:
            states = {row.part: row for row in session.scalars(select(DbPartState))}
            days: dict[str, dict[date, PartDay]] = {}
            for row in session.scalars(select(DbAvailability).where(DbAvailability.day >= first)):
                day = date.fromisoformat(row.day)
                days.setdefault(row.part, {})[day] = PartDay(day, row.up_seconds, row.down_seconds)
            return [
                PartHistory(part, *self._now(part, states[part], now), last_days(now.date(), days.get(part, {})))
                for part in WatchedPart
                if part in states
            ]

    def _now(self, part: WatchedPart, row: DbPartState, now: datetime) -> tuple[bool | None, datetime | None]:
        """Whether it works, and since when; of what nobody looks at nothing is known, but that nobody looks."""
        if now - row.checked_at <= MISSED_AFTER:
            return row.ok, row.since
        return (False, row.checked_at) if part == WatchedPart.WORKER else (None, None)

    def _was_away(self, part: WatchedPart, before: datetime, now: datetime) -> bool:
        return part == WatchedPart.WORKER and now - before > MISSED_AFTER

    def _count(self, session: Session, part: WatchedPart, ok: bool, before: datetime, now: datetime) -> None:
        if now - before > MISSED_AFTER:
            if part != WatchedPart.WORKER:
                return
            ok = False
        for day, seconds in seconds_by_day(before, now).items():
            row = session.get(DbAvailability, (part, _text(day)))
            if row is None:
                row = DbAvailability(part=part, day=_text(day), up_seconds=0, down_seconds=0)
                session.add(row)
            if ok:
                row.up_seconds += seconds
            else:
                row.down_seconds += seconds


def _text(day: date) -> str:
    return day.isoformat()
