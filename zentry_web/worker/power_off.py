"""Bringing a machine down: when to ask again, when to cut the power, when to give up. Pure rules."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from zentry_web.adapters.compute.base import Machine, PowerState

ASK_AGAIN = timedelta(seconds=5)  # a guest that is still booting does not hear the power button


@dataclass
class PowerOff:
    """What to do next while a machine is still on: ask again and again, then cut the power or give up."""

    force_at: datetime | None  # None: never
    patience: timedelta
    asked_first: datetime | None = None
    last_tried: datetime | None = None
    seen_on: bool = False

    def next_step(self, now: datetime) -> str:
        """'force', 'ask', 'fail' or '' (wait). Time counts from the first asking: the host may have been away."""
        forcing = self.force_at is not None and now >= self.force_at
        if not forcing and self.force_at is None and self.asked_first and now >= self.asked_first + self.patience:
            return "fail"
        due_since = self.force_at if forcing else None
        tried = self.last_tried
        if tried is not None and now < tried + ASK_AGAIN and not (due_since and tried < due_since):
            return ""
        self.last_tried = now
        if not forcing:
            self.asked_first = self.asked_first or now
        return "force" if forcing else "ask"

    def seconds_left(self, now: datetime) -> float:
        """Until something is to be done again; ask ``next_step`` first."""
        moments = [self.force_at, self.last_tried and self.last_tried + ASK_AGAIN]
        if self.force_at is None and self.asked_first is not None:
            moments.append(self.asked_first + self.patience)
        left = [(moment - now).total_seconds() for moment in moments if moment is not None and moment > now]
        return min(left, default=0.0)


def is_off(machine: Machine) -> bool:
    """Whether it uses no power: off, or failed without a process."""
    return machine.power == PowerState.OFF or (machine.power == PowerState.FAILED and machine.run_id is None)
