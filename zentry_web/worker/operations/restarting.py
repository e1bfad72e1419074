"""Restarting a machine that stays on the bill: asked to, or by its reset button."""

from datetime import datetime, timedelta

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.domain.language import kept
from zentry_web.domain.vms.claim import Claim
from zentry_web.worker.operations.context import OperationContext, Steps
from zentry_web.worker.power_off import is_off

REBOOT_PATIENCE = timedelta(seconds=120)
REBOOT_ASK_AGAIN = timedelta(seconds=30)


def reboot(context: OperationContext, claim: Claim) -> Steps:
    """The guest is asked, and again, until the driver tells that it did."""
    context.checkpoint("reboot.claimed")
    context.step(claim, "reboot")
    began = context.now()
    asked_at: datetime | None = None
    looks = 0
    while not context.events.when(claim.vm_id, "rebooted", since=claim.created_at, until=context.now()):
        now = context.now()
        if now > began + REBOOT_PATIENCE:
            raise ComputeRefused(kept("The guest was asked to restart and did not. Force off and start restarts it."))
        looks += 1
        if asked_at is None or now > asked_at + REBOOT_ASK_AGAIN:
            context.driver.identity.renew(context.vms.records.spec(claim.vm_id))  # it may have been renamed
            context.driver.reboot(claim.vm_id)
            asked_at, looks = now, 0
            context.checkpoint("reboot.asked")
        machine = context.driver.machine(claim.vm_id)
        if machine is not None and is_off(machine):
            raise ComputeRefused(kept("The guest powered off instead of restarting."))
        yield from context.pause(claim, looks)
    context.recorded(context.vms.records.operation_went_on(claim))


def reset(context: OperationContext, claim: Claim) -> Steps:
    """The guest is not asked, and it has happened when the driver has accepted it."""
    context.checkpoint("reset.claimed")
    context.step(claim, "reset")
    context.driver.identity.renew(context.vms.records.spec(claim.vm_id))
    context.driver.reset(claim.vm_id)
    context.checkpoint("reset.asked")
    context.recorded(context.vms.records.operation_went_on(claim))
    yield from ()
