"""Disks that were put aside by rebuilds which came to nothing."""

from zentry_web.worker.operations.context import OperationContext


def take_back(context: OperationContext, vm_id: str) -> None:
    """Give a machine that is off the disk back that it had before rebuilds which something overtook, or which failed
    while the host did not answer: whole, or nothing."""
    for name in context.vms.rebuilding.list_overtaken(vm_id):
        context.driver.rebuilds.bring_back(vm_id, name)
        context.vms.rebuilding.forget(name)
