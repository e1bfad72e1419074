"""The NAT network of one Zentry: made when first needed, its range chosen so that it meets no other."""

import json
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import libvirt

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.libvirt.filter import LibvirtFilters
from zentry_web.adapters.compute.libvirt.xml import (
    LEASE_SECONDS,
    Card,
    card_addresses,
    filter_name,
    host_xml,
    kept_addresses,
    mac_address,
    name_prefix,
    network_name,
    network_subnets,
    network_xml,
)

_ADD, _DELETE = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE
_LIVE_AND_KEPT = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE | libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Lease:
    """An address given by DHCP. ``taken`` is in seconds since the epoch."""

    address: str
    taken: float


class LibvirtNetwork:
    """Methods take the libvirt connection; they may raise libvirtError."""

    def __init__(self, namespace: str, data_dir: Path) -> None:
        self.name = network_name(namespace)
        self._namespace = namespace
        self._notes = data_dir / "network.json"
        self._filters = LibvirtFilters(namespace)
        self._one_at_a_time = threading.Lock()

    def card(self, connection: Any, vm_id: str) -> Card:
        """A machine's place on the network: network, address and filter are there afterwards, made where missing.

        The address is the machine's until ``release``. Raises ComputeRefused (no range, no address, no filters).
        """
        self._filters.ensure(connection, vm_id)
        network = self.ensure(connection)
        address = self._keep_address(network, vm_id)
        subnet = network_subnets(network.XMLDesc())[0]
        return Card(self.name, filter_name(self._namespace, vm_id), address, subnet)

    def release(self, connection: Any, vm_id: str) -> None:
        """Give back what ``card`` made for a machine whose domain is gone; nothing there is fine."""
        network = self._find(connection)
        mac = mac_address(self._namespace, vm_id)
        address = kept_addresses(network.XMLDesc()).get(mac) if network is not None else None
        if address is not None:
            _update(network, _DELETE, host_xml(mac, address))
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

    def _keep_address(self, network: Any, vm_id: str) -> IPv4Address:
        """The address kept for a machine; one is chosen and kept unless there is."""
        mac = mac_address(self._namespace, vm_id)
        for attempt in range(_TRIES):
            text = network.XMLDesc()
            kept = kept_addresses(text)
            if mac in kept:
                return kept[mac]
            leased = {entry["mac"].lower(): IPv4Address(entry["ipaddr"]) for entry in network.DHCPLeases()}
            address = choose_address(network_subnets(text)[0], mac, kept, leased)
            if address is None:
                raise ComputeRefused("The machines’ network has no free address now.")
            try:
                _update(network, _ADD, host_xml(mac, address))
            except libvirt.libvirtError:
                if attempt == _TRIES - 1:  # else another process was quicker
                    raise
        raise AssertionError("unreachable")

    def _define(self, connection: Any) -> Any:
        subnet = self._choose(connection)
        try:
            network = connection.networkDefineXML(network_xml(self._namespace, subnet, self._given(connection, subnet)))
        except libvirt.libvirtError:
            network = self._find(connection)
            if network is None:  # else another process was quicker
                raise
            return network
        self._notes.parent.mkdir(parents=True, exist_ok=True)
        self._notes.write_text(json.dumps({"subnet": str(subnet)}))
        return network

    def _given(self, connection: Any, subnet: IPv4Network) -> dict[str, IPv4Address]:
        """Addresses that machines were defined with: nobody else gets them when the network has to be made anew."""
        given: dict[str, IPv4Address] = {}
        for domain in connection.listAllDomains():
            if domain.name().startswith(name_prefix(self._namespace)):
                given |= card_addresses(domain.XMLDesc())
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


def choose_address(
    subnet: IPv4Network, mac: str, kept: Mapping[str, IPv4Address], leased: Mapping[str, IPv4Address]
) -> IPv4Address | None:
    """An address for ``mac``: the one it has on lease, else one that is neither kept nor on lease; None: all are.

    (dnsmasq gives an address to nobody else before its lease is over, whatever we keep it for.)
    """
    if mac in leased and leased[mac] in subnet and leased[mac] not in kept.values():
        return leased[mac]
    taken = {*kept.values(), *leased.values()}
    size = subnet.num_addresses - 3  # without the network's own, the host's and the broadcast address
    start = zlib.crc32(mac.encode())
    return next((found for i in range(size) if (found := subnet[2 + (start + i) % size]) not in taken), None)


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
