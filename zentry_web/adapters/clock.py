"""Time comes in from outside, so that a test can say what time it is."""

import json
import os
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)

FOLLOWED = timedelta(seconds=60)  # a clock that is set right by so little is followed at once
BELIEVED = timedelta(days=1)  # one that leapt and stays there is believed after so long
_NOTED = timedelta(seconds=5)  # what other processes are told of is no finer
_GLANCE = timedelta(seconds=1)
_STEP_SECONDS = 0.05
_PROC = Path("/proc")


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, aware, in UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


def read_uptime() -> float:
    """Seconds since the host's boot, sleep included: nobody can set them."""
    return float((_PROC / "uptime").read_text().split()[0])


def read_boot() -> str:
    """Differs between two boots of the host."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


class SteadyClock:
    """The machine's clock, but for leaps: when it suddenly says another time than the seconds since the boot add up to,
    time goes on as it was until the clock is right again. One that stays there for a day is believed.

    So nothing is charged, erased, closed or leased for days that nobody lived. ``note`` is a file by which all
    processes of one Zentry go by the same time, one that is started during a leap, too. Across a boot the machine's
    clock is taken as it is.
    """

    def __init__(
        self,
        note: Path,
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        uptime: Callable[[], float] = read_uptime,
        boot: Callable[[], str] = read_boot,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._note, self._wall, self._uptime, self._boot = note, wall, uptime, boot()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._looked: tuple[datetime, float, datetime] | None = None  # wall, monotonic, and what was answered
        self._ahead = timedelta(0)
        self._leapt: float | None = None  # uptime at which the clock was first seen elsewhere
        self._mark = wall(), uptime()  # a moment that is right, and the uptime then
        self._noted: tuple[datetime, float] | None = None
        self._read()

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        with self._lock:
            wall, ticks = self._wall(), self._monotonic()
            if self._looked is not None:
                since = wall - self._looked[0]
                if since < _GLANCE and abs(since.total_seconds() - (ticks - self._looked[1])) < _STEP_SECONDS:
                    return self._looked[2] + since  # asked many times a second: no leap since the last look
            answer = self._look(wall)
            self._looked = wall, ticks, answer
            return answer

    def _look(self, wall: datetime) -> datetime:
        uptime = self._uptime()
        expected = self._expected(self._mark, uptime)
        ahead = wall - expected
        if abs(ahead) > FOLLOWED and not self._is_believed(uptime):
            if self._leapt is None:
                self._leapt = uptime
                log.error("clock_leapt", seconds=round(ahead.total_seconds()))
                self._write()
            self._ahead = ahead
            return expected
        self._mark = wall, uptime
        changed = self._leapt is not None
        self._leapt, self._ahead = None, timedelta(0)
        if changed or self._noted is None or abs(wall - self._expected(self._noted, uptime)) > _NOTED:
            self._write()
        return wall

    @property
    def ahead(self) -> timedelta:
        """By how much the machine's clock is ahead (or behind: negative) of the time that is gone by; usually 0."""
        self.now()
        return self._ahead

    def _is_believed(self, uptime: float) -> bool:
        return self._leapt is not None and uptime - self._leapt >= BELIEVED.total_seconds()

    @staticmethod
    def _expected(mark: tuple[datetime, float], uptime: float) -> datetime:
        return mark[0] + timedelta(seconds=uptime - mark[1])

    def _read(self) -> None:
        try:
            found = json.loads(self._note.read_text())
            if found["boot"] == self._boot:
                self._mark = self._noted = datetime.fromisoformat(found["at"]), float(found["uptime"])
                self._leapt = None if found["leapt"] is None else float(found["leapt"])
        except (OSError, ValueError, KeyError, TypeError):
            return  # the first start on this machine, or a file that somebody damaged: the clock is taken as it is

    def _write(self) -> None:
        values = {"boot": self._boot, "at": self._mark[0].isoformat(), "uptime": self._mark[1], "leapt": self._leapt}
        fresh = self._note.with_name(f"{self._note.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            fresh.write_text(json.dumps(values))
            fresh.replace(self._note)
        except OSError as error:  # a full disk stops no clock
            log.warning("clock_not_noted", error=str(error))
        self._noted = self._mark


def clock_ahead(clock: Clock) -> timedelta:
    """By how much the machine's clock is ahead of the one that Zentry goes by; 0 for clocks that cannot leap."""
    return clock.ahead if isinstance(clock, SteadyClock) else timedelta(0)


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
