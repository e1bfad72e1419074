"""Bringing a machine up: a launch and a start."""

from dataclasses import replace

from zentry_web.adapters.compute.base import ComputeRefused, PowerState
from zentry_web.domain.language import kept
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.worker.operations.asides import take_back
from zentry_web.worker.operations.context import OperationContext, Steps
from zentry_web.worker.operations.copying import copied
from zentry_web.worker.power_off import is_off


def come_up(context: OperationContext, claim: Claim) -> Steps:
    """Disk and definition, unless they are there, and on."""
    name = claim.kind.value
    context.checkpoint(f"{name}.claimed")
    context.step(claim, "disk")
    found = None if claim.kind == OperationKind.CREATE else context.driver.machine(claim.vm_id)
    if found is None:
        yield from _make(context, claim)
    elif is_off(found):
        take_back(context, claim.vm_id)
        fit(context, claim.vm_id)  # a resize that nobody could finish may have left another size
    context.checkpoint(f"{name}.disk")
    context.step(claim, "boot")
    yield from boot(context, claim)


def _make(context: OperationContext, claim: Claim) -> Steps:
    """From its image, or from a whole copy of another's disk, which is dropped then."""
    spec, origin = context.vms.records.spec(claim.vm_id), context.vms.records.find_origin(claim.vm_id)
    if origin is not None and context.driver.machine(claim.vm_id) is None:
        yield from copied(context, claim, origin, "disk", disk_gib=spec.disk_gib)
        spec = replace(spec, copy=claim.operation_id)
    context.driver.create(spec)
    if origin is not None:
        context.checkpoint(f"{claim.kind.value}.adopted")
        context.driver.copies.drop(claim.operation_id)


def boot(context: OperationContext, claim: Claim) -> Steps:
    """Power it on, wait until it runs and record that."""
    name = claim.kind.value
    machine = yield from context.wait(claim, lambda found: found.power not in (PowerState.BUILDING, PowerState.UNKNOWN))
    if machine.power != PowerState.RUNNING:
        context.driver.identity.renew(context.vms.records.spec(claim.vm_id))  # it may have been renamed
        context.driver.start(claim.vm_id)
    context.checkpoint(f"{name}.boot")
    machine = yield from context.wait(claim, lambda found: found.is_on or found.power == PowerState.FAILED)
    if machine.power == PowerState.FAILED:
        raise ComputeRefused(machine.fault or kept("The hypervisor could not run it."))
    context.checkpoint(f"{name}.running")
    context.recorded(context.vms.records.operation_running(claim, machine))
    context.events.something.set()  # the reconciler watches for its answer from here


def fit(context: OperationContext, vm_id: str) -> None:
    """Give a machine that is off the size that is recorded."""
    spec = context.vms.records.spec(vm_id)
    context.driver.resize(vm_id, vcpus=spec.vcpus, memory_mib=spec.memory_mib, disk_gib=spec.disk_gib)


def unmake(context: OperationContext, claim: Claim) -> None:
    """A launch that failed leaves nothing."""
    if context.vms.records.find_origin(claim.vm_id) is not None:
        context.driver.copies.drop(claim.operation_id)
    context.driver.delete(claim.vm_id)


def stay_off(context: OperationContext, claim: Claim) -> None:
    """Off, unless it stands still: what a guest has in its memory would be lost, and it can yet go on."""
    machine = context.driver.machine(claim.vm_id)
    if machine is not None and machine.power not in (PowerState.PAUSED, PowerState.SLEEPING):
        context.driver.force_off(claim.vm_id)
