"""Projects: what VMs are organised in, and who may do what in them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from zentry_web.domain.label import Label
from zentry_web.domain.language import _
from zentry_web.domain.money import cost
from zentry_web.domain.vms.state import VMState

_SECOND = timedelta(seconds=1)
MAX_PROJECT_NAME = 60
MAX_DESCRIPTION = 500
MAX_PROJECTS = 200  # per owner, unless a setting differs: keeps every list of them short enough to show whole


class ProjectColour(StrEnum):
    """What a project's dot in lists can look like; the value is what the colour is called."""

    BLUE = "blue"
    TEAL = "teal"
    GREEN = "green"
    AMBER = "amber"
    RED = "red"
    PINK = "pink"
    VIOLET = "violet"
    GRAY = "gray"


class ProjectRole(StrEnum):
    OWNER = "owner"  # exactly one per project: whose wallet pays
    ADMIN = "admin"
    MEMBER = "member"
    RESTRICTED = "restricted"
    VIEWER = "viewer"


class ProjectAction(StrEnum):
    """What somebody may want with a project or a VM in it."""

    VIEW = "view"  # the project, its machines, their figures, activity and price
    CONSOLE = "console"  # what guests print: it may hold passwords
    OPERATE = "operate"  # start, stop, force off, reboot
    LAUNCH = "launch"
    RESIZE = "resize"
    DELETE_VM = "delete_vm"
    LABEL = "label"  # the names and labels of machines
    FUNDS = "funds"  # how much the owner has, and how long it lasts
    RENAME = "rename"  # name, description, colour, labels of the project, archive
    BUDGET = "budget"
    MEMBERS = "members"  # invite, change roles, remove: see ``may_assign``
    OWN = "own"  # delete the project, hand it over, and whatever else has no name here


_LOOKING = frozenset({ProjectAction.VIEW})
_WORKING = _LOOKING | {ProjectAction.CONSOLE, ProjectAction.OPERATE}
_SPENDING = _WORKING | {ProjectAction.LAUNCH, ProjectAction.RESIZE, ProjectAction.DELETE_VM}
_SPENDING |= {ProjectAction.LABEL, ProjectAction.FUNDS}
_RUNNING_IT = _SPENDING | {ProjectAction.RENAME, ProjectAction.BUDGET, ProjectAction.MEMBERS}

RIGHTS: dict[ProjectRole, frozenset[ProjectAction]] = {
    ProjectRole.OWNER: frozenset(ProjectAction),
    ProjectRole.ADMIN: _RUNNING_IT,
    ProjectRole.MEMBER: _SPENDING,
    ProjectRole.RESTRICTED: _WORKING,
    ProjectRole.VIEWER: _LOOKING,
}
_BELOW_ADMIN = frozenset({ProjectRole.MEMBER, ProjectRole.RESTRICTED, ProjectRole.VIEWER})
_GIVES: dict[ProjectRole, frozenset[ProjectRole]] = {
    ProjectRole.OWNER: _BELOW_ADMIN | {ProjectRole.ADMIN},
    ProjectRole.ADMIN: _BELOW_ADMIN,
}


def may(role: ProjectRole | None, action: ProjectAction) -> bool:
    """Whether somebody with that role (None: no member) may do that."""
    return role is not None and action in RIGHTS[role]


def assignable(role: ProjectRole | None) -> tuple[ProjectRole, ...]:
    """The roles that somebody with that role may give and take, the mightiest first. Never 'owner'."""
    given = _GIVES.get(role, frozenset()) if role is not None else frozenset()
    return tuple(each for each in ProjectRole if each in given)


def may_assign(role: ProjectRole | None, before: ProjectRole | None, after: ProjectRole | None) -> bool:
    """Whether somebody with ``role`` may bring a member from ``before`` to ``after`` (None: not a member)."""
    return all(each is None or each in assignable(role) for each in (before, after))


def parse_colour(value: object) -> ProjectColour | None:
    """A colour as a form sends it; nothing is none. Raises ValueError."""
    try:
        return ProjectColour(str(value)) if value else None
    except ValueError:
        raise ValueError(_("Choose one of the colours.")) from None


@dataclass(frozen=True, slots=True)
class Project:
    """``role`` is that of the one who looks; an admin of Zentry looks as an owner."""

    id: str
    owner_id: str
    name: str
    created_at: datetime
    role: ProjectRole | None = field(default=None, compare=False)
    owner_name: str = field(default="", compare=False)  # who pays
    description: str = ""
    colour: ProjectColour | None = None
    archived_at: datetime | None = None  # since then nothing begins in it
    protected: bool = False  # nobody deletes it before that is switched off
    labels: tuple[Label, ...] = field(default=(), compare=False)  # by key, where lists and pages show them

    @property
    def is_archived(self) -> bool:
        return self.archived_at is not None

    def allows(self, action: str) -> bool:
        """Whether the one who looks may do that here."""
        return may(self.role, ProjectAction(action))


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    """One project with its figures, as a list or page shows it."""

    project: Project
    vm_count: int
    running_count: int
    rate_micro_per_hour: int  # what it costs now
    month_micro: int  # what it has cost since the month began, accrued seconds included


@dataclass(frozen=True, slots=True)
class Spend:
    """What something costs, in micro-credits, accrued seconds included; days and months are the payer's."""

    rate_micro_per_hour: int  # now
    today_micro: int
    month_micro: int
    month_ends_at: datetime
    at: datetime

    @property
    def projected_micro(self) -> int:
        """What the month will have cost if everything stays as it is."""
        return self.month_micro + cost(self.rate_micro_per_hour, max(0, (self.month_ends_at - self.at) // _SECOND))


@dataclass(frozen=True, slots=True)
class BusyMachine:
    """A machine with its processor use: the latest percentage, and the last hour's as a line to draw."""

    vm_id: str
    name: str
    cpu_percent: float
    at: datetime  # of that percentage
    sparkline: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ProjectStatistics:
    """What a project's VMs add up to. Deleted VMs count in ``spend`` only."""

    project_id: str
    vms_by_state: dict[VMState, int]
    vcpus: int
    memory_mib: int
    disk_gib: int
    spend: Spend
    busiest: tuple[BusyMachine, ...]

    @property
    def vm_count(self) -> int:
        return sum(self.vms_by_state.values())
