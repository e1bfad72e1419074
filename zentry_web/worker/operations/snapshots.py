"""Snapshots: taken, reverted to, forgotten. Each call of the driver is one that may be repeated."""

import contextlib

from zentry_web.adapters.compute.base import ComputeDriver, ComputeRefused, MachineMissing, PowerState
from zentry_web.adapters.compute.snapshots import MachineSnapshot
from zentry_web.adapters.compute.words import NO_SUCH_SNAPSHOT
from zentry_web.domain.language import kept
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.snapshot import aside_name
from zentry_web.services.vm_service import VMService
from zentry_web.worker.operations.context import OperationContext, Steps

_COMING = (PowerState.BUILDING, PowerState.UNKNOWN)


def take(context: OperationContext, claim: Claim) -> Steps:
    """Kept, and seen in the hypervisor's list."""
    context.checkpoint("snapshot.claimed")
    context.step(claim, "snapshot")
    name = claim.details["snapshot"]
    context.driver.snapshots.create(claim.vm_id, name)
    context.checkpoint("snapshot.made")
    looks = 0
    while not (found := [each for each in context.driver.snapshots.list(claim.vm_id) if each.name == name]):
        yield from context.pause(claim, looks)
        looks += 1
    context.checkpoint("snapshot.seen")
    context.recorded(context.vms.snapshot_records.made(claim, found[0]))


def revert(context: OperationContext, claim: Claim) -> Steps:
    """The machine as it was then. What it is now is kept under the operation's name first."""
    context.checkpoint("revert.claimed")
    name, aside = claim.details["snapshot"], aside_name(claim.operation_id)
    listed = _before(context, claim)
    if not claim.details.get("keeps"):
        _go_to(context, claim, listed)
    elif not (aside in listed and listed[name].is_current):  # else it was done before this worker came
        context.driver.snapshots.delete(claim.vm_id, aside)  # of an attempt before: the guest has written since
        context.driver.snapshots.create(claim.vm_id, aside)
        context.checkpoint("revert.kept")
        context.driver.snapshots.revert(claim.vm_id, name)
    context.checkpoint("revert.done")
    yield from _record(context, claim)


def unrevert(context: OperationContext, claim: Claim) -> Steps:
    """The machine as it was before its last revert."""
    context.checkpoint("unrevert.claimed")
    _go_to(context, claim, _before(context, claim))
    context.checkpoint("unrevert.done")
    yield from _record(context, claim)


def _before(context: OperationContext, claim: Claim) -> dict[str, MachineSnapshot]:
    """What there is to go back to, by name. The run that is left is written down first."""
    machine = context.driver.machine(claim.vm_id)
    if machine is None:
        raise MachineMissing(kept("The hypervisor no longer has this machine."))
    if claim.step == "queued":
        context.step(claim, claim.kind.value, run_before=machine.run_id or "")
    listed = {each.name: each for each in context.driver.snapshots.list(claim.vm_id)}
    if claim.details["snapshot"] not in listed:
        raise ComputeRefused(NO_SUCH_SNAPSHOT)
    return listed


def _go_to(context: OperationContext, claim: Claim, listed: dict[str, MachineSnapshot]) -> None:
    """A worker that was killed in it leaves the run that was before: another one means that it was done, and what was
    written since is not thrown away once more."""
    name = claim.details["snapshot"]
    machine = context.driver.machine(claim.vm_id)
    is_other_run = machine and machine.is_on and machine.run_id != (claim.details.get("run_before") or None)
    if not (listed[name].has_memory and listed[name].is_current and is_other_run):
        context.driver.snapshots.revert(claim.vm_id, name)


def _record(context: OperationContext, claim: Claim) -> Steps:
    machine = yield from context.wait(claim, lambda found: found.power not in _COMING)
    at = context.now() if machine.is_on else context.went_off(claim, seen_on=True)
    context.recorded(context.vms.snapshot_records.reverted(claim, machine, at))
    context.events.something.set()


def stay(context: OperationContext, claim: Claim) -> None:
    """A revert that failed leaves nothing aside; but where the machine was reverted all the same, it can be undone."""
    name, aside = claim.details["snapshot"], aside_name(claim.operation_id)
    if context.driver.machine(claim.vm_id) is None:
        return
    listed = {each.name: each for each in context.driver.snapshots.list(claim.vm_id)}
    if aside in listed and name in listed and listed[name].is_current:
        context.vms.revert_asides.keep(claim.operation_id)
        return
    with contextlib.suppress(ComputeRefused):
        drop(context.vms, context.driver, (claim.vm_id, claim.operation_id))


def drop(vms: VMService, driver: ComputeDriver, kept_aside: tuple[str, str]) -> None:
    """Remove what was kept of a machine for the revert of that id."""
    vm_id, operation_id = kept_aside
    driver.snapshots.delete(vm_id, aside_name(operation_id))
    vms.revert_asides.forget(operation_id)


def forget(context: OperationContext, claim: Claim) -> Steps:
    """Gone from the hypervisor."""
    context.checkpoint("discard.claimed")
    context.step(claim, "discard")
    name = claim.details["snapshot"]
    context.driver.snapshots.delete(claim.vm_id, name)
    context.checkpoint("discard.gone")
    looks = 0
    while any(each.name == name for each in context.driver.snapshots.list(claim.vm_id)):
        yield from context.pause(claim, looks)
        looks += 1
    context.recorded(context.vms.snapshot_records.forgotten(claim))


def untake(context: OperationContext, claim: Claim) -> None:
    """A snapshot that failed leaves nothing."""
    with contextlib.suppress(ComputeRefused):
        context.driver.snapshots.delete(claim.vm_id, claim.details["snapshot"])
    context.vms.snapshot_records.never_made(claim)


def keep(context: OperationContext, claim: Claim) -> None:
    """One that could not be deleted is there as before; if it went all the same, or nobody can say, the worker goes on
    with it after the operation."""
    name = claim.details["snapshot"]
    if any(each.name == name for each in context.driver.snapshots.list(claim.vm_id)):
        context.vms.snapshot_records.still_there(claim)
