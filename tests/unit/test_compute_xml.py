"""The descriptions given to libvirt."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import libvirt
import pytest

from zentry_web.adapters.compute.base import ComputeRefused, MachineSpec
from zentry_web.adapters.compute.libvirt import xml as libvirt_xml
from zentry_web.adapters.compute.libvirt.accelerator import Accelerator
from zentry_web.adapters.compute.libvirt.network import filter as libvirt_filter
from zentry_web.adapters.compute.libvirt.network.filter import LibvirtFilters, filter_xml
from zentry_web.adapters.compute.libvirt.network.network import candidate_subnets, choose_address, routed_subnets

pytestmark = pytest.mark.unit

CARD = libvirt_xml.Card(
    "z-c0ffee", "z-c0ffee-x", IPv4Address("10.77.5.9"), IPv4Network("10.77.5.0/24"), "52:00:00:00:00:09"
)
SPEC = MachineSpec("vm_01JABCDEFGHJKMNPQRSTVWXYZ0", 'a"<&name', 2, 512, 5, "tiny")


def place(**changes: object) -> libvirt_xml.Placement:
    values: dict[str, object] = {
        "emulator": "/usr/bin/qemu-system-x86_64",
        "accelerator": Accelerator.TCG,
        "kernel": Path("/images/tiny/vmlinuz"),
        "initrd": Path("/images/tiny/initrd.gz"),
        "disk": Path("/data/<&'\">/disk.qcow2"),
        "seed": Path("/data/seed.iso"),
        "console": Path("/data/console.log"),
        "card": CARD,
    }
    return libvirt_xml.Placement(**(values | changes))  # type: ignore[arg-type]


def domain(**changes: object) -> ET.Element:
    return ET.fromstring(libvirt_xml.domain_xml("c0ffee", SPEC, place(**changes)))


@pytest.mark.asvs("1.2.1", "1.3.3")
def test_hostile_names_and_paths_stay_text() -> None:
    root = domain()
    assert root.findtext("title") == SPEC.name
    assert root.find("devices/disk/source").get("file") == "/data/<&'\">/disk.qcow2"


def test_the_domain_is_what_was_ordered() -> None:
    root = domain()
    assert root.get("type") == "qemu"
    assert root.findtext("name") == "z-c0ffee-npqrstvwxyz0"
    assert (root.findtext("vcpu"), root.findtext("memory"), root.find("memory").get("unit")) == ("2", "512", "MiB")
    assert root.find("cpu").get("mode") == "maximum"
    assert root.findtext("features/tcg/tb-cache") == "64"
    assert root.findtext("devices/disk/serial") == "zentry-data"
    assert root.find("devices/interface/source").get("network") == "z-c0ffee"
    log = root.find("devices/serial/log")
    assert (log.get("file"), log.get("append")) == ("/data/console.log", "on")


def test_firmware_that_has_to_find_a_boot_loader_talks_on_the_console() -> None:
    assert domain(kernel=None, initrd=None).find("os/bios").get("useserial") == "yes"
    assert domain().find("os/bios") is None


def test_kvm_takes_the_host_processor() -> None:
    root = domain(accelerator=Accelerator.KVM)
    assert root.get("type") == "kvm"
    assert root.find("cpu").get("mode") == "host-passthrough"
    assert root.find("features/tcg") is None


def test_without_a_network_a_port_is_forwarded() -> None:
    root = domain(card=None, ssh_port=40022)
    assert root.find("devices/interface") is None
    words = [word.get("value") for word in root.iter(f"{{{libvirt_xml.QEMU_NS}}}arg")]
    assert "user,id=zentry0,hostfwd=tcp:127.0.0.1:40022-:22" in words


def test_metadata_comes_back() -> None:
    element = domain(card=None, ssh_port=40022).find(f"metadata/{{{libvirt_xml.ZENTRY_NS}}}machine")
    facts = libvirt_xml.read_metadata(ET.tostring(element, encoding="unicode"))
    assert facts == libvirt_xml.MachineFacts(SPEC.vm_id, "c0ffee", 2, 512, "tiny", 40022)


@pytest.mark.parametrize("text", ["", "<machine", "<machine/>", "<other vm='x'/>", "<machine vm='a' namespace='b'/>"])
def test_foreign_metadata_is_nobodys(text: str) -> None:
    assert libvirt_xml.read_metadata(text) is None


def test_names_are_the_same_every_time_and_differ_between_zentrys() -> None:
    vm_id = SPEC.vm_id
    assert libvirt_xml.domain_uuid("a", vm_id) == libvirt_xml.domain_uuid("a", vm_id)
    assert libvirt_xml.domain_uuid("a", vm_id) != libvirt_xml.domain_uuid("b", vm_id)
    assert libvirt_xml.domain_name("c0ffee", vm_id) == "z-c0ffee-npqrstvwxyz0"
    assert len(libvirt_xml.bridge_name("0123456789abcdef")) <= 15


def test_mac_addresses_are_local_unicast_and_seldom_meet() -> None:
    found = {libvirt_xml.mac_address("c0ffee", f"vm_{number}") for number in range(5000)}
    assert len(found) == 5000
    first = int(next(iter(found)).split(":")[0], 16)
    assert first & 0b11 == 0b10, "locally administered, not multicast"


def test_the_network_definition() -> None:
    root = ET.fromstring(libvirt_xml.network_xml("c0ffee", IPv4Network("10.77.5.0/24")))
    assert root.find("bridge").attrib == {"name": "zbc0ffee", "stp": "off", "delay": "0"}
    assert root.find("ip").get("address") == "10.77.5.1"
    assert root.find("ip/dhcp/range") is None, "addresses are for known machines only"
    assert [option.get("value") for option in root.iter(f"{{{libvirt_xml.DNSMASQ_NS}}}option")] == ["no-ping"]
    assert libvirt_xml.network_subnets(ET.tostring(root, encoding="unicode")) == [IPv4Network("10.77.5.0/24")]


def test_a_card_is_kept_apart_and_told_its_address() -> None:
    card = domain().find("devices/interface")
    assert card.find("port").get("isolated") == "yes"
    assert card.find("filterref").get("filter") == "z-c0ffee-x"
    told = {parameter.get("name"): parameter.get("value") for parameter in card.iter("parameter")}
    assert told == {"IP": "10.77.5.9", "GATEWAY": "10.77.5.1", "NETWORK": "10.77.5.0", "NETMASK": "255.255.255.0"}


def test_whether_a_definition_has_its_card() -> None:
    text = ET.tostring(domain(), encoding="unicode")
    assert libvirt_xml.has_card(text, CARD)
    assert libvirt_xml.card_addresses(text) == {CARD.mac: CARD.address}
    assert libvirt_xml.machine_of(text) == SPEC.vm_id
    assert not libvirt_xml.has_card(text, replace(CARD, mac="52:00:00:00:00:08"))
    assert not libvirt_xml.has_card(text.replace('isolated="yes"', 'isolated="no"'), CARD)
    assert not libvirt_xml.has_card(text, replace(CARD, address=IPv4Address("10.77.5.8")))
    assert not libvirt_xml.has_card(ET.tostring(domain(card=None), encoding="unicode"), CARD)
    assert libvirt_xml.card_addresses(ET.tostring(domain(card=None), encoding="unicode")) == {}


def test_addresses_are_kept_in_the_network() -> None:
    kept = {"52:00:00:00:00:01": IPv4Address("10.77.5.9"), "52:00:00:00:00:02": IPv4Address("10.77.5.10")}
    text = libvirt_xml.network_xml("c0ffee", CARD.subnet, kept)
    assert libvirt_xml.kept_addresses(text) == kept
    host = ET.fromstring(text).find("ip/dhcp/host")
    assert host.find("lease").attrib == {"expiry": "3600", "unit": "seconds"}
    assert host.get("name") is None, "a name would be told to all"


def test_an_address_is_nobody_elses() -> None:
    subnet = IPv4Network("10.77.5.0/29")  # five for machines
    closed = {subnet[3]}
    for number in range(4):
        chosen = choose_address(subnet, f"vm_{number}", closed)
        assert chosen is not None
        assert chosen not in {*closed, subnet[0], subnet[1], subnet[7]}
        closed.add(chosen)
    assert choose_address(subnet, "vm_9", closed) is None


def test_an_address_has_a_mac_address_of_its_own() -> None:
    macs = {libvirt_xml.mac_of("c0ffee", address) for address in CARD.subnet}
    assert len(macs) == 256
    assert libvirt_xml.mac_of("c0ffee", CARD.address) != libvirt_xml.mac_of("c0ffef", CARD.address)


def test_the_filter_drops_what_it_does_not_name() -> None:
    root = ET.fromstring(filter_xml("c0ffee", SPEC.vm_id))
    assert root.get("name") == "z-c0ffee-npqrstvwxyz0"
    rules = sorted(root.iter("rule"), key=lambda rule: int(rule.get("priority")))
    for direction in ("in", "out"):
        last = [rule for rule in rules if rule.get("direction") == direction][-1]
        assert (last.get("action"), len(last)) == ("drop", 0)


class NoFilters:
    """A libvirt without its nwfilter driver."""

    def nwfilterDefineXML(self, *_: str) -> None:
        raise NotSupported("not there")

    numOfNWFilters = nwfilterDefineXML


class NotSupported(libvirt.libvirtError):
    def get_error_code(self) -> int:
        return libvirt.VIR_ERR_NO_SUPPORT


def test_without_filters_a_machine_is_refused_and_told_why() -> None:
    with pytest.raises(ComputeRefused, match="install ebtables"):
        LibvirtFilters("c0ffee").ensure(NoFilters(), SPEC.vm_id)


def test_without_ebtables_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt_filter.shutil, "which", lambda name, path: None)
    with pytest.raises(ComputeRefused, match="install ebtables"):
        LibvirtFilters("c0ffee").ensure(None, SPEC.vm_id)


def test_ranges_in_use_are_read_from_networks_and_routes() -> None:
    text = (
        "<network><ip address='192.168.122.1' prefix='24'/><ip family='ipv6' address='fd00::1' prefix='64'/></network>"
    )
    assert libvirt_xml.network_subnets(text) == [IPv4Network("192.168.122.0/24")]
    table = (
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert routed_subnets(table) == [IPv4Network("192.0.2.0/24")]


def test_candidate_ranges_are_private_and_many() -> None:
    found = candidate_subnets("c0ffee")
    assert len(set(found)) > 300
    assert all(subnet.is_private and subnet.prefixlen == 24 for subnet in found)
    assert candidate_subnets("c0ffee") == found != candidate_subnets("decade")
