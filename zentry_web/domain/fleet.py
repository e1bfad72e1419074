"""Many machines: those of all as admins look through them, and what is done to several at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from .project import ProjectAction
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


class Change(StrEnum):
    """What people do to several of their machines at once."""

    START = "start"
    STOP = "stop"
    LABEL = "label"
    UNLABEL = "unlabel"
    MOVE = "move"
    DELETE = "delete"


RIGHT_TO: dict[Change, ProjectAction] = {
    Change.START: ProjectAction.OPERATE,
    Change.STOP: ProjectAction.OPERATE,
    Change.LABEL: ProjectAction.LABEL,
    Change.UNLABEL: ProjectAction.LABEL,
    Change.MOVE: ProjectAction.DELETE_VM,
    Change.DELETE: ProjectAction.DELETE_VM,
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change and what it needs: ``labels`` as typed, the project to move into, or what confirms a deletion."""

    change: Change
    labels: str = ""
    project_id: str = ""
    confirm: str = ""


def confirmation(vms: Sequence[VM]) -> str:
    """What is typed before these are deleted: the name of one, the number of several."""
    return vms[0].name if len(vms) == 1 else f"{len(vms)} machines"


def can_be(change: Change, vm: VM) -> bool:
    """Whether the machine's state, as it was read, and the rights of the one who looks allow it. The services decide
    when it is done."""
    if not vm.allows(RIGHT_TO[change]):
        return False
    if change in (Change.START, Change.STOP, Change.DELETE):
        return vm.may(OperationKind(change))
    return vm.may_move if change == Change.MOVE else True
