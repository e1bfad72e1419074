"""The addresses of the network: whose they are, and that a network which runs is left as it is."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest

from tests.compute_contract import ComputeRig
from tests.libvirt_fixture import LibvirtRig, libvirt_rig, virsh
from zentry_web.adapters.compute.libvirt.network.filter import filter_uuid
from zentry_web.adapters.compute.libvirt.network.network import choose_address
from zentry_web.adapters.compute.libvirt.xml import filter_name, mac_address, network_name, network_subnets

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@dataclass
class Wire:
    libvirt: LibvirtRig
    rig: ComputeRig


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """With two machines that are there, off."""
    with libvirt_rig(tmp_path_factory.mktemp("addresses")) as libvirt:
        rig = libvirt.compute_rig()
        for _ in range(2):
            rig.created()
        yield Wire(libvirt, rig)


def net_xml(wire: Wire) -> str:
    return virsh(wire.libvirt.uri, "net-dumpxml", network_name(wire.libvirt.namespace))


def hosts(wire: Wire) -> dict[str, str]:
    network = ET.fromstring(net_xml(wire))
    return {host.get("ip"): host.get("mac") for host in network.iterfind("ip/dhcp/host")}


def own_card(wire: Wire, vm_id: str) -> tuple[str, str]:
    card = ET.fromstring(virsh(wire.libvirt.uri, "dumpxml", wire.libvirt.uuid(vm_id))).find("devices/interface")
    return card.find("filterref/parameter[@name='IP']").get("value"), card.find("mac").get("address")


def addresses(wire: Wire) -> dict[str, str]:
    return json.loads((wire.rig.driver._data_dir / "addresses.json").read_text())


def test_filter_and_address_go_with_the_machine(wire: Wire) -> None:
    namespace = wire.libvirt.namespace
    vm_id = wire.rig.created()
    name = filter_name(namespace, vm_id)
    assert wire.libvirt.filters()[name] == filter_uuid(namespace, vm_id)
    address, mac = own_card(wire, vm_id)
    before = hosts(wire)
    assert before[address] == mac
    assert addresses(wire)[address] == vm_id
    wire.rig.driver.start(vm_id)
    wire.rig.driver.delete(vm_id)
    assert name not in wire.libvirt.filters()
    assert address not in addresses(wire)
    assert hosts(wire) == before, "a running network is not touched"


def test_addresses_stay_with_their_machines_when_the_network_is_made_anew(wire: Wire) -> None:
    uri, network = wire.libvirt.uri, network_name(wire.libvirt.namespace)
    before, taken = hosts(wire), addresses(wire)
    virsh(uri, "net-destroy", network)
    virsh(uri, "net-undefine", network)
    vm_id = wire.rig.created()
    try:
        assert hosts(wire) == before
        address, _ = own_card(wire, vm_id)
        assert addresses(wire) == taken | {address: vm_id}
        assert address not in taken
    finally:
        wire.rig.driver.delete(vm_id)


def test_without_the_notes_on_addresses_the_definitions_tell(wire: Wire) -> None:
    driver, taken = wire.rig.driver, addresses(wire)
    one = wire.rig.created()
    address, _ = own_card(wire, one)
    (driver._data_dir / "addresses.json").unlink()
    other = wire.rig.created()
    try:
        found, _ = own_card(wire, other)
        assert addresses(wire) == taken | {address: one, found: other}
        assert len({*taken, address, found}) == len(taken) + 2
    finally:
        driver.delete(other)
        driver.delete(one)


def test_a_network_of_an_earlier_version_goes_on(wire: Wire) -> None:
    """There each machine had a MAC address of its own, for which the network came to know it one by one."""
    uri, namespace = wire.libvirt.uri, wire.libvirt.namespace
    network, all_hosts = network_name(namespace), hosts(wire)
    older, newer = wire.rig.spec(), wire.rig.spec()
    address, later = (str(choose_address(network_subnets(net_xml(wire))[0], spec.vm_id, ())) for spec in (older, newer))
    assert {address, later}.isdisjoint(addresses(wire))
    own = mac_address(namespace, older.vm_id)
    for host in (address, later):
        virsh(uri, "net-update", network, "delete", "ip-dhcp-host", f"<host ip='{host}'/>", "--live", "--config")
    virsh(
        uri, "net-update", network, "add", "ip-dhcp-host", f"<host mac='{own}' ip='{address}'/>", "--live", "--config"
    )
    try:
        wire.rig.driver.create(older)
        assert own_card(wire, older.vm_id) == (address, own)
        wire.rig.driver.create(newer)
        assert own_card(wire, newer.vm_id) == (later, all_hosts[later])
        assert hosts(wire) == all_hosts | {address: own}
        wire.rig.driver.delete(older.vm_id)
        assert address not in hosts(wire)
    finally:
        for spec in (older, newer):
            wire.rig.driver.delete(spec.vm_id)


def test_an_address_is_given_again_at_once(wire: Wire) -> None:
    """The lease that a deleted machine leaves is one of the address's own MAC address."""
    first = wire.rig.booted()
    (address,) = wire.rig.get(first).addresses
    wire.rig.driver.delete(first)
    subnet, closed = network_subnets(net_xml(wire))[0], {IPv4Address(taken) for taken in addresses(wire)}
    same = next(
        spec for spec in iter(wire.rig.spec, None) if str(choose_address(subnet, spec.vm_id, closed)) == address
    )
    second = wire.rig.booted(vm_id=same.vm_id)
    try:
        assert wire.rig.get(second).addresses == (address,)
    finally:
        wire.rig.driver.delete(second)
