"""Seeds of simulated machines."""

from collections.abc import Callable

from zentry_web.adapters.compute.base import MachineSpec
from zentry_web.adapters.compute.simulator.faults import SimulatorFaults
from zentry_web.adapters.compute.simulator.store import SimulatedMachine, SimulatorStore


class SimulatorIdentities:
    """See Identities."""

    def __init__(self, store: SimulatorStore, faults: SimulatorFaults, get: Callable[[str], SimulatedMachine]) -> None:
        self._store, self._faults, self._get = store, faults, get

    def renew(self, spec: MachineSpec) -> None:
        """See Identities.renew."""
        late = self._faults.before(spec.vm_id, "renew")
        if self._get(spec.vm_id).name != spec.name:
            with self._store.write() as connection:
                self._store.update(connection, spec.vm_id, name=spec.name)
        self._faults.after(late)
