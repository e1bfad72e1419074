"""Who hears a driver's events."""

import logging
from collections.abc import Callable

from zentry_web.adapters.compute.base import MachineEvent

logger = logging.getLogger(__name__)


class Listeners:
    """Callbacks in the order they were added."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[MachineEvent], None]] = []

    def add(self, callback: Callable[[MachineEvent], None]) -> None:
        """Call it at each event from now on."""
        self._callbacks.append(callback)

    def tell(self, event: MachineEvent) -> None:
        """Call all of them. Never raises."""
        for callback in self._callbacks:
            try:
                callback(event)
            except Exception:  # one listener's failure must not silence the others
                logger.exception("A listener failed on %s", event)
