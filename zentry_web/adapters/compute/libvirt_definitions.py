"""Defining machines with libvirt: what they were ordered as, put together with what this host offers."""

import socket
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path
from typing import Any

from zentry_web.adapters.compute.accelerator import Accelerator, choose_accelerator, find_emulator
from zentry_web.adapters.compute.base import ComputeRefused, MachineSpec
from zentry_web.adapters.compute.images import GuestImage, get_image
from zentry_web.adapters.compute.libvirt_connection import LibvirtConnection
from zentry_web.adapters.compute.libvirt_domains import LibvirtDomains
from zentry_web.adapters.compute.libvirt_storage import MachineStorage
from zentry_web.adapters.compute.libvirt_xml import Placement, domain_xml, network_name


class LibvirtDefinitions:
    """Makes and renews the definitions of one namespace's machines."""

    def __init__(
        self,
        namespace: str,
        data_dir: Path,
        image_dir: Path,
        storage: MachineStorage,
        domains: LibvirtDomains,
        connection: LibvirtConnection,
        *,
        accelerator: Accelerator | None,
        emulator: str | None,
        has_network: bool,
    ) -> None:
        self._namespace = namespace
        self._data_dir = data_dir
        self._image_dir = image_dir
        self._storage = storage
        self._domains = domains
        self._connection = connection
        self._accelerator = accelerator
        self._emulator = emulator or find_emulator()
        self._has_network = has_network

    def create(self, spec: MachineSpec) -> None:
        """Files and definition, unless both are there. Raises ComputeRefused and then leaves nothing new."""
        image = get_image(self._image_dir, spec.image)
        defined = self._connection.call(lambda c: self._domains.find(c, spec.vm_id)) is not None
        if defined and self._storage.exists(spec.vm_id):
            return
        accelerator = self._choose_accelerator(image)
        is_new = self._storage.create(spec)
        try:
            self._define(spec, image, accelerator)
        except ComputeRefused:
            if is_new:
                self._storage.delete(spec.vm_id)
            raise

    def ordered(self, vm_id: str) -> MachineSpec:
        """What a machine was ordered as (without its seed). Raises ComputeRefused when its files are gone."""
        notes = self._storage.notes(vm_id)
        if not notes or not self._storage.disk(vm_id).is_file():
            raise ComputeRefused("The machine’s disk is missing on the host.")
        fields = ("vm_id", "name", "vcpus", "memory_mib", "disk_gib", "image")
        return MachineSpec(**{field: notes[field] for field in fields})

    def is_defined_as(self, domain: Any, spec: MachineSpec) -> bool:
        """Whether the definition has the size of ``spec``."""
        facts = self._connection.call(lambda _: self._domains.facts(domain))
        return facts is not None and (facts.vcpus, facts.memory_mib) == (spec.vcpus, spec.memory_mib)

    def define_again(self, spec: MachineSpec) -> None:
        """Replace the definition of a machine that is off. Raises ComputeRefused when the image is gone."""
        image = get_image(self._image_dir, spec.image)
        self._define(spec, image, self._choose_accelerator(image))

    def renew(self, domain: Any, spec: MachineSpec) -> None:
        """Define anew what was defined for another accelerator, or with a forwarded port that is now in use.

        Raises ComputeRefused when the image is gone.
        """
        image = get_image(self._image_dir, spec.image)
        accelerator = self._choose_accelerator(image)
        kind = self._connection.call(lambda _: ET.fromstring(domain.XMLDesc()).get("type"))  # noqa: S314
        facts = self._connection.call(lambda _: self._domains.facts(domain))
        port = facts.ssh_port if facts is not None else 0
        if kind != ("kvm" if accelerator is Accelerator.KVM else "qemu") or (port and not _is_free(port)):
            self._define(spec, image, accelerator)

    def _choose_accelerator(self, image: GuestImage) -> Accelerator:
        return self._accelerator or choose_accelerator(self._data_dir, image, self._emulator)

    def _define(self, spec: MachineSpec, image: GuestImage, accelerator: Accelerator) -> None:
        place = Placement(
            emulator=self._emulator,
            accelerator=accelerator,
            kernel=image.kernel,
            initrd=image.initrd,
            disk=self._storage.disk(spec.vm_id),
            seed=self._storage.seed(spec.vm_id),
            console=self._storage.console(spec.vm_id),
            network=network_name(self._namespace) if self._has_network else "",
            ssh_port=0 if self._has_network else free_port(spec.vm_id),
        )
        xml = domain_xml(self._namespace, spec, place)
        self._connection.call(lambda c: c.defineXML(xml), 20.0, changes=True)
        self._domains.forget(spec.vm_id)


def free_port(vm_id: str) -> int:
    """A loopback port nobody listens on now, tried in an order of the machine's own."""
    start = zlib.crc32(vm_id.encode())
    for step in range(10_000):
        port = 40_000 + (start + step) % 10_000
        if _is_free(port):
            return port
    raise ComputeRefused("The host has no free port to forward to the machine.")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
