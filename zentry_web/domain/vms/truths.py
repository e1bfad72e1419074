"""What the hypervisor says of a machine, what Zentry says, and what is billed: side by side, each with its age."""

from dataclasses import dataclass
from datetime import datetime

from zentry_web.domain.language import lazy
from zentry_web.domain.vms.state import VMState

MISSING = "missing"  # beside the values of PowerState: it was not in the list
_ON = ("running", "paused", "sleeping")
SEEN_WORDS = {
    "": lazy("nothing yet"),
    "building": lazy("being made"),
    "running": lazy("running"),
    "paused": lazy("paused"),
    "sleeping": lazy("sleeping"),
    "off": lazy("off"),
    "failed": lazy("crashed"),
    "unknown": lazy("unknown: its host does not answer"),
    MISSING: lazy("there is no such machine"),
}


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One time that the hypervisor said otherwise, and what Zentry made of it: ``action`` of the event, ``cause`` (of
    Cause, where it went off). ``charged_until``: where a running interval was ended by that, and when it was."""

    at: datetime
    action: str
    cause: str
    charged_until: datetime | None

    @property
    def seen_after(self) -> int:
        """How many seconds it was so before it was seen; they were not charged as running."""
        return 0 if self.charged_until is None else max(0, int((self.at - self.charged_until).total_seconds()))


@dataclass(frozen=True, slots=True)
class Truths:
    """Times are UTC. ``seen`` is the hypervisor's last word (SEEN_WORDS) since ``seen_since``, last asked at
    ``asked_at``; ``answers``: whether it answers now. ``billed``: the state that is charged, since ``billed_since``, at
    ``rate_micro_per_hour``, and charged up to ``charged_until``; None: nothing is."""

    seen: str
    seen_since: datetime | None
    asked_at: datetime | None
    answers: bool
    state: VMState
    state_since: datetime | None
    is_on: bool  # as Zentry has it
    is_busy: bool  # something is under way with it
    billed: str | None
    billed_since: datetime | None
    charged_until: datetime | None
    rate_micro_per_hour: int
    history: tuple[Disagreement, ...] = ()

    @property
    def agree(self) -> bool:
        """Whether all three say on, or all three say off."""
        return (self.seen in _ON) == self.is_on == (self.billed == "running")
