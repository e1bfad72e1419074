"""How work that takes minutes keeps whoever ordered it told, and hears that it is not wanted any more."""

from collections.abc import Callable
from dataclasses import dataclass


class Stopped(Exception):
    """Whoever wanted it does not want it any more, or not now: ``Watch.wanted`` said so."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Given by the one who orders. ``at`` and ``done`` may be called as often as one likes."""

    at: Callable[[str], None]  # a step has begun
    done: Callable[[int, int], None]  # bytes of it so far, and all (0: not known)
    wanted: Callable[[], bool]  # asked every second or so

    def check(self) -> None:
        """Raises Stopped when it is not wanted any more."""
        if not self.wanted():
            raise Stopped
