"""Virtual machines: their states, what may be done in which, and the steps of an operation."""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from zentry_web.domain.label import Label


class VMState(StrEnum):
    CREATING = "creating"
    STARTING = "starting"
    RUNNING = "running"
    REBOOTING = "rebooting"
    RESIZING = "resizing"
    STOPPING = "stopping"
    STOPPED = "stopped"
    DELETING = "deleting"
    BINNED = "binned"  # deleted, off, its disk kept: it can be restored
    DELETED = "deleted"
    ERROR = "error"


class VMOrder(StrEnum):
    """How a list of VMs is ordered."""

    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"


IN_TRANSITION = frozenset(
    {
        VMState.CREATING,
        VMState.STARTING,
        VMState.REBOOTING,
        VMState.RESIZING,
        VMState.STOPPING,
        VMState.DELETING,
    }
)


class OperationKind(StrEnum):
    CREATE = "create"
    START = "start"
    STOP = "stop"
    FORCE_OFF = "force_off"
    REBOOT = "reboot"
    RESIZE = "resize"
    BIN = "bin"  # off, at once, and the disk is kept
    DELETE = "delete"  # machine and disk, for good


class OperationState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # overtaken by a force off or a delete


OPEN_OPERATION_STATES = (OperationState.QUEUED, OperationState.RUNNING)

# What the owner may ask for in which state. Force off and delete overtake whatever is under way.
ALLOWED_ACTIONS: dict[VMState, frozenset[OperationKind]] = {
    VMState.CREATING: frozenset({OperationKind.DELETE}),
    VMState.STARTING: frozenset({OperationKind.FORCE_OFF, OperationKind.DELETE}),
    VMState.RUNNING: frozenset(
        {
            OperationKind.STOP,
            OperationKind.FORCE_OFF,
            OperationKind.REBOOT,
            OperationKind.RESIZE,
            OperationKind.DELETE,
        }
    ),
    VMState.REBOOTING: frozenset({OperationKind.FORCE_OFF, OperationKind.DELETE}),
    VMState.RESIZING: frozenset({OperationKind.DELETE}),
    VMState.STOPPING: frozenset({OperationKind.FORCE_OFF, OperationKind.DELETE}),
    VMState.STOPPED: frozenset({OperationKind.START, OperationKind.RESIZE, OperationKind.DELETE}),
    VMState.ERROR: frozenset({OperationKind.START, OperationKind.DELETE}),
    VMState.DELETING: frozenset(),
    VMState.BINNED: frozenset(),
    VMState.DELETED: frozenset(),
}

# The state a VM shows as soon as the request for an operation is accepted.
STATE_WHEN_ACCEPTED: dict[OperationKind, VMState] = {
    OperationKind.CREATE: VMState.CREATING,
    OperationKind.START: VMState.STARTING,
    OperationKind.STOP: VMState.STOPPING,
    OperationKind.FORCE_OFF: VMState.STOPPING,
    OperationKind.REBOOT: VMState.REBOOTING,
    OperationKind.RESIZE: VMState.RESIZING,
    OperationKind.BIN: VMState.DELETING,
    OperationKind.DELETE: VMState.DELETING,
}

# What an archived project refuses.
BEGINNING = frozenset({OperationKind.CREATE, OperationKind.START, OperationKind.RESIZE})

# In which states it can be moved into another project.
MOVABLE = frozenset({VMState.RUNNING, VMState.STOPPED, VMState.ERROR})

OVERTAKING = frozenset({OperationKind.FORCE_OFF, OperationKind.DELETE})

# The steps a person watches while a VM comes up.
LAUNCH_STEPS = ("queued", "disk", "boot", "running", "answered")
# And while it changes its size: off, changed, up again; one that is off already is only changed.
RESIZE_STEPS = ("queued", "off", "resize", "boot", "running", "answered")
RESIZE_STEPS_OFF = ("queued", "resize")

NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
MAX_USER_DATA_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class ComingPrice:
    """A price that has been announced and not begun. Of an image, what it adds; it adds nothing while stopped."""

    starts_at: datetime
    running_micro_per_hour: int
    stopped_micro_per_hour: int


@dataclass(frozen=True, slots=True)
class Size:
    """An entry of the size catalogue with the price in force."""

    id: str
    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    active: bool
    price_version_id: str
    price_version: int
    running_micro_per_hour: int
    disk_micro_per_gib_hour: int
    coming: ComingPrice | None = None

    @property
    def stopped_micro_per_hour(self) -> int:
        """What a stopped VM of this size goes on costing: its disk."""
        return self.disk_micro_per_gib_hour * self.disk_gib


@dataclass(frozen=True, slots=True)
class Image:
    id: str
    name: str
    driver_name: str  # what the compute driver calls it
    description: str
    min_memory_mib: int
    active: bool
    surcharge_micro_per_hour: int = 0  # what it adds to the size's price while running
    price_version_id: str | None = None  # None: it never had a price and adds nothing
    price_version: int | None = None
    coming: ComingPrice | None = None


def next_price(size: Size, image: Image | None) -> ComingPrice | None:
    """The next announced price of a machine of that size with that image; None when nothing is announced."""
    coming = [each.coming for each in (size, image) if each is not None and each.coming is not None]
    if not coming:
        return None
    at = min(price.starts_at for price in coming)
    running, stopped = size.running_micro_per_hour, size.stopped_micro_per_hour
    surcharge = image.surcharge_micro_per_hour if image else 0
    if size.coming and size.coming.starts_at == at:
        running, stopped = size.coming.running_micro_per_hour, size.coming.stopped_micro_per_hour
    if image and image.coming and image.coming.starts_at == at:
        surcharge = image.coming.running_micro_per_hour
    return ComingPrice(at, running + surcharge, stopped)


@dataclass(frozen=True, slots=True)
class Operation:
    """A piece of work on a VM: asked for by somebody, done by a worker, ended one way or another."""

    id: str
    kind: OperationKind
    vm_id: str
    state: OperationState
    step: str
    attempts: int
    requested_by: str
    reason: str  # 'owner', 'credit', 'admin'
    created_at: datetime
    finished_at: datetime | None
    error: str
    restarts: bool = False  # a resize of a VM that ran: it is stopped and started again


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
    state_reason: str  # why it is off or in error, in words for the owner
    project_name: str = ""
    owner_email: str = ""
    protected: bool = False  # nobody deletes it before that is switched off
    rights: frozenset[str] = field(default=frozenset(), compare=False)  # of the one who looks: ProjectAction
    labels: tuple[Label, ...] = field(default=(), compare=False)  # by key, where lists and pages show them
    project_colour: str = ""  # of ProjectColour; '': none
    is_archived: bool = False  # its project is: it may stop and be deleted, nothing else begins

    @property
    def rate_micro_per_hour(self) -> int:
        """What it costs now, by its state."""
        if self.is_on:
            return self.running_micro_per_hour
        off = (VMState.STOPPED, VMState.STARTING, VMState.RESIZING)
        return self.stopped_micro_per_hour if self.state in off else 0

    @property
    def is_on(self) -> bool:
        """Whether it is paid for as running: a resize begins and ends on or off, and is off in between."""
        if self.state == VMState.RESIZING:
            return self.started_at is not None and self.stopped_at is None
        return self.state in (VMState.RUNNING, VMState.REBOOTING, VMState.STOPPING)

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
class Step:
    """One step of a launch as the page shows it."""

    name: str
    status: str  # 'done', 'current', 'waiting', 'failed'
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class VMPage:
    """A VM with what its page shows beside it."""

    vm: VM
    operation: Operation | None  # the one under way, or the last
    steps: tuple[Step, ...]
    compute_ok: bool
    observed_at: datetime | None  # when the hypervisor last answered
    extra: dict[str, Any] = field(default_factory=dict)


def launch_steps(vm: VM, operation: Operation | None) -> tuple[Step, ...]:
    """The steps of coming up or of a resize, from the VM's own facts and its operation's recorded step."""
    names = _step_names(operation)
    if operation is None or not names:
        return ()
    # Before a resize is done, the machine has answered in the run before.
    ended = operation.state == OperationState.SUCCEEDED or operation.kind != OperationKind.RESIZE
    if ended and (vm.answered_at is not None or "answered" not in names):
        reached = len(names)
    elif vm.state == VMState.RUNNING and "running" in names:
        reached = names.index("answered")  # 'running' is done, 'answered' is awaited
    else:
        reached = names.index(operation.step) if operation.step in names else 0
    failed = operation.state == OperationState.FAILED
    times = {"queued": operation.created_at, "running": vm.started_at, "answered": vm.answered_at}
    steps = []
    for index, name in enumerate(names):
        status = "done" if index < reached else "waiting"
        if index == reached:
            status = "failed" if failed else "current"
        steps.append(Step(name, status, times.get(name) if status == "done" else None))
    return tuple(steps)


def _step_names(operation: Operation | None) -> tuple[str, ...]:
    if operation is None:
        return ()
    if operation.kind == OperationKind.RESIZE:
        return RESIZE_STEPS if operation.restarts else RESIZE_STEPS_OFF
    return LAUNCH_STEPS if operation.kind in (OperationKind.CREATE, OperationKind.START) else ()
