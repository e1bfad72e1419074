"""Reconciling: the hypervisor's list against the database, every few seconds and on its events."""

from datetime import datetime, timedelta

import structlog

from zentry_web.adapters.clock import Clock
from zentry_web.adapters.compute.base import (
    ComputeDriver,
    ComputeError,
    ComputeRefused,
    Machine,
    MachineSpec,
    PowerState,
    state_of,
)
from zentry_web.adapters.compute.words import CRASHED
from zentry_web.domain.monitoring import BackupRoom, ComputeStatus
from zentry_web.domain.vms.silence import patience
from zentry_web.domain.vms.state import ON, VMState, is_billed_as_running
from zentry_web.domain.vms.truths import MISSING
from zentry_web.domain.vms.vm import KnownVM
from zentry_web.services.errors import InsufficientCreditsError
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.shared.rounds import alone, each_alone
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
        silent_seconds: int | None = None,
    ) -> None:
        """``silent_seconds``: after how long without a sign of life a machine is said to be silent; None: by what runs
        guests here."""
        self._operations = vms.operations
        self._sightings = vms.sightings
        self._bin = vms.bin
        self._strays = vms.strays
        self._outages = vms.outages
        self._processes = monitoring.processes
        self._driver = driver
        self._events = events
        self._clock = clock
        self._facts_at: datetime | None = None
        self._silent_seconds = silent_seconds
        self._patience = patience("", silent_seconds)

    def run(self) -> None:
        """Compare once. A hypervisor that does not answer is recorded as such and changes nothing else.

        What Zentry knows is read before the hypervisor is asked: of a machine that an operation changes meanwhile
        the listing may be older than the record, so nothing is concluded about a VM whose row has changed since.
        """
        before = self._processes.get_compute()
        confirmed = before.answered_at
        known = self._sightings.list_known()
        began = self._clock.now()
        try:
            machines = {machine.vm_id: machine for machine in self._driver.machines()}
            self._record_facts(began, before)
        except ComputeError as error:
            self._facts_at = None
            self._processes.record_compute(ok=False, detail=str(error))
            return
        if not before.ok:  # what waits for it need not wait longer
            self._operations.hurry()
        lasts = {vm.vm_id: vm.confirmed_until or confirmed or began for vm in known}

        def compare(vm: KnownVM) -> str | None:
            return None if self._compare(vm, machines.get(vm.vm_id), lasts[vm.vm_id], began) else vm.vm_id

        # One that could not be compared, or whose turn did not come, is as unclear as one that differs.
        clear = set(each_alone("compare", known, compare, lambda vm: vm.vm_id))
        unclear = {vm_id: last for vm_id, last in lasts.items() if vm_id not in clear}
        with alone("leftovers"):
            unknown = {vm_id: each for vm_id, each in machines.items() if vm_id not in lasts}
            self._remove_leftovers(unknown)
            self._tend_strays(unknown)
        # Every running second up to here is confirmed, but for those VMs.
        said = ((vm, machines[vm.vm_id].power.value if vm.vm_id in machines else MISSING) for vm in known)
        news = {vm.vm_id: word for vm, word in said if word != vm.seen}
        self._processes.record_answer(began, unclear, news)

    def _compare(self, vm: KnownVM, machine: Machine | None, confirmed: datetime, now: datetime) -> bool:
        """Record what differs. True when the VM is billed as running, is not, and that is not recorded yet."""
        billed = is_billed_as_running(vm.state, vm.run_id)
        if machine is not None and machine.power in (PowerState.UNKNOWN, PowerState.BUILDING):
            return billed
        running = machine is not None and machine.is_on
        if vm.has_operation:
            return billed and not running
        if vm.state in ON:
            return not self._compare_running(vm, machine, confirmed, now)
        if vm.state == VMState.BINNED:
            if running:
                self._bin.saw_run(vm)
        elif machine is not None and running:
            self._adopt(vm, machine)
        elif machine is None and vm.state == VMState.STOPPED:
            gone_at = self._events.when(vm.vm_id, "deleted", since=confirmed, until=now)
            self._sightings.saw_gone(vm, gone_at or confirmed)
        return False

    def _compare_running(self, vm: KnownVM, machine: Machine | None, confirmed: datetime, now: datetime) -> bool:
        """False when the record changed meanwhile: the next round will tell."""
        went = self._events.went(vm.vm_id, since=confirmed, until=now) or confirmed
        if machine is None:
            return self._sightings.saw_gone(vm, went)
        if not machine.is_on:
            said = "" if machine.fault == CRASHED else machine.fault  # its cause says the same
            return self._sightings.saw_off(vm, went, said, machine.ended)
        if machine.run_id != vm.run_id:
            try:
                return self._sightings.saw_new_run(vm, machine, went)
            except InsufficientCreditsError:
                recorded = self._sightings.saw_off(vm, went)
                self._sightings.stop_unpaid(vm.vm_id)
                return recorded
        if vm.state != state_of(machine):
            return self._sightings.saw_state(vm, machine)
        if self._has_news(vm, machine):
            self._sightings.saw_signs(vm, machine)
        elif self._is_silent(vm, machine, now):
            self._sightings.saw_silence(vm, now - timedelta(seconds=self._patience))
        return True

    def _is_silent(self, vm: KnownVM, machine: Machine, now: datetime) -> bool:
        """Whether it has given no sign of life for too long, and nothing is said of it yet."""
        if machine.answered or vm.answered or vm.has_reason or vm.state != VMState.RUNNING or vm.started_at is None:
            return False
        return (now - vm.started_at).total_seconds() >= self._patience

    def _has_news(self, vm: KnownVM, machine: Machine) -> bool:
        address = machine.addresses[0] if machine.addresses else vm.address
        return (
            (machine.answered and not vm.answered)
            or machine.agent != vm.agent
            or address != vm.address
            or (machine.reach or vm.reach) != vm.reach
        )

    def _adopt(self, vm: KnownVM, machine: Machine) -> None:
        if vm.state not in (VMState.STOPPED, VMState.ERROR):
            return
        try:
            self._sightings.saw_running(vm, machine)
        except InsufficientCreditsError:
            self._sightings.stop_unpaid(vm.vm_id)

    def _remove_leftovers(self, machines: dict[str, Machine]) -> None:
        """Machines of VMs that were deleted."""
        for vm_id in self._sightings.list_deleted(list(machines)):
            log.warning("leftover_removed", vm=vm_id)
            try:
                self._driver.delete(vm_id)
            except ComputeError as error:
                log.warning("leftover_stays", vm=vm_id, error=str(error))

    def _tend_strays(self, machines: dict[str, Machine]) -> None:
        """Machines of VMs this database never had: listed, and left alone until an admin has one removed."""
        fresh, asked = self._strays.compare({vm_id: each.power for vm_id, each in machines.items()})

        def remove(vm_id: str) -> None:
            try:
                self._driver.delete(vm_id)
            except ComputeError as error:
                self._strays.record_failure(vm_id, str(error))

        each_alone("stray", fresh, lambda vm_id: self._strays.record(vm_id, machines[vm_id].power, self._note(vm_id)))
        each_alone("removal of", asked, remove)

    def _note(self, vm_id: str) -> MachineSpec | None:
        try:
            return self._driver.note(vm_id)
        except ComputeRefused:
            return None

    def _record_facts(self, now: datetime, before: ComputeStatus) -> None:
        if self._facts_at is not None and (now - self._facts_at).total_seconds() < FACTS_EVERY_SECONDS:
            return
        health = self._driver.health()
        self._patience = patience(health.facts.get("accelerator", ""), self._silent_seconds)
        capacity, boot = self._driver.capacity(), health.facts.get("boot", "")
        if before.boot and boot and boot != before.boot and before.answered_at is not None:
            self._outages.host_rebooted(before.answered_at)
        self._processes.record_compute(
            ok=health.ok,
            detail=health.detail,
            images=self._driver.images.names(),
            capacity={name: getattr(capacity, name) for name in capacity.__slots__},
            backups=BackupRoom(self._driver.backups.trouble(), *self._driver.backups.room()),
            boot=boot or None,
        )
        self._facts_at = now
