"""A measured figure as one line of JSON, and the statistics behind it."""

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """``goal`` is the highest value that will do, or with ``at_least`` the lowest (None: no goal); ``ratio`` is value
    by baseline. ``failed`` names what could not be measured: the goal is missed then, whatever the rest came to."""

    name: str
    value: float
    unit: str
    goal: float | None
    baseline: float
    more: dict[str, Any] = field(default_factory=dict)
    at_least: bool = False
    failed: tuple[str, ...] = ()

    @property
    def is_reached(self) -> bool:
        if self.failed:
            return False
        if self.goal is None:
            return True
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def line(self) -> str:
        """The figure as JSON on one line."""
        ratio = round(self.value / self.baseline, 2) if self.baseline else None
        fields = {
            "name": self.name,
            "value": round(self.value, 3),
            "unit": self.unit,
            "goal": self.goal,
            "baseline": round(self.baseline, 3),
            "ratio": ratio,
        }
        return json.dumps(fields | self.more)


def p95(values: Sequence[float]) -> float:
    """The 95th percentile by nearest rank."""
    return sorted(values)[max(1, math.ceil(0.95 * len(values))) - 1]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
