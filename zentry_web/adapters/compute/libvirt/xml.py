"""Descriptions for libvirt, made and read by an XML serializer."""

import hashlib
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from zentry_web.adapters.compute.base import MachineSpec
from zentry_web.adapters.compute.libvirt.accelerator import Accelerator

ZENTRY_NS = "https://zentry.example/xmlns/machine/1"
QEMU_NS = "http://libvirt.org/schemas/domain/qemu/1.0"
DNSMASQ_NS = "http://libvirt.org/schemas/network/dnsmasq/1.0"
DATA_SERIAL = "zentry-data"
LEASE_SECONDS = 3600
AGENT_CHANNEL = "org.qemu.guest_agent.0"

for _prefix, _uri in (("zentry", ZENTRY_NS), ("qemu", QEMU_NS), ("dnsmasq", DNSMASQ_NS)):
    ET.register_namespace(_prefix, _uri)


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What Zentry notes in the metadata of its domains, and knows them by."""

    vm_id: str
    namespace: str
    vcpus: int
    memory_mib: int
    image: str
    ssh_port: int = 0  # forwarded loopback port where there is no network, else 0
    mac: str = ""  # of its card, where that is not the machine's own


@dataclass(frozen=True, slots=True)
class Card:
    """A machine's place on the shared network: the address that is kept for it, the MAC address that gets it, and the
    filter that holds it to both."""

    network: str
    filter: str
    address: IPv4Address
    subnet: IPv4Network
    mac: str

    @property
    def parameters(self) -> dict[str, str]:
        """What the filter is told. (libvirt adds MAC, the card's own.)"""
        return {
            "IP": str(self.address),
            "GATEWAY": str(self.subnet[1]),
            "NETWORK": str(self.subnet.network_address),
            "NETMASK": str(self.subnet.netmask),
        }


@dataclass(frozen=True, slots=True)
class Placement:
    """What a domain is made of on this host."""

    emulator: str
    accelerator: Accelerator
    kernel: Path | None  # None: the disk has a boot loader
    initrd: Path | None
    disk: Path
    seed: Path
    console: Path
    card: Card | None = None  # without one: user-mode network with ``ssh_port``
    ssh_port: int = 0
    cmdline: str = "console=ttyS0 quiet"


def domain_uuid(namespace: str, vm_id: str) -> str:
    """The same machine always gets the same domain uuid: that makes creation idempotent."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{ZENTRY_NS}/{namespace}/{vm_id}"))


def domain_name(namespace: str, vm_id: str) -> str:
    """z-NAMESPACE-TAIL; the tail of an id is its random part."""
    tail = "".join(letter for letter in vm_id.lower() if letter.isalnum())[-12:]
    return f"{name_prefix(namespace)}{tail}"


def name_prefix(namespace: str) -> str:
    """How the names of all domains of this Zentry begin."""
    return f"z-{namespace}-"


def filter_name(namespace: str, vm_id: str) -> str:
    """A machine's network filter is called like its domain."""
    return domain_name(namespace, vm_id)


def network_name(namespace: str) -> str:
    return f"z-{namespace}"


def bridge_name(namespace: str) -> str:
    """At most 15 characters, the kernel's limit."""
    return f"zb{namespace}"[:15]


def mac_address(namespace: str, vm_id: str) -> str:
    """A locally administered address that is always the same for a machine (40 bits of a hash): where it has no card on
    the network, and where it was made before addresses had MAC addresses of their own."""
    return _local_mac(f"{namespace}/{vm_id}")


def mac_of(namespace: str, address: IPv4Address) -> str:
    """The MAC address that goes with an address of the network, whichever machine has it."""
    return _local_mac(f"{namespace}/{address}")


def _local_mac(seed: str) -> str:
    digest = hashlib.sha256(seed.encode()).digest()[:5]
    return ":".join(["52", *(f"{byte:02x}" for byte in digest)])


def _add(parent: ET.Element, tag: str, text: str | int | None = None, /, **attributes: str | int) -> ET.Element:
    child = ET.SubElement(parent, tag, {key.rstrip("_"): str(value) for key, value in attributes.items()})
    if text is not None:
        child.text = str(text)
    return child


def metadata_xml(facts: MachineFacts) -> ET.Element:
    """Zentry's own element in a domain's metadata."""
    attributes = {
        "vm": facts.vm_id,
        "namespace": facts.namespace,
        "vcpus": str(facts.vcpus),
        "memory-mib": str(facts.memory_mib),
        "image": facts.image,
        "ssh-port": str(facts.ssh_port),
        "mac": facts.mac,
    }
    return ET.Element(f"{{{ZENTRY_NS}}}machine", attributes)


def read_metadata(text: str) -> MachineFacts | None:
    """The facts in a metadata element, or None if it is not one that Zentry wrote."""
    try:
        element = ET.fromstring(text)  # noqa: S314 - comes from libvirt, which parsed it before
        if element.tag.rpartition("}")[2] != "machine":
            return None
        return MachineFacts(
            vm_id=element.attrib["vm"],
            namespace=element.attrib["namespace"],
            vcpus=int(element.attrib["vcpus"]),
            memory_mib=int(element.attrib["memory-mib"]),
            image=element.attrib["image"],
            ssh_port=int(element.attrib.get("ssh-port", "0")),
            mac=element.attrib.get("mac", ""),
        )
    except (ET.ParseError, KeyError, ValueError):
        return None


def machine_of(text: str) -> str:
    """The id of the machine that a domain's definition is; empty if Zentry did not write it."""
    element = ET.fromstring(text).find(f"metadata/{{{ZENTRY_NS}}}machine")  # noqa: S314 - comes from libvirt
    return element.get("vm", "") if element is not None else ""


def domain_xml(namespace: str, spec: MachineSpec, place: Placement) -> str:
    """The definition of a machine."""
    kvm = place.accelerator is Accelerator.KVM
    domain = ET.Element("domain", {"type": "kvm" if kvm else "qemu"})
    _add(domain, "name", domain_name(namespace, spec.vm_id))
    _add(domain, "uuid", domain_uuid(namespace, spec.vm_id))
    _add(domain, "title", spec.name)
    mac = place.card.mac if place.card is not None else ""
    facts = MachineFacts(spec.vm_id, namespace, spec.vcpus, spec.memory_mib, spec.image, place.ssh_port, mac)
    _add(domain, "metadata").append(metadata_xml(facts))
    _add(domain, "memory", spec.memory_mib, unit="MiB")
    _add(domain, "vcpu", spec.vcpus)
    system = _add(domain, "os")
    _add(system, "type", "hvm", arch="x86_64", machine="q35")
    if place.kernel is None:
        _add(system, "boot", dev="hd")
        _add(system, "bios", useserial="yes")  # what finds nothing to boot says so on the console, too
    else:
        _add(system, "kernel", str(place.kernel))
        _add(system, "initrd", str(place.initrd))
        # An emulated processor that its host starves fails the kernel's check of its timer, and it then stands for
        # ever.
        _add(system, "cmdline", f"{place.cmdline} no_timer_check")
    _add_processor(domain, kvm, spec.memory_mib)
    _add(domain, "clock", offset="utc")
    _add(domain, "on_poweroff", "destroy")
    _add(domain, "on_reboot", "restart")
    _add(domain, "on_crash", "destroy")
    _add_devices(domain, namespace, spec, place)
    if place.card is None:
        _add_user_network(domain, mac_address(namespace, spec.vm_id), place.ssh_port)
    return ET.tostring(domain, encoding="unicode")


def _add_processor(domain: ET.Element, kvm: bool, memory_mib: int) -> None:
    features = _add(domain, "features")
    _add(features, "acpi")
    _add(features, "apic")
    if kvm:
        _add(domain, "cpu", mode="host-passthrough")
        return
    # Unlimited, the translator's cache grows to several times a small guest's memory.
    _add(_add(features, "tcg"), "tb-cache", translation_cache_mib(memory_mib), unit="MiB")
    _add(domain, "cpu", mode="maximum")


def translation_cache_mib(memory_mib: int) -> int:
    """MiB of host memory the translator may use for a guest of this size."""
    return 64 if memory_mib <= 1024 else 128


def _add_devices(domain: ET.Element, namespace: str, spec: MachineSpec, place: Placement) -> None:
    devices = _add(domain, "devices")
    _add(devices, "emulator", place.emulator)
    disk = _add(devices, "disk", type="file", device="disk")
    _add(disk, "driver", name="qemu", type="qcow2", discard="unmap")
    _add(disk, "source", file=str(place.disk))
    _add(disk, "target", dev="vda", bus="virtio")
    _add(disk, "serial", DATA_SERIAL)
    seed = _add(devices, "disk", type="file", device="disk")
    _add(seed, "driver", name="qemu", type="raw")
    _add(seed, "source", file=str(place.seed))
    _add(seed, "target", dev="vdb", bus="virtio")
    _add(seed, "readonly")
    if place.card is not None:
        _add_card(devices, place.card)
    serial = _add(devices, "serial", type="pty")
    _add(serial, "log", file=str(place.console), append="on")
    _add(serial, "target", port=0)
    # Only libvirt itself talks there, to an agent in the guest if there is one.
    _add(_add(devices, "channel", type="unix"), "target", type="virtio", name=AGENT_CHANNEL)
    # It listens nowhere: the driver hands QEMU a socket. One who looks never throws another out.
    screen = _add(devices, "graphics", type="vnc", sharePolicy="force-shared")
    _add(screen, "listen", type="none")
    _add(_add(devices, "video"), "model", type="vga", vram=8192)
    _add(devices, "controller", type="usb", model="none")
    balloon = _add(devices, "memballoon", model="virtio")
    _add(balloon, "stats", period=5)
    _add(_add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")


def _add_card(devices: ET.Element, card: Card) -> None:
    element = _add(devices, "interface", type="network")
    _add(element, "mac", address=card.mac)
    _add(element, "source", network=card.network)
    _add(element, "model", type="virtio")
    _add(element, "port", isolated="yes")  # nothing goes from machine to machine on the bridge
    held = _add(element, "filterref", filter=card.filter)
    for name, value in card.parameters.items():
        _add(held, "parameter", name=name, value=value)
    _add(element, "rom", enabled="no")


def has_card(text: str, card: Card) -> bool:
    """Whether a domain's definition has this card, kept apart and filtered as it should be."""
    element = ET.fromstring(text).find("devices/interface")  # noqa: S314 - comes from libvirt
    port, held, mac = (element.find(name) if element is not None else None for name in ("port", "filterref", "mac"))
    if port is None or held is None or mac is None or mac.get("address", "").lower() != card.mac:
        return False
    parameters = {found.get("name"): found.get("value") for found in held.iter("parameter")}
    wanted = {"MAC": parameters.get("MAC"), **card.parameters} if "MAC" in parameters else card.parameters
    return (port.get("isolated"), held.get("filter"), parameters) == ("yes", card.filter, wanted)


def has_agent_channel(text: str) -> bool:
    """Whether a domain's definition has the channel to an agent in the guest."""
    root = ET.fromstring(text)  # noqa: S314 - comes from libvirt
    return root.find(f"devices/channel/target[@name='{AGENT_CHANNEL}']") is not None


def card_addresses(text: str) -> dict[str, IPv4Address]:
    """The addresses that a domain's cards are held to, by MAC address."""
    found = {}
    for card in ET.fromstring(text).iterfind("devices/interface"):  # noqa: S314 - comes from libvirt
        mac, address = card.find("mac"), card.find("filterref/parameter[@name='IP']")
        if mac is not None and address is not None:
            found[mac.attrib["address"].lower()] = IPv4Address(address.attrib["value"])
    return found


def _add_user_network(domain: ET.Element, mac: str, ssh_port: int) -> None:
    # libvirt 9 has no words for a forwarded port of QEMU's user-mode network.
    command = ET.SubElement(domain, f"{{{QEMU_NS}}}commandline")
    words = (
        *("-netdev", f"user,id=zentry0,hostfwd=tcp:127.0.0.1:{ssh_port}-:22"),
        *("-device", f"virtio-net-pci,netdev=zentry0,mac={mac},romfile=,bus=pcie.0,addr=0x10"),
    )
    for word in words:
        ET.SubElement(command, f"{{{QEMU_NS}}}arg", {"value": word})


def network_xml(namespace: str, subnet: IPv4Network, hosts: dict[str, IPv4Address] | None = None) -> str:
    """The definition of the NAT network that all machines of this Zentry share.

    Addresses are given to known MAC addresses only: ``hosts``, and those that ``host_xml`` adds later.
    """
    network = ET.Element("network")
    _add(network, "name", network_name(namespace))
    _add(network, "forward", mode="nat")
    _add(network, "bridge", name=bridge_name(namespace), stp="off", delay=0)
    address = _add(network, "ip", address=str(subnet[1]), netmask=str(subnet.netmask))
    served = _add(address, "dhcp")
    for mac, given in (hosts or {}).items():
        served.append(ET.fromstring(host_xml(mac, given)))  # noqa: S314 - made a line above
    # Without this dnsmasq tries for three seconds whether an address is in use before it gives it away.
    options = ET.SubElement(network, f"{{{DNSMASQ_NS}}}options")
    ET.SubElement(options, f"{{{DNSMASQ_NS}}}option", {"value": "no-ping"})
    return ET.tostring(network, encoding="unicode")


def host_xml(mac: str, address: IPv4Address) -> str:
    """An address that the network keeps for a MAC address. (A name would be told to all by the network's DNS.)"""
    host = ET.Element("host", {"mac": mac, "ip": str(address)})
    _add(host, "lease", expiry=LEASE_SECONDS, unit="seconds")
    return ET.tostring(host, encoding="unicode")


def kept_addresses(text: str) -> dict[str, IPv4Address]:
    """The addresses that a network keeps, by MAC address."""
    hosts = ET.fromstring(text).iterfind("ip/dhcp/host")  # noqa: S314 - comes from libvirt
    return {host.attrib["mac"].lower(): IPv4Address(host.attrib["ip"]) for host in hosts if host.get("mac")}


def network_subnets(text: str) -> list[IPv4Network]:
    """The IPv4 ranges a libvirt network uses."""
    subnets = []
    root = ET.fromstring(text)  # noqa: S314 - comes from libvirt
    for element in root.findall("ip"):
        if element.get("family", "ipv4") != "ipv4" or not element.get("address"):
            continue
        mask = element.get("netmask") or element.get("prefix") or "32"
        subnets.append(IPv4Network(f"{element.attrib['address']}/{mask}", strict=False))
    return subnets
