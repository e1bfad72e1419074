"""Booting the rescue system in the place of a machine's own, and its own again."""

from zentry_web.adapters.compute.rescues import RescueAccess
from zentry_web.domain.vms.claim import Claim
from zentry_web.worker.operations.changing import put_back, run_again
from zentry_web.worker.operations.context import OperationContext, Overtaken, Steps
from zentry_web.worker.operations.rebuilding import exchange_and_boot


def rescue(context: OperationContext, claim: Claim) -> Steps:
    """The rescue system; one that is off boots it when it is started."""

    def enter() -> None:
        found = context.vms.rescuing.read_access(claim)
        if found is None:
            raise Overtaken
        access = RescueAccess(found["password_hash"], tuple(found["ssh_keys"]))
        context.driver.rescues.enter(claim.vm_id, access)

    yield from exchange_and_boot(context, claim, enter)


def unrescue(context: OperationContext, claim: Claim) -> Steps:
    """As before; one that is off stays off."""
    yield from exchange_and_boot(context, claim, lambda: context.driver.rescues.leave(claim.vm_id))


def undo_rescue(context: OperationContext, claim: Claim) -> None:
    """As before, and running again if it ran, also where the rescue system could not be left; nothing if it was never
    off."""
    put_back(context, claim, lambda: context.driver.rescues.leave(claim.vm_id), starts=False)
    run_again(context, claim)
