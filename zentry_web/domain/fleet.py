"""The machines of all as admins look through them, and what they order for several at once."""

from dataclasses import dataclass
from enum import StrEnum

from .vm import VM, OperationKind, VMState

MAX_ORDERED = 100  # machines of one order
MAX_WHY = 300

ORDERS = (
    OperationKind.START, OperationKind.STOP, OperationKind.REBOOT, OperationKind.FORCE_OFF, OperationKind.DELETE
)  # fmt: skip


class FleetSort(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"
    OWNER = "owner"
    DEAREST = "dearest"  # by what each costs per hour while it runs


@dataclass(frozen=True, slots=True)
class FleetFilter:
    """``search`` is part of a name, or an address or id; ``owner`` part of an e-mail address, or an id; ``project``
    part of a name, or an id; ``label`` ``key=value``, or a key with any value; None: any."""

    search: str = ""
    owner: str = ""
    project: str = ""
    size_id: str = ""
    label: str = ""
    state: VMState | None = None

    def __bool__(self) -> bool:
        return bool(self.search or self.owner or self.project or self.size_id or self.label or self.state)


@dataclass(frozen=True, slots=True)
class Ordered:
    """What an order came to for one machine; ``problem`` is '' when it was accepted."""

    vm: VM
    problem: str = ""
