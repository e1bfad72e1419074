"""Letting a machine stand still with its memory, and go on."""

from zentry_web.adapters.compute.base import ComputeRefused, PowerState
from zentry_web.domain.language import kept
from zentry_web.domain.vms.claim import Claim
from zentry_web.worker.operations.context import OperationContext, Steps

STANDING = (PowerState.PAUSED, PowerState.SLEEPING, PowerState.BUILDING, PowerState.UNKNOWN)


def suspend(context: OperationContext, claim: Claim) -> Steps:
    """On, and not moving."""
    context.checkpoint("suspend.claimed")
    context.step(claim, "suspend")
    context.driver.suspend(claim.vm_id)
    context.checkpoint("suspend.asked")
    machine = yield from context.wait(claim, lambda found: found.power not in (PowerState.RUNNING, PowerState.UNKNOWN))
    if not machine.is_on:
        raise ComputeRefused(kept("The machine went off instead of standing still."))
    context.recorded(context.vms.records.operation_stands(claim, machine))


def resume(context: OperationContext, claim: Claim) -> Steps:
    """On with the memory it had."""
    context.checkpoint("resume.claimed")
    context.step(claim, "resume")
    context.driver.resume(claim.vm_id)
    context.checkpoint("resume.asked")
    machine = yield from context.wait(claim, lambda found: found.power not in STANDING)
    if machine.power != PowerState.RUNNING:
        raise ComputeRefused(kept("The machine went off instead of going on."))
    context.recorded(context.vms.records.operation_went_on(claim))
