"""Rebuilding under libvirt."""

from collections.abc import Callable
from typing import Any

from zentry_web.adapters.compute.base import ComputeRefused, MachineSpec
from zentry_web.adapters.compute.libvirt.connection import LibvirtConnection
from zentry_web.adapters.compute.libvirt.definitions import LibvirtDefinitions
from zentry_web.adapters.compute.libvirt.disks.asides import DiskAsides
from zentry_web.adapters.compute.libvirt.disks.storage import MachineStorage
from zentry_web.adapters.compute.words import RUNS_NO_REBUILD


class LibvirtRebuilds:
    """See Rebuilds. ``need`` looks a machine's domain up, or raises MachineMissing."""

    def __init__(
        self,
        connection: LibvirtConnection,
        storage: MachineStorage,
        definitions: LibvirtDefinitions,
        need: Callable[[Any, str], Any],
    ) -> None:
        self._connection, self._storage, self._definitions, self._need = connection, storage, definitions, need
        self._asides = DiskAsides(storage)

    def rebuild(self, spec: MachineSpec, aside: str) -> None:
        """See Rebuilds.rebuild."""
        domain = self._off(spec.vm_id)
        if not self._asides.is_replaced(spec.vm_id, aside):
            image = self._definitions.image(spec)
            self._check(domain, spec.vm_id)
            self._asides.replace(spec, image, aside)
        self._definitions.define_again(spec)

    def bring_back(self, vm_id: str, aside: str) -> None:
        """See Rebuilds.bring_back."""
        domain = self._off(vm_id)
        if self._asides.is_replaced(vm_id, aside):
            self._check(domain, vm_id)
        if self._asides.bring_back(vm_id, aside):
            self._definitions.define_again(self._definitions.ordered(vm_id))

    def drop(self, vm_id: str, aside: str) -> None:
        """See Rebuilds.drop."""
        self._asides.drop(vm_id, aside)

    def _check(self, domain: Any, vm_id: str) -> None:
        """What others have done to the present disk. One that a rebuild has just put aside is not there to be asked."""
        if self._storage.exists(vm_id):
            self._definitions.check_resize(domain, vm_id)

    def _off(self, vm_id: str) -> Any:
        domain = self._connection.call(lambda c: self._need(c, vm_id))
        if self._connection.call(lambda _: domain.isActive()):
            raise ComputeRefused(RUNS_NO_REBUILD)
        return domain
