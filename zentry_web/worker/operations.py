"""Doing operations: every call of the hypervisor happens here, outside any transaction, and may be repeated."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import structlog

from zentry_web.adapters.clock import Clock
from zentry_web.adapters.compute.base import (
    ComputeDriver,
    ComputeError,
    ComputeRefused,
    ComputeTimeout,
    ComputeUnavailable,
    Machine,
    MachineMissing,
    PowerState,
)
from zentry_web.domain.vm import OperationKind
from zentry_web.services.vm_operations import Claim
from zentry_web.services.vm_service import VMService
from zentry_web.worker.machine_events import MachineEvents

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.25
RENEW_SECONDS = 10
ASK_AGAIN = timedelta(seconds=5)  # a guest that is still booting does not hear the power button
REBOOT_PATIENCE = timedelta(seconds=120)
REBOOT_ASK_AGAIN = timedelta(seconds=30)
FORCE_BEFORE_END = timedelta(seconds=5)
MOST_CRASHES = 5


class Overtaken(Exception):
    """Somebody else has this operation now (or it was cancelled): record nothing."""


class Interrupted(Exception):
    """The worker is shutting down: leave the operation for the next one."""


class OperationRunner:
    """Claims operations and does them, one at a time per call of ``run_one`` (call it from several threads)."""

    def __init__(
        self,
        vms: VMService,
        driver: ComputeDriver,
        events: MachineEvents,
        clock: Clock,
        stop: threading.Event,
        *,
        worker: str,
        stop_timeout_seconds: int,
        checkpoint: Callable[[str], None],
    ) -> None:
        self._vms = vms
        self._operations = vms.operations
        self._records = vms.records
        self._driver = driver
        self._events = events
        self._clock = clock
        self._stop = stop
        self._worker = worker
        self._stop_timeout = timedelta(seconds=stop_timeout_seconds)
        self._checkpoint = checkpoint

    def claim(self) -> Claim | None:
        """The next operation due, or None."""
        return self._operations.claim(self._worker)

    def run(self, claim: Claim) -> None:
        """Do a claimed operation to its end, or put it back for later. Never raises."""
        log.info("operation", kind=claim.kind, vm=claim.vm_id, operation=claim.operation_id, attempt=claim.attempt)
        try:
            with self._kept(claim):
                self._do(claim)
        except (Overtaken, Interrupted):
            self._operations.let_go(claim)
        except (ComputeUnavailable, ComputeTimeout) as error:
            self._again(claim, str(error))
        except ComputeError as error:
            self._give_up(claim, str(error))
        except Exception as error:
            log.exception("operation_crashed", operation=claim.operation_id)
            if claim.attempt >= MOST_CRASHES:
                self._give_up(claim, f"An internal error ({type(error).__name__}). The operator's log says more.")
            else:
                self._again(claim, f"An internal error ({type(error).__name__}); trying again.")

    # -- the kinds ------------------------------------------------------------------------------

    def _do(self, claim: Claim) -> None:
        if claim.kind in (OperationKind.CREATE, OperationKind.START):
            self._come_up(claim)
        elif claim.kind in (OperationKind.STOP, OperationKind.FORCE_OFF):
            self._go_off(claim)
        elif claim.kind == OperationKind.REBOOT:
            self._reboot(claim)
        else:
            self._delete(claim)

    def _come_up(self, claim: Claim) -> None:
        name = claim.kind.value
        self._checkpoint(f"{name}.claimed")
        self._step(claim, "disk")
        if claim.kind == OperationKind.CREATE or self._driver.machine(claim.vm_id) is None:
            self._driver.create(self._records.spec(claim.vm_id))
        self._checkpoint(f"{name}.disk")
        self._step(claim, "boot")
        machine = self._wait(claim, lambda found: found.power not in (PowerState.BUILDING, PowerState.UNKNOWN))
        if machine.power != PowerState.RUNNING:
            self._driver.start(claim.vm_id)
        self._checkpoint(f"{name}.boot")
        machine = self._wait(claim, lambda found: found.power in (PowerState.RUNNING, PowerState.FAILED))
        if machine.power == PowerState.FAILED:
            raise ComputeRefused(machine.fault or "The hypervisor could not run it.")
        self._checkpoint(f"{name}.running")
        if not self._records.operation_running(claim, machine):
            raise Overtaken
        self._events.something.set()  # the reconciler watches for its answer from here

    def _go_off(self, claim: Claim) -> None:
        name = claim.kind.value
        self._checkpoint(f"{name}.claimed")
        force_at = self._force_at(claim)
        asked_at: datetime | None = None
        forced = False
        while (machine := self._driver.machine(claim.vm_id)) is not None and machine.power != PowerState.OFF:
            now = self._clock.now()
            if force_at is not None and now >= force_at and not forced:
                self._driver.force_off(claim.vm_id)
                forced = True
            elif not forced and now >= claim.created_at + self._stop_timeout and force_at is None:
                raise ComputeRefused(
                    f"The guest did not power off within {int(self._stop_timeout.total_seconds())} s of being asked. "
                    "Force off cuts its power."
                )
            elif not forced and (asked_at is None or now >= asked_at + ASK_AGAIN):
                self._driver.shutdown(claim.vm_id)
                asked_at = now
            self._checkpoint(f"{name}.asked")
            self._pause(claim)
        self._checkpoint(f"{name}.off")
        now = self._clock.now()
        at = self._events.when(claim.vm_id, "stopped", since=claim.created_at, until=now) or now
        if not self._records.operation_off(claim, at):
            raise Overtaken

    def _force_at(self, claim: Claim) -> datetime | None:
        if claim.kind == OperationKind.FORCE_OFF:
            return claim.created_at
        ends_at = claim.details.get("ends_at")
        return datetime.fromisoformat(ends_at) - FORCE_BEFORE_END if ends_at else None

    def _reboot(self, claim: Claim) -> None:
        self._checkpoint("reboot.claimed")
        began = self._clock.now()
        asked_at: datetime | None = None
        while not self._events.when(claim.vm_id, "rebooted", since=claim.created_at, until=self._clock.now()):
            now = self._clock.now()
            if now > began + REBOOT_PATIENCE:
                raise ComputeRefused("The guest was asked to restart and did not. Force off and start restarts it.")
            if asked_at is None or now > asked_at + REBOOT_ASK_AGAIN:
                self._driver.reboot(claim.vm_id)
                asked_at = now
                self._checkpoint("reboot.asked")
            machine = self._driver.machine(claim.vm_id)
            if machine is not None and machine.power == PowerState.OFF:
                raise ComputeRefused("The guest powered off instead of restarting.")
            self._pause(claim)
        if not self._records.operation_rebooted(claim):
            raise Overtaken

    def _delete(self, claim: Claim) -> None:
        self._checkpoint("delete.claimed")
        self._driver.delete(claim.vm_id)
        self._checkpoint("delete.gone")
        while self._driver.machine(claim.vm_id) is not None:
            self._pause(claim)
        if not self._records.operation_deleted(claim):
            raise Overtaken
        self._events.forget(claim.vm_id)

    # -- endings --------------------------------------------------------------------------------

    def _again(self, claim: Claim, reason: str) -> None:
        if self._clock.now() >= claim.give_up_at:
            self._give_up(claim, reason)
        else:
            self._operations.retry_later(claim, reason)

    def _give_up(self, claim: Claim, reason: str) -> None:
        """Leave nothing half-made, look at what is true, and record that with the reason."""
        log.warning("operation_failed", operation=claim.operation_id, kind=claim.kind, reason=reason)
        machine: Machine | None = None
        known = True
        try:
            if claim.kind == OperationKind.CREATE:
                self._driver.delete(claim.vm_id)
            elif claim.kind == OperationKind.START:
                self._stay_off(claim.vm_id)
            machine = self._driver.machine(claim.vm_id)
        except ComputeError:
            known = False
        self._records.operation_failed(claim, reason, machine, known=known)

    def _stay_off(self, vm_id: str) -> None:
        try:
            self._driver.force_off(vm_id)
        except MachineMissing:
            return

    # -- leases and waiting ---------------------------------------------------------------------

    @contextmanager
    def _kept(self, claim: Claim) -> Iterator[None]:
        """Renew the lease from a thread while a slow call is under way."""
        done = threading.Event()

        def keep() -> None:
            while not done.wait(RENEW_SECONDS):
                try:
                    self._operations.renew(claim)
                except Exception:
                    log.exception("lease_not_renewed", operation=claim.operation_id)

        keeper = threading.Thread(target=keep, name=f"lease-{claim.operation_id}", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()

    def _step(self, claim: Claim, step: str) -> None:
        if not self._operations.renew(claim, step):
            raise Overtaken

    def _pause(self, claim: Claim) -> None:
        """Wait a moment before looking again; leave if the worker stops or the operation was overtaken."""
        if self._stop.wait(LOOK_SECONDS):
            raise Interrupted
        if not self._operations.is_held(claim):
            raise Overtaken
        if self._clock.now() >= claim.give_up_at:
            raise ComputeRefused("It took too long.")

    def _wait(self, claim: Claim, until: Callable[[Machine], bool]) -> Machine:
        while True:
            machine = self._driver.machine(claim.vm_id)
            if machine is None:
                raise MachineMissing("The machine disappeared while it was being started.")
            if until(machine):
                return machine
            self._pause(claim)
