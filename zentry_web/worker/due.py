"""What comes due at a moment of its own: starting again what went off unasked, and what is set for a time."""

from datetime import datetime

from zentry_web.adapters.clock import Clock
from zentry_web.services.shared.rounds import alone
from zentry_web.services.vm_service import VMService

CALM_SECONDS = 15.0  # between rounds while nothing is due sooner


class RestartKeeper:
    """A loop of the worker's: starts again what went off unasked, and tells its owners."""

    def __init__(self, vms: VMService, clock: Clock) -> None:
        self._outages, self._notices, self._clock = vms.outages, vms.outage_notices, clock

    def run(self) -> float | None:
        """One round; see Worker.loops."""
        due = None
        with alone("restarts"):
            due = self._outages.run()
        self._notices.tell()
        return _rest(due, self._clock)


class TimerKeeper:
    """A loop of the worker's: does what is set for a time."""

    def __init__(self, vms: VMService, clock: Clock) -> None:
        self._timers, self._clock = vms.timers, clock

    def run(self) -> float | None:
        """One round; see Worker.loops."""
        return _rest(self._timers.run(), self._clock)


def _rest(due: datetime | None, clock: Clock) -> float | None:
    wait = CALM_SECONDS if due is None else (due - clock.now()).total_seconds()
    return min(wait, CALM_SECONDS) if wait > 0 else None
