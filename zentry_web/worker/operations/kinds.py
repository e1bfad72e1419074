"""What is done for each kind of operation, and what is put back when it has failed for good."""

from collections.abc import Callable

from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.worker.operations import (
    backups,
    changing,
    coming_up,
    going_off,
    imaging,
    passwords,
    rebuilding,
    rescuing,
    resizing,
    restarting,
    snapshots,
    standing,
)
from zentry_web.worker.operations.context import OperationContext, Steps

DO: dict[OperationKind, Callable[[OperationContext, Claim], Steps]] = {
    OperationKind.CREATE: coming_up.come_up,
    OperationKind.START: coming_up.come_up,
    OperationKind.STOP: going_off.go_off,
    OperationKind.FORCE_OFF: going_off.go_off,
    OperationKind.REBOOT: restarting.reboot,
    OperationKind.RESET: restarting.reset,
    OperationKind.SUSPEND: standing.suspend,
    OperationKind.RESUME: standing.resume,
    OperationKind.RESIZE: resizing.resize,
    OperationKind.SNAPSHOT: snapshots.take,
    OperationKind.REVERT: snapshots.revert,
    OperationKind.UNREVERT: snapshots.unrevert,
    OperationKind.DISCARD: snapshots.forget,
    OperationKind.BACKUP: backups.back_up,
    OperationKind.RECOVER: backups.recover,
    OperationKind.IMAGE: imaging.make_image,
    OperationKind.REBUILD: rebuilding.rebuild,
    OperationKind.BRING_BACK: rebuilding.bring_back,
    OperationKind.RESCUE: rescuing.rescue,
    OperationKind.UNRESCUE: rescuing.unrescue,
    OperationKind.PASSWORD: passwords.set_password,
    OperationKind.BIN: going_off.move_to_bin,
    OperationKind.DELETE: going_off.delete,
}

# Called before the failure is recorded; may raise ComputeError: then nobody knows how the machine is.
PUT_BACK: dict[OperationKind, Callable[[OperationContext, Claim], None]] = {
    OperationKind.CREATE: coming_up.unmake,
    OperationKind.START: coming_up.stay_off,
    OperationKind.RESIZE: resizing.undo_resize,
    OperationKind.SNAPSHOT: snapshots.untake,
    OperationKind.REVERT: snapshots.stay,
    OperationKind.DISCARD: snapshots.keep,
    OperationKind.BACKUP: backups.unmake,
    OperationKind.RECOVER: backups.undo_recover,
    OperationKind.IMAGE: imaging.unmake_image,
    OperationKind.REBUILD: rebuilding.undo_rebuild,
    OperationKind.BRING_BACK: changing.run_again,
    OperationKind.RESCUE: rescuing.undo_rescue,
    OperationKind.UNRESCUE: changing.run_again,
}

# Off the bill since the click: these are tried until they are done.
NEVER_GIVEN_UP = frozenset({OperationKind.BIN, OperationKind.DELETE})
