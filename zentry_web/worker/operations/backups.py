"""Backups: made, and given back. A copy takes minutes: it goes on by itself, and is looked at again and again."""

from zentry_web.domain.vms.claim import Claim
from zentry_web.worker.operations.changing import put_back
from zentry_web.worker.operations.context import OperationContext, Steps
from zentry_web.worker.operations.copying import until_whole
from zentry_web.worker.operations.rebuilding import exchange_and_boot


def back_up(context: OperationContext, claim: Claim) -> Steps:
    """A copy of its disk, whole."""
    context.checkpoint("backup.claimed")
    context.step(claim, "backup")
    backups, backup_id = context.driver.backups, str(claim.details["backup"])
    found = yield from until_whole(
        context,
        claim,
        "backup",
        lambda: backups.progress(backup_id),
        lambda: backups.begin(claim.vm_id, backup_id),
    )
    context.checkpoint("backup.whole")
    context.recorded(context.vms.backup_records.made(claim, found))


def recover(context: OperationContext, claim: Claim) -> Steps:
    """The disk of a backup in the place of the one there is, which is put aside under the operation's id."""
    backups, backup_id, key = context.driver.backups, str(claim.details["backup"]), claim.operation_id

    def exchange() -> Steps:
        yield from until_whole(
            context,
            claim,
            "recover",
            lambda: backups.restoring(claim.vm_id, key),
            lambda: backups.restore(claim.vm_id, backup_id, key),
        )

    yield from exchange_and_boot(context, claim, exchange)


def unmake(context: OperationContext, claim: Claim) -> None:
    """A copy that failed leaves nothing."""
    backup_id = str(claim.details["backup"])
    context.driver.backups.abort(claim.vm_id, backup_id)
    context.driver.backups.delete(backup_id)


def undo_recover(context: OperationContext, claim: Claim) -> None:
    """The old disk again, and running again if it ran; nothing if it was never off."""
    context.driver.backups.abandon(claim.vm_id, claim.operation_id)
    put_back(context, claim, lambda: context.driver.rebuilds.bring_back(claim.vm_id, claim.operation_id))
