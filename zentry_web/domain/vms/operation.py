"""Work on a virtual machine: its kinds, and what may be asked for in which state."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from zentry_web.domain.vms.state import VMState


class OperationKind(StrEnum):
    CREATE = "create"
    START = "start"
    STOP = "stop"
    FORCE_OFF = "force_off"
    REBOOT = "reboot"
    RESET = "reset"  # as its reset button: the guest is not asked
    SUSPEND = "suspend"  # stand still, with its memory
    RESUME = "resume"  # let a paused machine go on, wake a sleeping one
    RESIZE = "resize"
    SNAPSHOT = "snapshot"  # keep what it is now
    REVERT = "revert"  # make it what it was when a snapshot was taken
    UNREVERT = "unrevert"  # make it what it was before the last revert
    DISCARD = "discard"  # forget a snapshot
    BACKUP = "backup"  # copy its disk to a place apart
    RECOVER = "recover"  # give it the disk of a backup; the one that was is put aside
    IMAGE = "image"  # make an image of its disk
    REBUILD = "rebuild"  # a fresh disk from an image; the one that was is put aside
    BRING_BACK = "bring_back"  # the disk that a rebuild has put aside
    RESCUE = "rescue"  # boot the rescue system, with the machine's disk at hand
    UNRESCUE = "unrescue"  # boot as before
    PASSWORD = "password"  # noqa: S105 - have the guest's agent set a new one
    BIN = "bin"  # off, at once, and the disk is kept
    DELETE = "delete"  # machine and disk, for good


class OperationState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # overtaken by a force off or a delete, or aborted


OPEN_OPERATION_STATES = (OperationState.QUEUED, OperationState.RUNNING)


_SNAPSHOTS = (OperationKind.SNAPSHOT, OperationKind.REVERT, OperationKind.UNREVERT, OperationKind.DISCARD)
_BACKUPS = (OperationKind.BACKUP, OperationKind.RECOVER)


# What the owner may ask for in which state. Force off and delete overtake whatever is under way.
ALLOWED_ACTIONS: dict[VMState, frozenset[OperationKind]] = {
    VMState.CREATING: frozenset({OperationKind.DELETE}),
    VMState.STARTING: frozenset({OperationKind.FORCE_OFF, OperationKind.DELETE}),
    VMState.RUNNING: frozenset(
        {
            OperationKind.STOP,
            OperationKind.FORCE_OFF,
            OperationKind.REBOOT,
            OperationKind.RESET,
            OperationKind.SUSPEND,
            OperationKind.RESIZE,
            *_SNAPSHOTS,
            *_BACKUPS,
            OperationKind.IMAGE,
            OperationKind.REBUILD,
            OperationKind.BRING_BACK,
            OperationKind.RESCUE,
            OperationKind.UNRESCUE,
            OperationKind.PASSWORD,
            OperationKind.DELETE,
        }
    ),
    VMState.REBOOTING: frozenset({OperationKind.FORCE_OFF, OperationKind.DELETE}),
    VMState.SUSPENDING: frozenset({OperationKind.FORCE_OFF, OperationKind.DELETE}),
    VMState.PAUSED: frozenset({OperationKind.RESUME, OperationKind.FORCE_OFF, OperationKind.DELETE}),
    VMState.SLEEPING: frozenset({OperationKind.RESUME, OperationKind.FORCE_OFF, OperationKind.DELETE}),
    VMState.RESUMING: frozenset({OperationKind.FORCE_OFF, OperationKind.DELETE}),
    VMState.RESIZING: frozenset({OperationKind.DELETE}),
    VMState.SNAPSHOT: frozenset({OperationKind.DELETE}),
    VMState.REVERTING: frozenset({OperationKind.DELETE}),
    VMState.BACKUP: frozenset({OperationKind.DELETE}),
    VMState.RECOVERING: frozenset({OperationKind.DELETE}),
    VMState.COPYING: frozenset({OperationKind.DELETE}),
    VMState.REBUILDING: frozenset({OperationKind.DELETE}),
    VMState.RESCUING: frozenset({OperationKind.DELETE}),
    VMState.PASSWORD: frozenset({OperationKind.FORCE_OFF, OperationKind.DELETE}),
    VMState.STOPPING: frozenset({OperationKind.FORCE_OFF, OperationKind.DELETE}),
    VMState.STOPPED: frozenset(
        {
            OperationKind.START,
            OperationKind.RESIZE,
            OperationKind.REBUILD,
            OperationKind.BRING_BACK,
            OperationKind.RESCUE,
            OperationKind.UNRESCUE,
            *_SNAPSHOTS,
            *_BACKUPS,
            OperationKind.IMAGE,
            OperationKind.DELETE,
        }
    ),
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
    OperationKind.RESET: VMState.REBOOTING,
    OperationKind.SUSPEND: VMState.SUSPENDING,
    OperationKind.RESUME: VMState.RESUMING,
    OperationKind.RESIZE: VMState.RESIZING,
    OperationKind.SNAPSHOT: VMState.SNAPSHOT,
    OperationKind.REVERT: VMState.REVERTING,
    OperationKind.UNREVERT: VMState.REVERTING,
    OperationKind.DISCARD: VMState.SNAPSHOT,
    OperationKind.BACKUP: VMState.BACKUP,
    OperationKind.RECOVER: VMState.RECOVERING,
    OperationKind.IMAGE: VMState.COPYING,
    OperationKind.REBUILD: VMState.REBUILDING,
    OperationKind.BRING_BACK: VMState.REBUILDING,
    OperationKind.RESCUE: VMState.RESCUING,
    OperationKind.UNRESCUE: VMState.RESCUING,
    OperationKind.PASSWORD: VMState.PASSWORD,
    OperationKind.BIN: VMState.DELETING,
    OperationKind.DELETE: VMState.DELETING,
}


# What an archived project refuses.
BEGINNING = frozenset(
    {
        *(OperationKind.CREATE, OperationKind.START, OperationKind.RESIZE, OperationKind.REBUILD),
        *(OperationKind.SNAPSHOT, OperationKind.REVERT, OperationKind.UNREVERT),
        *(OperationKind.BACKUP, OperationKind.RECOVER, OperationKind.IMAGE),
        OperationKind.PASSWORD,
    }
)


# Off and on again by Zentry, if it ran: the start that ends one carries no minimum.
CHANGES = frozenset(
    {
        *(OperationKind.RESIZE, OperationKind.REBUILD, OperationKind.BRING_BACK, OperationKind.RECOVER),
        *(OperationKind.RESCUE, OperationKind.UNRESCUE),
    }
)


OVERTAKING = frozenset({OperationKind.FORCE_OFF, OperationKind.DELETE})


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
    restarts: bool = False  # one of CHANGES, of a VM that ran: it is stopped and started again
    percent: int | None = None  # how far a copy is
    log: tuple[dict[str, str], ...] = ()  # each ``at`` (ISO) with a ``step`` reached, or what the driver ``said``
    aborted_by: str | None = None  # who wants it to end
