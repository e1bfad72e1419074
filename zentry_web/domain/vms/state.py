"""The states of a virtual machine."""

from enum import StrEnum

from zentry_web.domain.language import lazy


class VMState(StrEnum):
    CREATING = "creating"
    STARTING = "starting"
    RUNNING = "running"
    REBOOTING = "rebooting"
    PAUSED = "paused"  # on and paid for, but it stands still: somebody on the host did that, or a full disk
    SLEEPING = "sleeping"  # the same, by the guest itself
    SUSPENDING = "suspending"
    RESUMING = "resuming"
    RESIZING = "resizing"
    SNAPSHOT = "snapshot"  # one is taken or deleted
    REVERTING = "reverting"
    BACKUP = "backup"  # its disk is being copied
    RECOVERING = "recovering"  # it gets the disk of a backup
    COPYING = "copying"  # an image of its disk is made
    REBUILDING = "rebuilding"
    RESCUING = "rescuing"  # on the way into the rescue system, or out of it
    PASSWORD = "password"  # noqa: S105 - its guest's agent sets one
    STOPPING = "stopping"
    STOPPED = "stopped"
    DELETING = "deleting"
    BINNED = "binned"  # deleted, off, its disk kept: it can be restored
    DELETED = "deleted"
    ERROR = "error"


_STATE_WORDS = {
    VMState.CREATING: lazy("creating"),
    VMState.STARTING: lazy("starting"),
    VMState.RUNNING: lazy("running"),
    VMState.REBOOTING: lazy("rebooting"),
    VMState.PAUSED: lazy("paused"),
    VMState.SLEEPING: lazy("sleeping"),
    VMState.SUSPENDING: lazy("suspending"),
    VMState.RESUMING: lazy("resuming"),
    VMState.RESIZING: lazy("resizing"),
    VMState.SNAPSHOT: lazy("busy with a snapshot"),
    VMState.REVERTING: lazy("reverting"),
    VMState.BACKUP: lazy("being backed up"),
    VMState.RECOVERING: lazy("being restored"),
    VMState.COPYING: lazy("being copied"),
    VMState.REBUILDING: lazy("rebuilding"),
    VMState.RESCUING: lazy("on its way into rescue or out of it"),
    VMState.PASSWORD: lazy("getting a new password"),
    VMState.STOPPING: lazy("stopping"),
    VMState.STOPPED: lazy("stopped"),
    VMState.DELETING: lazy("deleting"),
    VMState.BINNED: lazy("binned"),
    VMState.DELETED: lazy("deleted"),
    VMState.ERROR: lazy("error"),
}


def state_words(state: str) -> str:
    """A state within a sentence: ``running``."""
    return _STATE_WORDS[VMState(state)]


IN_TRANSITION = frozenset(
    {
        VMState.CREATING,
        VMState.STARTING,
        VMState.REBOOTING,
        VMState.SUSPENDING,
        VMState.RESUMING,
        VMState.RESIZING,
        VMState.SNAPSHOT,
        VMState.REVERTING,
        VMState.BACKUP,
        VMState.RECOVERING,
        VMState.COPYING,
        VMState.REBUILDING,
        VMState.RESCUING,
        VMState.PASSWORD,
        VMState.STOPPING,
        VMState.DELETING,
    }
)

# Begins and ends on or off; paid for as what it is at the time.
CHANGING = (
    *(VMState.RESIZING, VMState.SNAPSHOT, VMState.REVERTING, VMState.BACKUP, VMState.RECOVERING, VMState.COPYING),
    *(VMState.REBUILDING, VMState.RESCUING),
)


# On, whether it moves or stands still; nobody has asked for anything else.
ON = (VMState.RUNNING, VMState.PAUSED, VMState.SLEEPING)


# In which states it can be moved into another project.
MOVABLE = frozenset({VMState.RUNNING, VMState.STOPPED, VMState.ERROR})


# Paid for as running.
RUNS = (*ON, VMState.REBOOTING, VMState.SUSPENDING, VMState.RESUMING, VMState.PASSWORD, VMState.STOPPING)


def is_billed_as_running(state: str, run_id: str | None) -> bool:
    """Whether a VM in this state has a running interval; one that is changed may be on or off."""
    return state in RUNS or (state in CHANGING and run_id is not None)
