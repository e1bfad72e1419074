"""What changes only while a machine is off: off if it runs, changed, and up again if it ran."""

from collections.abc import Callable
from datetime import datetime

import structlog

from zentry_web.adapters.compute.base import ComputeRefused, MachineMissing
from zentry_web.domain.language import kept
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.worker.operations.asides import take_back
from zentry_web.worker.operations.coming_up import boot
from zentry_web.worker.operations.context import OperationContext, Steps
from zentry_web.worker.operations.going_off import power_down
from zentry_web.worker.operations.snapshots import drop

log = structlog.get_logger(__name__)
# Of a disk with snapshots in it they are refused; what a revert has kept aside is one.
_NEEDS_PLAIN_DISK = (OperationKind.RESIZE, OperationKind.REBUILD, OperationKind.BRING_BACK, OperationKind.RECOVER)


def change(
    context: OperationContext,
    claim: Claim,
    apply: Callable[[], Steps | None],
    record: Callable[[Claim], bool],
    *,
    force_at: datetime | None = None,
) -> Steps:
    """``apply`` the change with the machine off and its disk its own, in steps where that takes long; one that does not
    run is then recorded by ``record``.

    The record changes at the end, so that until then a failure leaves what was. ``force_at``: as of ``power_down``.
    """
    name = claim.kind.value
    context.checkpoint(f"{name}.claimed")
    if claim.kind in _NEEDS_PLAIN_DISK:
        for kept_aside in context.vms.revert_asides.list_of(claim.vm_id):
            drop(context.vms, context.driver, kept_aside)
    restarts = claim.details["run_id"] is not None
    if restarts and claim.step in ("queued", "off"):
        if claim.step == "queued":
            context.driver.check_resize(claim.vm_id)  # before its power goes in vain
        context.step(claim, "off")
        machine, at = yield from power_down(context, claim, force_at)
        if machine is None:
            raise MachineMissing(kept("The hypervisor no longer has this machine."))
        context.recorded(context.vms.records.change_off(claim, at, name))
    if claim.step != "boot":
        take_back(context, claim.vm_id)
        context.step(claim, name)
        context.checkpoint(f"{name}.recorded")
        yield from apply() or ()
        context.checkpoint(f"{name}.changed")
    if restarts:
        context.step(claim, "boot")
        yield from boot(context, claim)
    else:
        context.recorded(record(claim))


def put_back(context: OperationContext, claim: Claim, restore: Callable[[], None], *, starts: bool = True) -> None:
    """Off, ``restore`` what was, and running again if it ran, unless the caller sees to that (``starts``); nothing if
    the machine was never off for the change."""
    machine = context.driver.machine(claim.vm_id)
    run_id = claim.details["run_id"]
    if machine is None or (run_id is not None and machine.run_id == run_id):
        return
    try:
        if run_id is not None:
            context.driver.force_off(claim.vm_id)
        restore()
        if run_id is not None and starts:
            context.driver.start(claim.vm_id)
    except ComputeRefused as error:
        log.warning(f"{claim.kind}_not_undone", operation=claim.operation_id, error=str(error))


def run_again(context: OperationContext, claim: Claim) -> None:
    """Running again if it ran, with whatever it boots by now: what was could not be brought back."""
    machine = context.driver.machine(claim.vm_id)
    if machine is not None and claim.details["run_id"] is not None and not machine.is_on:
        try:
            context.driver.start(claim.vm_id)
        except ComputeRefused as error:
            log.warning("not_started_again", operation=claim.operation_id, error=str(error))
