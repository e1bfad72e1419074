"""Rebuilding simulated machines."""

import json
from collections.abc import Callable

from zentry_web.adapters.compute.base import ComputeRefused, MachineSpec
from zentry_web.adapters.compute.simulator.faults import SimulatorFaults
from zentry_web.adapters.compute.simulator.store import SimulatedMachine, SimulatorStore
from zentry_web.adapters.compute.words import RUNS_NO_REBUILD
from zentry_web.domain.language import kept

MADE_AS = ("name", "vcpus", "memory_mib", "disk_gib", "image", "keys", "script", "replaced")


class SimulatorRebuilds:
    """See Rebuilds. ``off`` finds a machine that nobody has snapshots of, and whether it is off."""

    def __init__(
        self,
        store: SimulatorStore,
        faults: SimulatorFaults,
        off: Callable[[str], tuple[SimulatedMachine, bool]],
        images: Callable[[], tuple[str, ...]],
    ) -> None:
        self._store, self._faults, self._off, self._images = store, faults, off, images

    def rebuild(self, spec: MachineSpec, aside: str) -> None:
        """See Rebuilds.rebuild."""
        late = self._faults.before(spec.vm_id, "rebuild")
        machine = self._get(spec.vm_id)
        if machine.replaced != aside:
            if spec.image not in self._images():
                raise ComputeRefused(f"The image “{spec.image}” is not on this host.")
            before = {"as": aside} | {name: getattr(machine, name) for name in MADE_AS}
            with self._store.write() as connection:
                self._store.update(
                    connection,
                    spec.vm_id,
                    image=spec.image,
                    name=spec.name,
                    keys=len(spec.ssh_keys),
                    script=int(spec.user_data.startswith("#!")),
                    aside=json.dumps(before),
                    replaced=aside,
                )
        self._faults.after(late)

    def bring_back(self, vm_id: str, aside: str) -> None:
        """See Rebuilds.bring_back."""
        late = self._faults.before(vm_id, "bring_back")
        machine = self._get(vm_id)
        before = json.loads(machine.aside or "{}")
        if before.get("as") == aside:
            with self._store.write() as connection:
                self._store.update(connection, vm_id, aside="", **{name: before[name] for name in MADE_AS})
        elif machine.replaced == aside:
            raise ComputeRefused(kept("The disk that was put aside is no longer there."))
        self._faults.after(late)

    def drop(self, vm_id: str, aside: str) -> None:
        """See Rebuilds.drop."""
        late = self._faults.before(vm_id, "drop")
        machine = self._store.find(vm_id)
        if machine is not None and json.loads(machine.aside or "{}").get("as") == aside:
            with self._store.write() as connection:
                self._store.update(connection, vm_id, aside="")
        self._faults.after(late)

    def _get(self, vm_id: str) -> SimulatedMachine:
        machine, is_off = self._off(vm_id)
        if not is_off:
            raise ComputeRefused(RUNS_NO_REBUILD)
        return machine
