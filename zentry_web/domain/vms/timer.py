"""What is done with a machine at a set time, once or again and again, by the clock of whoever set it. Pure rules."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

from zentry_web.domain.language import dated, lazy
from zentry_web.domain.zones import zone_of

MOST_TIMERS = 20  # of a machine
LATE = timedelta(minutes=10)  # later than that it was missed
TOLD_BEFORE = (timedelta(days=7), timedelta(days=1), timedelta(hours=1))  # of a deletion
EXTENSION = timedelta(days=7)
LAST_YEAR = 2100  # no set time is later: a slip of the finger


class TimerAction(StrEnum):
    """Each is the OperationKind of that name."""

    START = "start"
    STOP = "stop"
    REBOOT = "reboot"
    DELETE = "delete"


class Repeat(StrEnum):
    ONCE = "once"
    DAILY = "daily"
    WEEKDAYS = "weekdays"  # Monday to Friday
    WEEKLY = "weekly"  # on the weekday of the first time
    MONTHLY = "monthly"  # on the day of the first time, or a shorter month's last


_NAMES = {
    TimerAction.START: lazy("Start"),
    TimerAction.STOP: lazy("Stop"),
    TimerAction.REBOOT: lazy("Reboot"),
    TimerAction.DELETE: lazy("Delete"),
}
ACTIONS = _NAMES | {TimerAction.DELETE: lazy("Delete, once")}
REPEATS = {
    Repeat.ONCE: lazy("Once"),
    Repeat.DAILY: lazy("Every day"),
    Repeat.WEEKDAYS: lazy("Monday to Friday"),
    Repeat.WEEKLY: lazy("Every week, on that weekday"),
    Repeat.MONTHLY: lazy("Every month, on that day"),
}


@dataclass(frozen=True, slots=True)
class Timer:
    """``first`` is the first time on the clock of ``zone``, without a zone of its own; ``next_at`` the next one, UTC;
    None: there is none any more. ``catches_up``: missed while Zentry was away, it is done once that is back."""

    id: str
    action: TimerAction
    repeat: Repeat
    first: datetime
    zone: str
    catches_up: bool
    next_at: datetime | None
    last_at: datetime | None = None
    last_error: str = ""

    @property
    def words(self) -> str:
        """'Stop, Monday to Friday at 19:00'."""
        action, clock = _NAMES[self.action], f"{self.first:%H:%M}"
        if self.repeat == Repeat.ONCE:
            return lazy("%(action)s at %(moment)s", action=action, moment=dated(self.first, "%a %d %b %H:%M"))
        if self.repeat == Repeat.WEEKLY:
            return lazy(
                "%(action)s every %(day)s at %(clock)s", action=action, day=dated(self.first, "%A"), clock=clock
            )
        if self.repeat == Repeat.MONTHLY:
            day = self.first.day
            return lazy("%(action)s on day %(day)s of each month at %(clock)s", action=action, day=day, clock=clock)
        if self.repeat == Repeat.WEEKDAYS:
            return lazy("%(action)s Monday to Friday at %(clock)s", action=action, clock=clock)
        return lazy("%(action)s every day at %(clock)s", action=action, clock=clock)


def next_run(repeat: Repeat, first: datetime, zone: str, after: datetime) -> datetime | None:
    """The first moment later than ``after`` at which it is due, UTC; None: never again. See ``next_repeat``."""
    if repeat == Repeat.ONCE:
        due = first.replace(tzinfo=zone_of(zone), fold=0).astimezone(UTC)
        return due if due > after else None
    return next_repeat(repeat, first, zone, after)


def next_repeat(repeat: Repeat, first: datetime, zone: str, after: datetime) -> datetime:
    """The same of what is done again and again, by the clock of ``zone`` from its ``first`` time on.

    A time of day that the clock leaps over comes as much later (02:30 is 03:30 then); one that comes twice counts the
    first time (PEP 495).
    """
    here = zone_of(zone)
    day = max(first.date(), after.astimezone(here).date() - timedelta(days=1))
    while True:
        if _is_due(repeat, first.date(), day):
            due = datetime.combine(day, first.time(), here).astimezone(UTC)
            if due > after:
                return due
        day += timedelta(days=1)


def _is_due(repeat: Repeat, first: date, day: date) -> bool:
    if repeat == Repeat.WEEKDAYS:
        return day.weekday() < 5
    if repeat == Repeat.WEEKLY:
        return day.weekday() == first.weekday()
    if repeat == Repeat.MONTHLY:
        return day.day == min(first.day, monthrange(day.year, day.month)[1])
    return True


def notice_due(left: timedelta) -> timedelta | None:
    """Which of the notices before a deletion says that so much time is left: the shortest that is not shorter."""
    return min((before for before in TOLD_BEFORE if left <= before), default=None)
