"""Time comes in from outside, so that a test can say what time it is."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, aware, in UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ManualClock:
    """A clock that stands still until it is told to move (tests, demo data)."""

    def __init__(self, start: datetime) -> None:
        self._now = start.astimezone(UTC)

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float = 0, **parts: float) -> datetime:
        """Move by ``seconds`` plus any ``timedelta`` arguments (backwards too) and return the new time."""
        self._now += timedelta(seconds=seconds, **parts)
        return self._now

    def set(self, moment: datetime) -> None:
        self._now = moment.astimezone(UTC)
