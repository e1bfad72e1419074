"""Writing seeds anew under libvirt."""

import contextlib
from collections.abc import Callable
from typing import Any

import libvirt

from zentry_web.adapters.compute.base import MachineSpec
from zentry_web.adapters.compute.libvirt.connection import LibvirtConnection
from zentry_web.adapters.compute.libvirt.disks.storage import MachineStorage


class LibvirtIdentities:
    """See Identities. ``need`` looks a machine's domain up, or raises MachineMissing."""

    def __init__(self, connection: LibvirtConnection, storage: MachineStorage, need: Callable[[Any, str], Any]) -> None:
        self._connection, self._storage, self._need = connection, storage, need

    def renew(self, spec: MachineSpec) -> None:
        """See Identities.renew."""
        if self._storage.notes(spec.vm_id).get("name") == spec.name:
            return
        domain = self._connection.call(lambda c: self._need(c, spec.vm_id))
        is_on = self._connection.call(lambda _: bool(domain.isActive()))
        self._storage.rename(spec, in_place=is_on)
        self._connection.call(lambda _: _set_title(domain, spec.name, is_on), changes=True)


def _set_title(domain: Any, title: str, is_on: bool) -> None:
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG | (libvirt.VIR_DOMAIN_AFFECT_LIVE if is_on else 0)
    with contextlib.suppress(libvirt.libvirtError):  # only what virsh and virt-manager call it
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_TITLE, title, None, None, flags)
