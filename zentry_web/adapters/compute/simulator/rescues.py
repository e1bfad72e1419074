"""The rescue system of simulated machines."""

from collections.abc import Callable

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.rescues import RescueAccess
from zentry_web.adapters.compute.simulator.faults import SimulatorFaults
from zentry_web.adapters.compute.simulator.store import SimulatedMachine, SimulatorStore
from zentry_web.adapters.compute.words import RUNS_NO_RESCUE


class SimulatorRescues:
    """See Rescues. ``off`` finds a machine that nobody has snapshots of, and whether it is off."""

    def __init__(
        self, store: SimulatorStore, faults: SimulatorFaults, off: Callable[[str], tuple[SimulatedMachine, bool]]
    ) -> None:
        self._store, self._faults, self._off = store, faults, off

    def enter(self, vm_id: str, access: RescueAccess) -> None:
        """See Rescues.enter."""
        self._set(vm_id, "rescue", 1)

    def leave(self, vm_id: str) -> None:
        """See Rescues.leave."""
        self._set(vm_id, "unrescue", 0)

    def _set(self, vm_id: str, action: str, rescue: int) -> None:
        late = self._faults.before(vm_id, action)
        _, is_off = self._off(vm_id)
        if not is_off:
            raise ComputeRefused(RUNS_NO_RESCUE)
        with self._store.write() as connection:
            self._store.update(connection, vm_id, rescue=rescue)
        self._faults.after(late)
