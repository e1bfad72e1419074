"""What the kinds of operations are done with: the driver, the records, and the ways to wait.

What has to wait for a guest waits in no thread: an operation is a generator that yields the seconds until it wants to
look again, and whoever runs it (worker/dispatch.py) gives the thread to somebody else meanwhile.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timedelta

from zentry_web.adapters.compute.base import ComputeDriver, ComputeRefused, Machine, MachineMissing
from zentry_web.domain.language import kept
from zentry_web.domain.vms.claim import Claim
from zentry_web.services.vm_service import VMService
from zentry_web.worker.machine_events import MachineEvents

LOOK_SECONDS = 0.25  # until the first look after something was done; each look doubles it
LONGEST_LOOK_SECONDS = 2.0  # the driver's events are quicker

Steps = Generator[float, None, None]  # seconds until it is to be gone on with


class Overtaken(Exception):
    """Somebody else has this operation now (or it was cancelled): record nothing."""


@dataclass(frozen=True, slots=True)
class OperationContext:
    """Given to each kind with its claim. Safe to use from several threads, for different claims."""

    vms: VMService
    driver: ComputeDriver
    events: MachineEvents
    stop_timeout: timedelta  # a guest that was asked to power off has this long
    checkpoint: Callable[[str], None]  # tests pause here and kill the worker

    def now(self) -> datetime:
        """UTC."""
        return self.vms.clock.now()

    def step(self, claim: Claim, step: str, **notes: str | int) -> None:
        """Record that it has come to ``step``. Raises Overtaken."""
        if not self.vms.operations.reach(claim, step, **notes):
            raise Overtaken

    def recorded(self, is_recorded: bool) -> None:
        """Raises Overtaken when a record was refused."""
        if not is_recorded:
            raise Overtaken

    def pause(self, claim: Claim, looks: int, *, at_most: float = LONGEST_LOOK_SECONDS) -> Steps:
        """Wait before looking again, the longer the more often that was in vain.

        Raises Overtaken, and ComputeRefused when its time is up.
        """
        yield min(LOOK_SECONDS * 2 ** min(looks, 10), LONGEST_LOOK_SECONDS, max(at_most, LOOK_SECONDS))
        if not self.vms.operations.is_held(claim):
            raise Overtaken
        if self.now() >= claim.give_up_at:
            raise ComputeRefused(kept("It took too long."))

    def wait(self, claim: Claim, until: Callable[[Machine], bool]) -> Generator[float, None, Machine]:
        """Look at the machine until it is as asked for. Raises MachineMissing, and what ``pause`` raises."""
        looks = 0
        while True:
            machine = self.driver.machine(claim.vm_id)
            if machine is None:
                raise MachineMissing(kept("The machine disappeared while it was being started."))
            if until(machine):
                return machine
            yield from self.pause(claim, looks)
            looks += 1

    def went_off(self, claim: Claim, *, seen_on: bool) -> datetime:
        """When a machine that is off now went off: as the driver told; just now if it was seen running in this
        attempt; else nobody knows, and it counts up to the last confirmed second."""
        now = self.now()
        confirmed = self.vms.get_confirmed(claim.vm_id) or claim.created_at
        told = self.events.went(claim.vm_id, since=min(confirmed, now), until=now)
        return told or (now if seen_on else min(confirmed, now))
