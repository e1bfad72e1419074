"""Giving a machine a fresh disk, and the one back that it had before."""

from collections.abc import Callable

from zentry_web.domain.vms.claim import Claim
from zentry_web.worker.operations.changing import change, put_back
from zentry_web.worker.operations.coming_up import fit
from zentry_web.worker.operations.context import OperationContext, Overtaken, Steps


def rebuild(context: OperationContext, claim: Claim) -> Steps:
    """A fresh disk from the image that was chosen; the one that was is put aside under the operation's id."""

    def exchange() -> None:
        spec = context.vms.rebuilding.spec(claim)
        if spec is None:
            raise Overtaken
        context.driver.rebuilds.rebuild(spec, claim.operation_id)

    yield from exchange_and_boot(context, claim, exchange)


def bring_back(context: OperationContext, claim: Claim) -> Steps:
    """The disk that a rebuild has put aside, in the size that the machine has by now."""

    def exchange() -> None:
        context.driver.rebuilds.bring_back(claim.vm_id, claim.details["aside"])
        fit(context, claim.vm_id)

    yield from exchange_and_boot(context, claim, exchange)


def exchange_and_boot(context: OperationContext, claim: Claim, exchange: Callable[[], Steps | None]) -> Steps:
    """``exchange`` what a machine boots. A guest that does not go off by itself is cut off: what it runs is to go in
    any case."""
    record, force_at = context.vms.records.operation_rebuilt, claim.created_at + context.stop_timeout
    yield from change(context, claim, exchange, record, force_at=force_at)


def undo_rebuild(context: OperationContext, claim: Claim) -> None:
    """The old disk again, and running again if it ran; nothing if it was never off."""
    put_back(context, claim, lambda: context.driver.rebuilds.bring_back(claim.vm_id, claim.operation_id))
