"""Starting again what went off unasked, and telling its owners."""

from zentry_web.adapters.clock import Clock
from zentry_web.services.shared.rounds import alone
from zentry_web.services.vm_service import VMService

CALM_SECONDS = 15.0  # between rounds while nothing waits


class RestartKeeper:
    """A loop of the worker's."""

    def __init__(self, vms: VMService, clock: Clock) -> None:
        self._outages, self._notices, self._clock = vms.outages, vms.outage_notices, clock

    def run(self) -> float | None:
        """One round; see Worker.loops."""
        due = None
        with alone("restarts"):
            due = self._outages.run()
        self._notices.tell()
        wait = CALM_SECONDS if due is None else (due - self._clock.now()).total_seconds()
        return min(wait, CALM_SECONDS) if wait > 0 else None
