"""A virtual machine as people see it."""

import re
from dataclasses import dataclass, field
from datetime import datetime

from zentry_web.domain.label import Label
from zentry_web.domain.language import lazy
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, BEGINNING, OperationKind
from zentry_web.domain.vms.silence import SILENT
from zentry_web.domain.vms.state import CHANGING, IN_TRANSITION, MOVABLE, RUNS, VMState

NAME_RULE = lazy("Use 1 to 63 letters, digits and hyphens, beginning and ending with a letter or digit.")


NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


MAX_USER_DATA_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Rates:
    """What machines cost, in micro-credits per hour: while they run, and while they are off."""

    running: int = 0
    stopped: int = 0

    def __add__(self, other: "Rates") -> "Rates":
        return Rates(self.running + other.running, self.stopped + other.stopped)


@dataclass(frozen=True, slots=True)
class VM:
    id: str
    project_id: str
    owner_id: str
    name: str
    state: VMState
    size_id: str
    size_name: str
    image_name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    running_micro_per_hour: int
    stopped_micro_per_hour: int
    ssh_key: str  # lines of authorized_keys
    created_at: datetime
    started_at: datetime | None
    answered_at: datetime | None
    stopped_at: datetime | None
    deleted_at: datetime | None
    address: str
    reach: str
    state_reason: str  # why it is off, in error or otherwise not as asked, in words for the owner
    project_name: str = ""
    owner_email: str = ""
    protected: bool = False  # nobody deletes it before that is switched off
    rights: frozenset[str] = field(default=frozenset(), compare=False)  # of the one who looks: ProjectAction
    labels: tuple[Label, ...] = field(default=(), compare=False)  # by key, where lists and pages show them
    project_colour: str = ""  # of ProjectColour; '': none
    login_user: str = "root"  # whom the keys of its launch let in
    rescued_at: datetime | None = None  # since then it boots the rescue system
    agent: bool = False  # an agent listens in its guest, as last seen
    is_archived: bool = False  # its project is: it may stop and be deleted, nothing else begins
    failed_operation_id: str = field(default="", compare=False)  # its last one, where that was asked for and failed
    has_snapshots: bool = field(default=False, compare=False)  # where it is read by itself
    lacks_credits: bool = field(default=False, compare=False)  # for a start, where that was asked for

    @property
    def users(self) -> tuple[str, ...]:
        """Of its guest, whose passwords can be set: root, and whom its image logs in."""
        return ("root",) if self.login_user == "root" else ("root", self.login_user)

    @property
    def rates(self) -> Rates:
        return Rates(self.running_micro_per_hour, self.stopped_micro_per_hour)

    @property
    def rate_micro_per_hour(self) -> int:
        """What it costs now, by its state."""
        if self.is_on:
            return self.running_micro_per_hour
        off = (VMState.STOPPED, VMState.STARTING, *CHANGING)
        return self.stopped_micro_per_hour if self.state in off else 0

    @property
    def is_on(self) -> bool:
        """Whether it is paid for as running."""
        if self.state in CHANGING:
            return self.started_at is not None and self.stopped_at is None
        return self.state in RUNS

    @property
    def is_silent(self) -> bool:
        """Whether it runs and has given no sign of life for too long."""
        return self.state == VMState.RUNNING and self.state_reason == SILENT

    @property
    def in_transition(self) -> bool:
        return self.state in IN_TRANSITION

    @property
    def label_map(self) -> dict[str, str]:
        """Key to value of its labels."""
        return {label.key: label.value for label in self.labels}

    def may(self, kind: OperationKind) -> bool:
        """Whether its state and its project's allow this action (permissions are another matter)."""
        return kind in ALLOWED_ACTIONS[self.state] and not (self.is_archived and kind in BEGINNING)

    @property
    def may_move(self) -> bool:
        """Whether its state lets it be moved into another project."""
        return self.state in MOVABLE and not self.is_archived

    def allows(self, action: str) -> bool:
        """Whether the role of the one who looks has this right (the state is another matter)."""
        return action in self.rights


@dataclass(frozen=True, slots=True)
class KnownVM:
    """What the reconciler compares with the hypervisor's list, which it asks for afterwards: ``version`` tells whether
    the row has changed since this was read."""

    vm_id: str
    owner_id: str
    state: VMState
    run_id: str | None
    answered: bool
    address: str
    reach: str
    has_operation: bool
    confirmed_until: datetime | None  # unclear since then
    version: int
    started_at: datetime | None
    has_reason: bool  # something is said of its state already
    agent: bool
    seen: str  # the hypervisor's last word of it (domain/vms/truths.py)
