"""Tells this process what any process has done to the simulated machines."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from zentry_web.adapters.compute.base import ComputeUnavailable, MachineEvent
from zentry_web.adapters.compute.listeners import Listeners
from zentry_web.adapters.compute.simulator.store import SimulatorStore

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.2


class SimulatorEvents:
    """One thread that follows the event table; started by the first subscription."""

    def __init__(self, store: SimulatorStore, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._listeners = Listeners()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._last = 0

    def subscribe(self, callback: Callable[[MachineEvent], None]) -> None:
        """Call back on each event from now on."""
        self._listeners.add(callback)
        if self._thread is None:
            self._last = self._store.last_event_id()
            self._thread = threading.Thread(target=self._follow, name="simulator-events", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop the thread."""
        self._closing.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=5)

    def _follow(self) -> None:
        waiting: list[MachineEvent] = []
        while not self._closing.wait(POLL_SECONDS):
            try:
                fresh = self._store.events_after(self._last)
            except ComputeUnavailable:
                logger.warning("The simulator's file cannot be read", exc_info=True)
                continue
            for number, vm_id, kind, at in fresh:
                self._last = number
                waiting.append(MachineEvent(vm_id, kind, datetime.fromtimestamp(at, UTC)))
            # An event may lie in the future (a shutdown that takes a while): it is told when its time has come.
            now = datetime.fromtimestamp(self._now(), UTC)
            due = [event for event in waiting if event.at <= now]
            waiting = [event for event in waiting if event.at > now]
            for event in due:
                self._listeners.tell(event)
