"""The NAT network of one Zentry: made when first needed, its range chosen so that it meets no other."""

import json
import threading
import zlib
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import libvirt

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.libvirt.domains import look_up
from zentry_web.adapters.compute.libvirt.network.addresses import AddressBook, Lease
from zentry_web.adapters.compute.libvirt.network.filter import LibvirtFilters
from zentry_web.adapters.compute.libvirt.xml import (
    LEASE_SECONDS,
    Card,
    card_addresses,
    filter_name,
    host_xml,
    kept_addresses,
    mac_address,
    mac_of,
    machine_of,
    name_prefix,
    network_name,
    network_subnets,
    network_xml,
)

_ADD, _DELETE = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE
_LIVE_AND_KEPT = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE | libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG


class LibvirtNetwork:
    """Methods take the libvirt connection; they may raise libvirtError."""

    def __init__(self, namespace: str, data_dir: Path) -> None:
        self.name = network_name(namespace)
        self._namespace = namespace
        self._notes = data_dir / "network.json"
        self._addresses = AddressBook(data_dir)
        self._filters = LibvirtFilters(namespace)
        self._one_at_a_time = threading.Lock()

    def card(self, connection: Any, vm_id: str) -> Card:
        """A machine's place on the network: network, address and filter are there afterwards, made where missing.

        The address is the machine's until ``release``. Raises ComputeRefused (no range, no address, no filters).
        """
        self._filters.ensure(connection, vm_id)
        network = self.ensure(connection)
        text = network.XMLDesc()
        subnet, kept = network_subnets(text)[0], kept_addresses(text)
        mac = mac_address(self._namespace, vm_id)
        if mac in kept:  # made when each machine had a MAC address of its own
            address = kept[mac]
        else:
            address = self._take(connection, network, vm_id, subnet, kept)
            mac = mac_of(self._namespace, address)
        return Card(self.name, filter_name(self._namespace, vm_id), address, subnet, mac)

    def release(self, connection: Any, vm_id: str) -> None:
        """Give back what ``card`` made for a machine whose domain is gone; nothing there is fine."""
        network = self._find(connection)
        mac = mac_address(self._namespace, vm_id)
        address = kept_addresses(network.XMLDesc()).get(mac) if network is not None else None
        if address is not None:
            _update(network, _DELETE, host_xml(mac, address))
        self._addresses.give_back(vm_id)
        self._filters.remove(connection, vm_id)

    def ensure(self, connection: Any) -> Any:
        """The network, defined and started unless it is there and active. Raises ComputeRefused if no range is free."""
        with self._one_at_a_time:  # several first machines may be started at once
            network = self._find(connection) or self._define(connection)
            if not network.isActive():
                try:
                    network.create()
                except libvirt.libvirtError:
                    if not network.isActive():  # another process was quicker
                        raise
            return network

    def _take(
        self, connection: Any, network: Any, vm_id: str, subnet: IPv4Network, kept: Mapping[str, IPv4Address]
    ) -> IPv4Address:
        """The address of a machine: the one it is defined with, else the one it had, else one that nobody has; the
        network gives it to that address's own MAC address."""
        mine = self._defined_with(connection, vm_id)
        leased = [(entry["mac"].lower(), IPv4Address(entry["ipaddr"])) for entry in network.DHCPLeases()]
        closed = {address for mac, address in [*kept.items(), *leased] if mac != mac_of(self._namespace, address)}

        def choose(taken: Mapping[IPv4Address, str]) -> IPv4Address | None:
            had = mine or next((address for address, owner in taken.items() if owner == vm_id), None)
            if had is not None and had in subnet and had not in closed and taken.get(had, vm_id) == vm_id:
                return had
            return choose_address(subnet, vm_id, closed.union(taken))

        address = self._addresses.take(vm_id, choose, lambda: self._defined(connection))
        if address is None:
            raise ComputeRefused("The machines’ network has no free address now.")
        mac = mac_of(self._namespace, address)
        if kept.get(mac) != address:  # a network that an earlier version made
            _add_host(network, mac, address)
        return address

    def _defined_with(self, connection: Any, vm_id: str) -> IPv4Address | None:
        """The address in a machine's definition, unless it is one that came with the machine's own MAC address."""
        domain = look_up(connection, self._namespace, vm_id)
        cards = card_addresses(domain.XMLDesc()) if domain is not None else {}
        return next((address for mac, address in cards.items() if mac == mac_of(self._namespace, address)), None)

    def _define(self, connection: Any) -> Any:
        subnet = self._choose(connection)
        try:
            hosts = self._hosts(subnet, self._given(connection, subnet))
            network = connection.networkDefineXML(network_xml(self._namespace, subnet, hosts))
        except libvirt.libvirtError:
            network = self._find(connection)
            if network is None:  # else another process was quicker
                raise
            return network
        self._notes.parent.mkdir(parents=True, exist_ok=True)
        self._notes.write_text(json.dumps({"subnet": str(subnet)}))
        return network

    def _defined(self, connection: Any) -> dict[IPv4Address, str]:
        """The machines whose definitions have an address with its own MAC address."""
        found = {}
        for text in self._definitions(connection):
            owner = machine_of(text)
            for mac, address in card_addresses(text).items():
                if owner and mac == mac_of(self._namespace, address):
                    found[address] = owner
        return found

    def _definitions(self, connection: Any) -> list[str]:
        """Of all machines of this Zentry."""
        prefix = name_prefix(self._namespace)
        return [domain.XMLDesc() for domain in connection.listAllDomains() if domain.name().startswith(prefix)]

    def _hosts(self, subnet: IPv4Network, given: Mapping[str, IPv4Address]) -> dict[str, IPv4Address]:
        """Whom the network gives its addresses: all at once, as each change of a network that runs makes libvirt write
        its rules of the host's firewall anew, for half a second and for all machines."""
        closed = set(given.values())
        own = {mac_of(self._namespace, address): address for address in _usable(subnet) if address not in closed}
        return own | dict(given)

    def _given(self, connection: Any, subnet: IPv4Network) -> dict[str, IPv4Address]:
        """Addresses that machines were defined with: nobody else gets them when the network has to be made anew."""
        given: dict[str, IPv4Address] = {}
        for text in self._definitions(connection):
            given |= card_addresses(text)
        return {mac: address for mac, address in given.items() if address in subnet}

    def leases(self, connection: Any) -> dict[str, Lease]:
        """The newest valid lease of each MAC address; empty while the network is off."""
        network = self._find(connection)
        if network is None or not network.isActive():
            return {}
        found: dict[str, Lease] = {}
        for entry in network.DHCPLeases():
            lease = Lease(entry["ipaddr"], float(entry["expirytime"] - LEASE_SECONDS))
            known = found.get(entry["mac"])
            if known is None or known.taken < lease.taken:
                found[entry["mac"]] = lease
        return found

    def remove(self, connection: Any) -> None:
        """Take the network away; nothing there is fine."""
        network = self._find(connection)
        if network is not None:
            if network.isActive():
                network.destroy()
            network.undefine()

    def _find(self, connection: Any) -> Any:
        try:
            return connection.networkLookupByName(self.name)
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_NETWORK:
                return None
            raise

    def _choose(self, connection: Any) -> IPv4Network:
        taken = routed_subnets(Path("/proc/net/route").read_text())
        for network in connection.listAllNetworks():
            taken += _subnets_of(network)
        kept = self._kept()
        candidates = ([kept] if kept else []) + candidate_subnets(self._namespace)
        for candidate in candidates:
            if not any(candidate.overlaps(other) for other in taken):
                return candidate
        raise ComputeRefused("The host has no free address range for the machines’ network.")

    def _kept(self) -> IPv4Network | None:
        try:
            return IPv4Network(json.loads(self._notes.read_text())["subnet"])
        except (OSError, ValueError, KeyError):
            return None


def _update(network: Any, command: int, host: str) -> None:
    flags = _LIVE_AND_KEPT if network.isActive() else libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
    network.update(command, libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST, 0, host, flags)


def _add_host(network: Any, mac: str, address: IPv4Address) -> None:
    try:
        _update(network, _ADD, host_xml(mac, address))
    except libvirt.libvirtError:
        if kept_addresses(network.XMLDesc()).get(mac) != address:  # else another process was quicker
            raise


def _usable(subnet: IPv4Network) -> list[IPv4Address]:
    """Without the network's own, the host's and the broadcast address."""
    return [subnet[number] for number in range(2, subnet.num_addresses - 1)]


def choose_address(subnet: IPv4Network, vm_id: str, closed: Collection[IPv4Address]) -> IPv4Address | None:
    """An address for a machine that is not one of those, tried in an order of its own; None: there is none.

    (dnsmasq gives an address to nobody else before its lease is over: what is on lease to others is closed, too.)
    """
    usable = _usable(subnet)
    start = zlib.crc32(vm_id.encode())
    order = (usable[(start + number) % len(usable)] for number in range(len(usable)))
    return next((address for address in order if address not in closed), None)


def candidate_subnets(namespace: str) -> list[IPv4Network]:
    """Ranges to try, in an order of this Zentry's own so that two seldom want the same."""
    start = zlib.crc32(namespace.encode())
    tens = [IPv4Network(f"10.{64 + (start + i) % 128}.{(start // 128 + i) % 256}.0/24") for i in range(128)]
    return tens + [IPv4Network(f"192.168.{(start + i) % 250 + 3}.0/24") for i in range(250)]


def routed_subnets(table: str) -> list[IPv4Network]:
    """The ranges in /proc/net/route, without the default route."""
    subnets = []
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8:
            continue
        # Both are hexadecimal in the byte order of the machine, which is little-endian on x86.
        destination, mask = (IPv4Address(int.from_bytes(bytes.fromhex(fields[i]), "little")) for i in (1, 7))
        if int(mask):
            subnets.append(IPv4Network(f"{destination}/{mask}", strict=False))
    return subnets


def _subnets_of(network: Any) -> list[IPv4Network]:
    """None of one that somebody has just removed. May raise libvirtError."""
    try:
        return network_subnets(network.XMLDesc())
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_NETWORK:
            return []
        raise
