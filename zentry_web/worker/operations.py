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
from zentry_web.worker.power_off import PowerOff, is_off

log = structlog.get_logger(__name__)

LOOK_SECONDS = 0.25
RENEW_SECONDS = 10
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
            self._run(claim)
        except Exception:  # the database does not answer: the lease runs out, and somebody does it again
            log.exception("operation_unrecorded", operation=claim.operation_id)

    def _run(self, claim: Claim) -> None:
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
            reason = f"An internal error ({type(error).__name__}). The operator’s log says more."
            if claim.attempt >= MOST_CRASHES:
                self._give_up(claim, reason)
            else:
                self._again(claim, reason)

    # -- the kinds ------------------------------------------------------------------------------

    def _do(self, claim: Claim) -> None:
        if claim.kind in (OperationKind.CREATE, OperationKind.START):
            self._come_up(claim)
        elif claim.kind in (OperationKind.STOP, OperationKind.FORCE_OFF):
            self._go_off(claim)
        elif claim.kind == OperationKind.REBOOT:
            self._reboot(claim)
        elif claim.kind == OperationKind.RESIZE:
            self._resize(claim)
        elif claim.kind == OperationKind.BIN:
            self._bin(claim)
        else:
            self._delete(claim)

    def _come_up(self, claim: Claim) -> None:
        name = claim.kind.value
        self._checkpoint(f"{name}.claimed")
        self._step(claim, "disk")
        found = None if claim.kind == OperationKind.CREATE else self._driver.machine(claim.vm_id)
        if found is None:
            self._driver.create(self._records.spec(claim.vm_id))
        elif is_off(found):
            self._fit(claim.vm_id)  # a resize that nobody could finish may have left another size
        self._checkpoint(f"{name}.disk")
        self._step(claim, "boot")
        self._boot(claim)

    def _boot(self, claim: Claim) -> None:
        """Power it on, wait until it runs and record that."""
        name = claim.kind.value
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
        self._checkpoint(f"{claim.kind}.claimed")
        if claim.reason == "credit" and claim.step == "queued" and self._vms.landing.call_off_stop(claim):
            return
        self._step(claim, "off")
        machine, at = self._power_down(claim, self._force_at(claim))
        if not self._records.operation_off(claim, at, gone=machine is None):
            raise Overtaken

    def _power_down(self, claim: Claim, force_at: datetime | None) -> tuple[Machine | None, datetime]:
        """Bring the machine down; what is left of it (None: it is gone), and when it went off."""
        name = claim.kind.value
        off = PowerOff(force_at, self._stop_timeout)
        while (machine := self._driver.machine(claim.vm_id)) is not None and not is_off(machine):
            off.seen_on = off.seen_on or machine.power == PowerState.RUNNING
            step = off.next_step(self._clock.now())
            if step == "force":
                self._driver.force_off(claim.vm_id)
            elif step == "ask":
                self._driver.shutdown(claim.vm_id)
            elif step == "fail":
                raise ComputeRefused(
                    f"The guest did not power off within {int(self._stop_timeout.total_seconds())} s of being asked. "
                    "Force off cuts its power."
                )
            self._checkpoint(f"{name}.asked")
            self._pause(claim)
        self._checkpoint(f"{name}.off")
        return machine, self._went(claim, off.seen_on)

    def _resize(self, claim: Claim) -> None:
        """Off if it runs, changed, and up again if it ran. The record gets the new size at the end, so that until
        then a failure leaves the old one."""
        self._checkpoint("resize.claimed")
        restarts = claim.details["run_id"] is not None
        if restarts and claim.step in ("queued", "off"):
            self._step(claim, "off")
            machine, at = self._power_down(claim, None)
            if machine is None:
                raise MachineMissing("The hypervisor no longer has this machine.")
            if not self._records.resize_off(claim, at):
                raise Overtaken
        if claim.step != "boot":
            self._step(claim, "resize")
            self._checkpoint("resize.recorded")
            sizes = {name: claim.details[name] for name in ("vcpus", "memory_mib", "disk_gib")}
            self._driver.resize(claim.vm_id, **sizes)
            self._checkpoint("resize.changed")
        if restarts:
            self._step(claim, "boot")
            self._boot(claim)
        elif not self._records.operation_resized(claim):
            raise Overtaken

    def _fit(self, vm_id: str) -> None:
        """Give a machine that is off the size that is recorded."""
        spec = self._records.spec(vm_id)
        self._driver.resize(vm_id, vcpus=spec.vcpus, memory_mib=spec.memory_mib, disk_gib=spec.disk_gib)

    def _undo_resize(self, claim: Claim) -> None:
        """The old size again, and running again if it ran; nothing if it was never off."""
        machine = self._driver.machine(claim.vm_id)
        run_id = claim.details["run_id"]
        if machine is None or (run_id is not None and machine.run_id == run_id):
            return
        try:
            if run_id is not None:
                self._driver.force_off(claim.vm_id)
            self._fit(claim.vm_id)
            if run_id is not None:
                self._driver.start(claim.vm_id)
        except ComputeRefused as error:
            log.warning("resize_not_undone", operation=claim.operation_id, error=str(error))

    def _went(self, claim: Claim, seen_on: bool) -> datetime:
        """When a machine that is off now went off: as the driver told; just now if it was seen running in this
        attempt; else nobody knows, and it counts up to the last confirmed second."""
        now = self._clock.now()
        confirmed = self._vms.get_confirmed(claim.vm_id) or claim.created_at
        told = self._events.went(claim.vm_id, since=min(confirmed, now), until=now)
        return told or (now if seen_on else min(confirmed, now))

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
            if machine is not None and is_off(machine):
                raise ComputeRefused("The guest powered off instead of restarting.")
            self._pause(claim)
        if not self._records.operation_rebooted(claim):
            raise Overtaken

    def _bin(self, claim: Claim) -> None:
        """Off, without asking: it is off the bill since the click. Its disk stays."""
        self._checkpoint("bin.claimed")
        machine, _ = self._power_down(claim, claim.created_at)
        if not self._vms.bin.operation_binned(claim, gone=machine is None):
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
        if claim.kind in (OperationKind.BIN, OperationKind.DELETE):  # off the bill since the click: it must go
            self._operations.retry_later(claim, reason)
            return
        log.warning("operation_failed", operation=claim.operation_id, kind=claim.kind, reason=reason)
        machine: Machine | None = None
        known = True
        try:
            if claim.kind == OperationKind.CREATE:
                self._driver.delete(claim.vm_id)
            elif claim.kind == OperationKind.START:
                self._stay_off(claim.vm_id)
            elif claim.kind == OperationKind.RESIZE:
                self._undo_resize(claim)
            machine = self._driver.machine(claim.vm_id)
            known = machine is None or machine.power not in (PowerState.BUILDING, PowerState.UNKNOWN)
        except ComputeError:
            known = False
        at = self._went(claim, seen_on=False)
        self._records.operation_failed(claim, reason, machine, known=known, at=at)

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
                    self._operations.keep(claim)
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
        if not self._operations.reach(claim, step):
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
