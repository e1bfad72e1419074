"""The rescue system under libvirt: Zentry's own small image, which lives in memory."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.libvirt.connection import LibvirtConnection
from zentry_web.adapters.compute.libvirt.definitions import LibvirtDefinitions
from zentry_web.adapters.compute.libvirt.disks.storage import MachineStorage
from zentry_web.adapters.compute.rescues import RescueAccess
from zentry_web.adapters.compute.words import RUNS_NO_RESCUE


class LibvirtRescues:
    """See Rescues. ``need`` looks a machine's domain up, or raises MachineMissing."""

    def __init__(
        self,
        connection: LibvirtConnection,
        storage: MachineStorage,
        definitions: LibvirtDefinitions,
        need: Callable[[Any, str], Any],
    ) -> None:
        self._connection, self._storage, self._definitions, self._need = connection, storage, definitions, need

    def enter(self, vm_id: str, access: RescueAccess) -> None:
        """See Rescues.enter."""
        domain = self._off(vm_id)
        spec = self._definitions.ordered(vm_id)
        self._definitions.rescue_image()
        if not self._storage.is_in_rescue(vm_id):
            self._definitions.check_resize(domain, vm_id)
            self._storage.set_rescue(replace(spec, ssh_keys=access.ssh_keys), access.password_hash)
        self._definitions.define_again(spec)

    def leave(self, vm_id: str) -> None:
        """See Rescues.leave."""
        self._off(vm_id)
        spec = self._definitions.ordered(vm_id)
        self._definitions.image(spec)
        if self._storage.is_in_rescue(vm_id):
            self._storage.set_rescue(spec, "")
        self._definitions.define_again(spec)
        self._storage.forget_rescue(vm_id)  # last: until then the definition names it

    def _off(self, vm_id: str) -> Any:
        domain = self._connection.call(lambda c: self._need(c, vm_id))
        if self._connection.call(lambda _: domain.isActive()):
            raise ComputeRefused(RUNS_NO_RESCUE)
        return domain
