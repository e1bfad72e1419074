"""Many machines: those of all as admins look through them, and what is done to several at once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from zentry_web.domain.language import ngettext
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.query_language import Term
from zentry_web.domain.vms.bin import BinnedVM
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.search import MOVING
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.vm import VM, Rates

MAX_ORDERED = 500  # machines of one order
MAX_WHY = 300

ORDERS = (
    OperationKind.START, OperationKind.STOP, OperationKind.REBOOT, OperationKind.FORCE_OFF, OperationKind.DELETE
)  # fmt: skip


class VMSort(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"
    NAME_DOWN = "name-down"
    STATE = "state"
    STATE_DOWN = "state-down"
    SMALLEST = "smallest"  # by memory
    LARGEST = "largest"
    CHEAPEST = "cheapest"  # by what each costs per hour now
    DEAREST = "dearest"
    OWNER = "owner"
    OWNER_DOWN = "owner-down"


@dataclass(frozen=True, slots=True)
class VMFilter:
    """What a list of machines shows, and in which order: made of the page's address, handed whole to the statement.

    ``search`` is part of a name, or an address or id; ``owner`` part of an e-mail address, or an id; ``project`` part
    of a name, or an id; ``project_id`` that one; ``label`` ``key=value``, or a key with any value; empty: any.
    ``terms`` are what the search box asks for (``domain/vms/search.py``).
    """

    search: str = ""
    owner: str = ""
    project: str = ""
    size_id: str = ""
    label: str = ""
    state: VMState | None = None
    project_id: str = ""
    sort: VMSort = VMSort.NEWEST
    terms: tuple[Term, ...] = ()

    def __bool__(self) -> bool:
        return self != VMFilter(sort=self.sort)

    @property
    def moves_with_machines(self) -> bool:
        """Whether what changes in a machine decides that it is shown, or where; its name never changes, and a move is
        told apart."""
        return bool(self.search or self.state or self.label or self.sort in _MOVING_SORTS) or any(
            term.key in MOVING for term in self.terms
        )


_MOVING_SORTS = frozenset(VMSort) - {VMSort.NEWEST, VMSort.OLDEST, VMSort.NAME, VMSort.NAME_DOWN}
EVERY_VM = VMFilter()


@dataclass(frozen=True, slots=True)
class VMList:
    """One page of a list: ``total`` counts all that match, ``next_before`` leads to the next page."""

    vms: list[VM]
    total: int
    next_before: str | None


class Change(StrEnum):
    """What people do to several of their machines at once."""

    START = "start"
    STOP = "stop"
    LABEL = "label"
    UNLABEL = "unlabel"
    MOVE = "move"
    DELETE = "delete"


PLANNED = (Change.START, Change.STOP, Change.MOVE, Change.DELETE)  # what changes something that is paid or had
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
    """A change and what it needs: ``labels`` as typed, the project to move into, or what confirms a deletion; for a
    start the price that was shown (``rates_of`` those that can be started)."""

    change: Change
    labels: str = ""
    project_id: str = ""
    confirm: str = ""
    shown: Rates | None = None
    plan: dict[str, str] | None = None  # what was shown: ``facts_of_several`` of those it can be done to


def rates_of(vms: Iterable[VM]) -> Rates:
    """What they cost together."""
    return sum((vm.rates for vm in vms), Rates())


def confirmation(vms: Sequence[VM] | Sequence[BinnedVM]) -> str:
    """What is typed before these are deleted: the name of one, the number of several in the reader's language."""
    return vms[0].name if len(vms) == 1 else ngettext("%(num)s machine", "%(num)s machines", len(vms))


def can_be(change: Change, vm: VM) -> bool:
    """Whether the machine's state, as it was read, and the rights of the one who looks allow it. The services decide
    when it is done."""
    if not vm.allows(RIGHT_TO[change]):
        return False
    if change in (Change.START, Change.STOP, Change.DELETE):
        return vm.may(OperationKind(change))
    return vm.may_move if change == Change.MOVE else True
