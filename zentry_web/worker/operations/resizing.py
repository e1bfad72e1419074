"""Giving a machine another size."""

from zentry_web.domain.vms.claim import Claim
from zentry_web.worker.operations.changing import change, put_back
from zentry_web.worker.operations.coming_up import fit
from zentry_web.worker.operations.context import OperationContext, Steps


def resize(context: OperationContext, claim: Claim) -> Steps:
    """The size that was asked for. A guest that does not power off when it is asked keeps the one it has."""

    def apply() -> None:
        sizes = {name: claim.details[name] for name in ("vcpus", "memory_mib", "disk_gib")}
        context.driver.resize(claim.vm_id, **sizes)

    yield from change(context, claim, apply, context.vms.records.operation_resized)


def undo_resize(context: OperationContext, claim: Claim) -> None:
    """The old size again, and running again if it ran; nothing if it was never off."""
    put_back(context, claim, lambda: fit(context, claim.vm_id))
