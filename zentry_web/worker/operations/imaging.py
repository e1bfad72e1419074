"""An image of a machine's own disk (ADR 0042)."""

from zentry_web.adapters.compute.copies import DiskSource
from zentry_web.adapters.compute.images import ImageOrder
from zentry_web.adapters.compute.watch import Watch
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.image import ImageSource
from zentry_web.worker.operations.context import OperationContext, Steps
from zentry_web.worker.operations.copying import copied

_UNWATCHED = Watch(lambda step: None, lambda done, total: None, lambda: True)  # it takes a moment


def make_image(context: OperationContext, claim: Claim) -> Steps:
    """A whole copy of the disk, and an image of that. What is copied is dropped last: killed before, it is made again
    from what is there."""
    name = claim.kind.value
    context.checkpoint(f"{name}.claimed")
    images, records = context.driver.images, context.vms.machine_image_records
    order = _order(context, claim)
    if claim.step != "place":
        context.step(claim, "copy")
        yield from copied(context, claim, DiskSource(claim.vm_id), "copy")
    context.step(claim, "place")
    facts = images.make(order, _UNWATCHED)
    context.checkpoint(f"{name}.placed")
    context.recorded(records.made(claim, facts, images.names()))
    context.checkpoint(f"{name}.recorded")
    context.driver.copies.drop(claim.operation_id)


def unmake_image(context: OperationContext, claim: Claim) -> None:
    """One that failed leaves nothing."""
    order = _order(context, claim)
    context.driver.copies.drop(claim.operation_id)
    context.driver.images.forget(order)
    context.driver.images.remove(order.name)
    context.vms.machine_image_records.never_made(claim)


def _order(context: OperationContext, claim: Claim) -> ImageOrder:
    return ImageOrder(context.vms.machine_image_records.driver_name(claim), ImageSource.MACHINE, claim.operation_id)
