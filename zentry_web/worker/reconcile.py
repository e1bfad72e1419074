"""Reconciling: the hypervisor's list against the database, every few seconds and on its events."""

from datetime import datetime

import structlog

from zentry_web.adapters.clock import Clock
from zentry_web.adapters.compute.base import ComputeDriver, ComputeError, Machine, PowerState
from zentry_web.domain.vm import VMState
from zentry_web.services.errors import InsufficientCreditsError
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.vm_records import KnownVM, is_billed_as_running
from zentry_web.services.vm_service import VMService
from zentry_web.worker.machine_events import MachineEvents

log = structlog.get_logger(__name__)

FACTS_EVERY_SECONDS = 30  # health, images and capacity change slowly and cost calls


class Reconciler:
    """One pass per ``run``: what differs is recorded, what should not exist is removed."""

    def __init__(
        self,
        vms: VMService,
        monitoring: MonitoringService,
        driver: ComputeDriver,
        events: MachineEvents,
        clock: Clock,
    ) -> None:
        self._records = vms.records
        self._bin = vms.bin
        self._processes = monitoring.processes
        self._driver = driver
        self._events = events
        self._clock = clock
        self._facts_at: datetime | None = None

    def run(self) -> None:
        """Compare once. A hypervisor that does not answer is recorded as such and changes nothing else.

        What Zentry knows is read before the hypervisor is asked: of a machine that an operation changes meanwhile
        the listing may be older than the record, so nothing is concluded about a VM whose row has changed since.
        """
        confirmed = self._processes.get_compute().answered_at
        known = self._records.list_known()
        began = self._clock.now()
        try:
            machines = {machine.vm_id: machine for machine in self._driver.machines()}
            self._record_facts(began)
        except ComputeError as error:
            self._facts_at = None
            self._processes.record_compute(ok=False, detail=str(error))
            return
        unclear: dict[str, datetime] = {}
        for vm in known:
            machine = machines.pop(vm.vm_id, None)
            last = vm.confirmed_until or confirmed or began
            if self._compare(vm, machine, last, began):
                unclear[vm.vm_id] = last
        self._remove_leftovers(machines)
        # Every running second up to here is confirmed, but for those VMs.
        self._processes.record_answer(began, unclear)

    def _compare(self, vm: KnownVM, machine: Machine | None, confirmed: datetime, now: datetime) -> bool:
        """Record what differs. True when the VM is billed as running, is not, and that is not recorded yet."""
        billed = is_billed_as_running(vm.state, vm.run_id)
        if machine is not None and machine.power in (PowerState.UNKNOWN, PowerState.BUILDING):
            return billed
        running = machine is not None and machine.power == PowerState.RUNNING
        if vm.has_operation:
            return billed and not running
        if vm.state == VMState.RUNNING:
            return not self._compare_running(vm, machine, confirmed, now)
        if vm.state == VMState.BINNED:
            if running:
                self._bin.saw_run(vm)
        elif machine is not None and running:
            self._adopt(vm, machine)
        elif machine is None and vm.state == VMState.STOPPED:
            self._records.saw_gone(vm, self._events.went(vm.vm_id, since=confirmed, until=now) or confirmed)
        return False

    def _compare_running(self, vm: KnownVM, machine: Machine | None, confirmed: datetime, now: datetime) -> bool:
        """False when the record changed meanwhile: the next round will tell."""
        went = self._events.went(vm.vm_id, since=confirmed, until=now) or confirmed
        if machine is None:
            return self._records.saw_gone(vm, went)
        if machine.power != PowerState.RUNNING:
            return self._records.saw_off(vm, went, machine.fault)
        if machine.run_id != vm.run_id:
            try:
                return self._records.saw_new_run(vm, machine, went)
            except InsufficientCreditsError:
                recorded = self._records.saw_off(vm, went)
                self._records.stop_unpaid(vm.vm_id)
                return recorded
        if self._has_news(vm, machine):
            self._records.saw_signs(vm, machine)
        return True

    def _has_news(self, vm: KnownVM, machine: Machine) -> bool:
        address = machine.addresses[0] if machine.addresses else vm.address
        return (
            (machine.answered and not vm.answered) or address != vm.address or (machine.reach or vm.reach) != vm.reach
        )

    def _adopt(self, vm: KnownVM, machine: Machine) -> None:
        if vm.state not in (VMState.STOPPED, VMState.ERROR):
            return
        try:
            self._records.saw_running(vm, machine)
        except InsufficientCreditsError:
            self._records.stop_unpaid(vm.vm_id)

    def _remove_leftovers(self, machines: dict[str, Machine]) -> None:
        """Machines of VMs that were deleted; those of VMs this database never had are left alone."""
        for vm_id in self._records.list_deleted(list(machines)):
            log.warning("leftover_removed", vm=vm_id)
            try:
                self._driver.delete(vm_id)
            except ComputeError as error:
                log.warning("leftover_stays", vm=vm_id, error=str(error))

    def _record_facts(self, now: datetime) -> None:
        if self._facts_at is not None and (now - self._facts_at).total_seconds() < FACTS_EVERY_SECONDS:
            return
        health = self._driver.health()
        capacity = self._driver.capacity()
        self._processes.record_compute(
            ok=health.ok,
            detail=health.detail,
            images=self._driver.images(),
            capacity={name: getattr(capacity, name) for name in capacity.__slots__},
        )
        self._facts_at = now
