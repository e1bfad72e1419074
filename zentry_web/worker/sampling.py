"""Sampling: the running machines' counters into metrics, and their consoles into the metrics store."""

from dataclasses import fields

from zentry_web.adapters.compute.base import ComputeDriver, MachineMissing, MachineStatistics, PowerState
from zentry_web.domain.metrics_math import Counters, sample_between
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.vm_service import VMService

CONSOLES_PER_ROUND = 50
_COUNTERS = tuple(field.name for field in fields(Counters))


class Sampler:
    """Remembers the counters of the round before; the first round after a start only reads them."""

    def __init__(self, vms: VMService, monitoring: MonitoringService, driver: ComputeDriver) -> None:
        self._records = vms.records
        self._monitoring = monitoring
        self._driver = driver
        self._before: dict[str, Counters] = {}

    def run(self) -> None:
        """One round: one call of the hypervisor, one write for all VMs."""
        readings = {reading.vm_id: _counters(reading) for reading in self._driver.statistics()}
        owners = {vm.vm_id: vm.owner_id for vm in self._records.list_known()}
        pairs = []
        for vm_id, after in readings.items():
            before = self._before.get(vm_id)
            sample = sample_between(vm_id, before, after) if before is not None else None
            if sample is not None and vm_id in owners:
                pairs.append((owners[vm_id], sample))
        self._monitoring.record_samples(pairs)
        self._before = readings


class ConsoleCollector:
    """Collects serial consoles: at once while a VM comes up, the others in turn."""

    def __init__(self, vms: VMService, monitoring: MonitoringService, driver: ComputeDriver) -> None:
        self._records = vms.records
        self._monitoring = monitoring
        self._driver = driver
        self._turn = 0

    def run(self) -> None:
        """One round: every VM that is coming up, and the next 50 of the others that run."""
        known = self._records.list_known()
        sizes = self._monitoring.console_sizes()
        running = {machine.vm_id for machine in self._driver.machines() if machine.power != PowerState.UNKNOWN}
        here = [vm for vm in known if vm.vm_id in running]
        fresh = [vm.vm_id for vm in here if vm.has_operation or not vm.answered]
        rest = [vm.vm_id for vm in here if not vm.has_operation and vm.answered]
        turn = self._turn if self._turn < len(rest) else 0
        self._turn = turn + CONSOLES_PER_ROUND  # before the calls: one that fails must not hold up the others for good
        for vm_id in (*fresh, *rest[turn : turn + CONSOLES_PER_ROUND]):
            self._collect(vm_id, sizes.get(vm_id))

    def _collect(self, vm_id: str, size: int | None) -> None:
        try:
            console = self._driver.console_log(vm_id)
        except MachineMissing:
            return
        self._monitoring.record_console(vm_id, console.text, console.size, changed=console.size != size)


def _counters(reading: MachineStatistics) -> Counters:
    return Counters(**{name: getattr(reading, name) for name in _COUNTERS})
