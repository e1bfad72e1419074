"""Snapshots and backups that Zentry takes by itself: when, and how many of them it keeps. Pure rules."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

from zentry_web.domain.vms.timer import Repeat, next_repeat

MOST_SCHEDULED = 24  # of one machine and kind


class Taken(Protocol):
    """A snapshot or a backup."""

    @property
    def id(self) -> str: ...

    @property
    def is_scheduled(self) -> bool: ...

    @property
    def is_ready(self) -> bool: ...

    @property
    def created_at(self) -> datetime: ...


Thing = TypeVar("Thing", bound=Taken)


class Every(StrEnum):
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"  # on Mondays
    MONTH = "month"  # on the first


@dataclass(frozen=True, slots=True)
class Schedule:
    """What Zentry takes by itself: how often, at which hour of the day in ``zone``, how many are kept."""

    every: Every
    hour: int
    keep: int
    zone: str
    next_at: datetime
    last_error: str = ""


def next_run(every: Every, hour: int, zone: str, after: datetime) -> datetime:
    """The first moment later than ``after`` at which one is due: what was missed is not made up for."""
    if every == Every.HOUR:
        return after.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return next_repeat(_REPEATS[every], _SINCE.replace(hour=hour), zone, after)


_REPEATS = {Every.DAY: Repeat.DAILY, Every.WEEK: Repeat.WEEKLY, Every.MONTH: Repeat.MONTHLY}
_SINCE = datetime.fromisoformat("2024-01-01T00:00")  # a Monday, and the first of a month


def too_many(taken: Sequence[Thing], keep: int) -> list[Thing]:
    """Those of what a schedule took that it keeps no longer, the oldest first."""
    ready = [each for each in taken if each.is_scheduled and each.is_ready]
    ready.sort(key=lambda each: each.created_at)
    return ready[: max(0, len(ready) - keep)]
