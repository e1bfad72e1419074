"""Defining machines with libvirt: what they were ordered as, put together with what this host offers."""

import socket
import xml.etree.ElementTree as ET
import zlib
from pathlib import Path
from typing import Any

from zentry_web.adapters.compute.base import ComputeRefused, MachineSpec
from zentry_web.adapters.compute.libvirt.accelerator import Accelerator, Emulator
from zentry_web.adapters.compute.libvirt.connection import LibvirtConnection
from zentry_web.adapters.compute.libvirt.disks.storage import MachineStorage
from zentry_web.adapters.compute.libvirt.domains import LibvirtDomains
from zentry_web.adapters.compute.libvirt.foreign import check_definition, check_disk, check_snapshots
from zentry_web.adapters.compute.libvirt.images.guest_images import GuestImage, get_image, list_images
from zentry_web.adapters.compute.libvirt.network.network import LibvirtNetwork
from zentry_web.adapters.compute.libvirt.xml import Card, Placement, domain_xml, has_agent_channel, has_card
from zentry_web.adapters.compute.words import NO_RESCUE


class LibvirtDefinitions:
    """Makes and renews the definitions of one namespace's machines."""

    def __init__(
        self,
        namespace: str,
        image_dir: Path,
        storage: MachineStorage,
        domains: LibvirtDomains,
        connection: LibvirtConnection,
        network: LibvirtNetwork | None,
        emulator: Emulator,
    ) -> None:
        self._namespace = namespace
        self._image_dir = image_dir
        self._storage = storage
        self._domains = domains
        self._connection = connection
        self._emulator = emulator
        self._network = network  # None: user-mode networks

    def create(self, spec: MachineSpec) -> None:
        """Files and definition, unless both are there. Raises ComputeRefused and then leaves nothing new.

        What is half there was whole once, and a guest may have written to it: it is refused where the new half would
        not fit that.
        """
        image = get_image(self._image_dir, spec.image)
        domain = self._connection.call(lambda c: self._domains.find(c, spec.vm_id))
        if domain is not None:
            if self._storage.exists(spec.vm_id):
                return
            self._check_definition(domain, spec.vm_id)
        elif self._storage.exists(spec.vm_id):
            self._storage.check_left(spec.vm_id)
        accelerator = self._accelerator(image)
        is_new = self._storage.create(spec, image)
        try:
            self._define(spec, image, accelerator)
        except ComputeRefused:
            if is_new:
                self._storage.delete(spec.vm_id)
                if network := self._network:
                    self._connection.call(lambda c: network.release(c, spec.vm_id), 30.0, changes=True)
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
        self._define(spec, image, self._accelerator(image))

    def image(self, spec: MachineSpec) -> GuestImage:
        """What it is to be made from. Raises ComputeRefused when that is not on this host."""
        return get_image(self._image_dir, spec.image)

    def rescue_image(self) -> GuestImage:
        """The rescue system. Raises ComputeRefused when there is none on this host."""
        found = next((image for image in list_images(self._image_dir) if image.can_rescue), None)
        if found is None:
            raise ComputeRefused(NO_RESCUE)
        return found

    def xml_without_network(self, spec: MachineSpec, files: Path) -> str:
        """The definition of a guest of the files in a folder that is no machine's. Raises ComputeRefused."""
        image = self.image(spec)
        names = ("disk.qcow2", "seed.iso", "console.log")
        disk, seed, console = (files / name for name in names)
        place = Placement(
            emulator=self._emulator.path,
            accelerator=self._accelerator(image),
            kernel=image.kernel,
            initrd=image.initrd,
            disk=disk,
            seed=seed,
            console=console,
            cmdline=image.cmdline,
        )
        return domain_xml(self._namespace, spec, place)

    def check_resize(self, domain: Any, vm_id: str) -> None:
        """Raises ComputeRefused when others have saved its memory, made snapshots of it or changed its disks."""
        self._check_definition(domain, vm_id)
        self._connection.call(lambda _: check_snapshots(domain))
        # While it runs its disk may be the hypervisor's alone to read; what is in it is looked at once it is off.
        if not self._connection.call(lambda _: domain.isActive()):
            check_disk(self._storage.disk(vm_id), self._image_dir)

    def prepare(self, vm_id: str) -> None:
        """Make what the definition refers to. Raises ComputeRefused when there is no card."""
        self._card(vm_id)

    def renew(self, domain: Any, spec: MachineSpec) -> None:
        """Make what the definition refers to, and define anew what was defined for another accelerator, with another
        size than is paid for, without the card it should have now, or with a forwarded port that is now in use; and by
        an earlier version without the channel to its agent, where nothing is in the way of that.

        Raises ComputeRefused when the image is gone, when there is no card, or when others have changed what the new
        definition would lose.
        """
        image = get_image(self._image_dir, spec.image)
        accelerator = self._accelerator(image)
        text = self._connection.call(lambda _: domain.XMLDesc())
        xml = ET.fromstring(text)  # noqa: S314
        card = self._card(spec.vm_id)
        facts = self._connection.call(lambda _: self._domains.facts(domain))
        port = facts.ssh_port if facts is not None else 0
        fits = has_card(text, card) if card is not None else not (port and not _is_free(port))
        has_size = (xml.findtext("vcpu"), xml.findtext("memory")) == (str(spec.vcpus), str(spec.memory_mib * 1024))
        kind = "kvm" if accelerator is Accelerator.KVM else "qemu"
        if xml.get("type") != kind or not fits or not has_size:
            self._check_definition(domain, spec.vm_id)
            self._define(spec, image, accelerator)
        elif not has_agent_channel(text) and self._is_free(domain, spec.vm_id):
            self._define(spec, image, accelerator)

    def _is_free(self, domain: Any, vm_id: str) -> bool:
        """Whether nothing would be lost by defining it anew: what it can also do without is no reason to refuse, and
        the memory in a snapshot fits the devices of its own definition only."""
        try:
            self._check_definition(domain, vm_id)
            self._connection.call(lambda _: check_snapshots(domain))
        except ComputeRefused:
            return False
        return True

    def _check_definition(self, domain: Any, vm_id: str) -> None:
        disk, seed = self._storage.disk(vm_id), self._storage.boot_seed(vm_id)
        self._connection.call(lambda _: check_definition(domain, disk, seed))

    def _accelerator(self, image: GuestImage) -> Accelerator:
        """Found with an image that can tell; without one on this host, what works everywhere."""
        found = image if image.has_probe else next((i for i in list_images(self._image_dir) if i.has_probe), None)
        return self._emulator.accelerator_of(found) if found else self._emulator.accelerator or Accelerator.TCG

    def _card(self, vm_id: str) -> Card | None:
        network = self._network
        if network is None:
            return None
        return self._connection.call(lambda c: network.card(c, vm_id), 30.0, changes=True)

    def _define(self, spec: MachineSpec, image: GuestImage, accelerator: Accelerator) -> None:
        card = self._card(spec.vm_id)
        cmdline = image.cmdline
        if self._storage.is_in_rescue(spec.vm_id):
            image = self.rescue_image()
            cmdline = f"{image.cmdline} zentry.rescue"
        place = Placement(
            emulator=self._emulator.path,
            accelerator=accelerator,
            kernel=image.kernel,
            initrd=image.initrd,
            disk=self._storage.disk(spec.vm_id),
            seed=self._storage.boot_seed(spec.vm_id),
            console=self._storage.console(spec.vm_id),
            card=card,
            ssh_port=0 if card is not None else free_port(spec.vm_id),
            cmdline=cmdline,
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
