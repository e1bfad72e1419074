"""Taking a machine down: a stop, a force off, into the recycle bin, and deleting it for good."""

from collections.abc import Generator
from datetime import datetime, timedelta

from zentry_web.adapters.compute.base import ComputeRefused, Machine
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.worker.operations.asides import take_back
from zentry_web.worker.operations.context import OperationContext, Steps
from zentry_web.worker.power_off import PowerOff, is_off

FORCE_BEFORE_END = timedelta(seconds=5)


def go_off(context: OperationContext, claim: Claim) -> Steps:
    """Asked to power off, or its power cut."""
    context.checkpoint(f"{claim.kind}.claimed")
    if claim.reason == "credit" and claim.step == "queued" and context.vms.landing.call_off_stop(claim):
        return
    context.step(claim, "off")
    machine, at = yield from power_down(context, claim, _force_at(claim))
    context.recorded(context.vms.records.operation_off(claim, at, gone=machine is None))


def move_to_bin(context: OperationContext, claim: Claim) -> Steps:
    """Off, without asking: it is off the bill since the click. Its disk stays."""
    context.checkpoint("bin.claimed")
    context.step(claim, "off")
    machine, _ = yield from power_down(context, claim, claim.created_at)
    if machine is not None:
        take_back(context, claim.vm_id)
    context.recorded(context.vms.records.operation_binned(claim, gone=machine is None))


def delete(context: OperationContext, claim: Claim) -> Steps:
    """Machine, disk and all that was made for it, for good."""
    context.checkpoint("delete.claimed")
    context.step(claim, "delete")
    context.driver.delete(claim.vm_id)
    context.checkpoint("delete.gone")
    looks = 0
    while context.driver.machine(claim.vm_id) is not None:
        yield from context.pause(claim, looks)
        looks += 1
    context.recorded(context.vms.records.operation_deleted(claim))
    context.events.forget(claim.vm_id)


def power_down(
    context: OperationContext, claim: Claim, force_at: datetime | None
) -> Generator[float, None, tuple[Machine | None, datetime]]:
    """Bring the machine down; what is left of it (None: it is gone), and when it went off. Its power is cut at
    ``force_at`` (None: never; then ComputeRefused after ``stop_timeout``)."""
    name = claim.kind.value
    asked = claim.details.get("asked_at")  # by a worker that was killed since
    off = PowerOff(force_at, context.stop_timeout, datetime.fromisoformat(asked) if asked else None)
    looks = 0
    while (machine := context.driver.machine(claim.vm_id)) is not None and not is_off(machine):
        off.seen_on = off.seen_on or machine.is_on
        step = off.next_step(context.now())
        looks = 0 if step else looks + 1
        if step == "force":
            context.driver.force_off(claim.vm_id)
        elif step == "ask":
            context.driver.shutdown(claim.vm_id)
            _note_asked(context, claim, off)
        elif step == "fail":
            raise ComputeRefused(
                f"The guest did not power off within {int(context.stop_timeout.total_seconds())} s of being asked. "
                "Force off cuts its power."
            )
        context.checkpoint(f"{name}.asked")
        yield from context.pause(claim, looks, at_most=off.seconds_left(context.now()))
    context.checkpoint(f"{name}.off")
    return machine, context.went_off(claim, seen_on=off.seen_on)


def _note_asked(context: OperationContext, claim: Claim, off: PowerOff) -> None:
    if "asked_at" not in claim.details and off.asked_first is not None:
        context.step(claim, "off", asked_at=off.asked_first.isoformat())


def _force_at(claim: Claim) -> datetime | None:
    if claim.kind == OperationKind.FORCE_OFF:
        return claim.created_at
    ends_at = claim.details.get("ends_at")
    return datetime.fromisoformat(ends_at) - FORCE_BEFORE_END if ends_at else None
