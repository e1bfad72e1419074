"""Claiming operations and bringing them to an end, whatever happens on the way."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import structlog

from zentry_web.adapters.compute.base import (
    ComputeDriver,
    ComputeError,
    ComputeTimeout,
    ComputeUnavailable,
    Machine,
    PowerState,
)
from zentry_web.domain.language import kept
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.undo import UNDOABLE
from zentry_web.services.shared.storage import outage
from zentry_web.services.vm_service import VMService
from zentry_web.worker.machine_events import MachineEvents
from zentry_web.worker.operations.context import OperationContext, Overtaken, Steps
from zentry_web.worker.operations.kinds import DO, NEVER_GIVEN_UP, PUT_BACK

log = structlog.get_logger(__name__)

MOST_CRASHES = 5
ABORTED = kept("It was aborted before it was done.")


class OperationRunner:
    """Claims operations and does them. Safe to call from several threads, for different claims."""

    def __init__(
        self,
        vms: VMService,
        driver: ComputeDriver,
        events: MachineEvents,
        stop: threading.Event,
        *,
        worker: str,
        stop_timeout_seconds: int,
        checkpoint: Callable[[str], None],
    ) -> None:
        self._context = OperationContext(vms, driver, events, timedelta(seconds=stop_timeout_seconds), checkpoint)
        self._operations = vms.operations
        self._records = vms.records
        self._driver = driver
        self._clock = vms.clock
        self._stop = stop
        self._worker = worker

    def claim(self) -> Claim | None:
        """The next operation due, or None."""
        return self._operations.claim(self._worker)

    def run(self, claim: Claim) -> None:
        """Do a claimed operation to its end in this thread, or put it back for later. Never raises."""
        for seconds in self.steps(claim):
            if self._stop.wait(seconds):
                self._operations.let_go(claim)  # for the next worker
                return

    def steps(self, claim: Claim) -> Iterator[float]:
        """Do a claimed operation as far as can be done now; yields the seconds after which to go on, until it has
        ended or was put back for later. Each step may be done by another thread. Never raises."""
        log.info("operation", kind=claim.kind, vm=claim.vm_id, operation=claim.operation_id, attempt=claim.attempt)
        try:
            yield from self._attempt(claim)
            if f"vm.{claim.kind}" in UNDOABLE:
                self._context.vms.undo.go_on()  # somebody may have wanted it undone while it was under way
        except Exception:  # the database does not answer: the lease runs out, and somebody does it again
            log.exception("operation_unrecorded", operation=claim.operation_id)

    def _attempt(self, claim: Claim) -> Steps:
        if claim.aborted_by:
            self._context.checkpoint(f"{claim.kind}.aborted")
            self._give_up(claim, ABORTED)
            return
        try:
            yield from DO[claim.kind](self._context, claim)
        except Overtaken:
            self._operations.let_go(claim)
        except (ComputeUnavailable, ComputeTimeout) as error:
            self._again(claim, str(error))
        except ComputeError as error:
            self._give_up(claim, str(error))
        except Exception as error:
            if (trouble := outage(error)) is not None:  # no fault of the operation's
                self._again(claim, trouble.message)
                return
            log.exception("operation_crashed", operation=claim.operation_id)
            reason = f"An internal error ({type(error).__name__}). The operator’s log says more."
            if claim.attempt >= MOST_CRASHES:
                self._give_up(claim, reason)
            else:
                self._again(claim, reason)

    def _again(self, claim: Claim, reason: str) -> None:
        if self._clock.now() >= claim.give_up_at:
            self._give_up(claim, reason)
        else:
            self._operations.retry_later(claim, reason)

    def _give_up(self, claim: Claim, reason: str) -> None:
        """Leave nothing half-made, look at what is true, and record that with the reason."""
        if claim.kind in NEVER_GIVEN_UP:
            self._operations.retry_later(claim, reason)
            return
        log.warning("operation_failed", operation=claim.operation_id, kind=claim.kind, reason=reason)
        machine: Machine | None = None
        known = True
        try:
            if put_back := PUT_BACK.get(claim.kind):
                put_back(self._context, claim)
            machine = self._driver.machine(claim.vm_id)
            known = machine is None or machine.power not in (PowerState.BUILDING, PowerState.UNKNOWN)
        except ComputeError:
            known = False
        at = self._context.went_off(claim, seen_on=False)
        self._records.operation_failed(claim, reason, machine, known=known, at=at)
