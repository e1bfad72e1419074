"""Sampling: the running machines' counters into metrics, and their consoles into the metrics store."""

from dataclasses import fields

from zentry_web.adapters.compute.base import ComputeDriver, ConsoleLog, MachineMissing, MachineStatistics, PowerState
from zentry_web.domain.metrics_math import Counters, sample_between
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.shared.rounds import alone, each_alone
from zentry_web.services.vm_service import VMService

CONSOLES_PER_ROUND = 50  # at most
LEAST_PER_ROUND = 10
ROUNDS_PER_TURN = 5  # in which each has its turn, unless that is more or less for a round
CALM_SECONDS = 10.0  # between rounds while none comes up: as long as so many rounds
_COUNTERS = tuple(field.name for field in fields(Counters))


class Sampler:
    """Remembers the counters of the round before; the first round after a start only reads them."""

    def __init__(self, vms: VMService, monitoring: MonitoringService, driver: ComputeDriver) -> None:
        self._sightings = vms.sightings
        self._monitoring = monitoring
        self._driver = driver
        self._before: dict[str, Counters] = {}

    def run(self) -> None:
        """One round: one call of the hypervisor, one write for all VMs."""
        readings = {reading.vm_id: _counters(reading) for reading in self._driver.statistics()}
        owners = {vm.vm_id: vm.owner_id for vm in self._sightings.list_known()}
        pairs = []
        for vm_id, after in readings.items():
            before = self._before.get(vm_id)
            if before is None or vm_id not in owners:
                continue
            with alone(f"sample {vm_id}"):
                sample = sample_between(vm_id, before, after)
                if sample is not None:
                    pairs.append((owners[vm_id], sample))
        self._before = readings
        self._monitoring.record_samples(pairs)


class ConsoleCollector:
    """Collects serial consoles: at once while a VM comes up, the others in turn."""

    def __init__(self, vms: VMService, monitoring: MonitoringService, driver: ComputeDriver) -> None:
        self._sightings = vms.sightings
        self._monitoring = monitoring
        self._driver = driver
        self._turn = 0

    def run(self) -> float | None:
        """One round: every VM that is coming up, and the next fifth of the others, of which at least 10 and at most
        50; all of a turn at once while none is coming up, where that is more than a round. See Worker.loops."""
        known = self._sightings.list_known()
        is_on = {each.vm_id: each.is_on for each in self._driver.machines() if each.power != PowerState.UNKNOWN}
        here = [vm for vm in known if vm.vm_id in is_on]
        fresh = [vm.vm_id for vm in here if vm.has_operation or (is_on[vm.vm_id] and not vm.answered)]
        rest = sorted({vm.vm_id for vm in here}.difference(fresh))
        turn = self._turn if self._turn < len(rest) else 0
        some = min(CONSOLES_PER_ROUND, max(LEAST_PER_ROUND, -(-len(rest) // ROUNDS_PER_TURN)))
        is_calm = not fresh and len(rest) > LEAST_PER_ROUND
        some *= ROUNDS_PER_TURN if is_calm else 1
        self._turn = turn + some  # before the calls: one that fails must not hold up the others for good
        chosen = (*fresh, *rest[turn : turn + some])
        found = each_alone("console", chosen, self._read)
        read = {vm_id: console for vm_id, console in found if console is not None}
        sizes = self._monitoring.console_sizes(list(read))
        same = [vm_id for vm_id, console in read.items() if console.size == sizes.get(vm_id)]
        self._monitoring.record_same_consoles(same)
        for vm_id in read.keys() - set(same):
            self._monitoring.record_console(vm_id, read[vm_id].text, read[vm_id].size)
        return CALM_SECONDS if is_calm else None

    def _read(self, vm_id: str) -> tuple[str, ConsoleLog | None]:
        try:
            return vm_id, self._driver.console_log(vm_id)
        except MachineMissing:
            return vm_id, None


def _counters(reading: MachineStatistics) -> Counters:
    return Counters(**{name: getattr(reading, name) for name in _COUNTERS})
