"""The NAT network of one Zentry: made when first needed, its range chosen so that it meets no other."""

import json
import threading
import zlib
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import libvirt

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.libvirt_xml import LEASE_SECONDS, network_name, network_subnets, network_xml


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
        self._one_at_a_time = threading.Lock()

    def ensure(self, connection: Any) -> None:
        """Define and start the network unless it is there and active. Raises ComputeRefused if no range is free."""
        with self._one_at_a_time:  # several first machines may be started at once
            network = self._find(connection) or self._define(connection)
            if not network.isActive():
                try:
                    network.create()
                except libvirt.libvirtError:
                    if not network.isActive():  # another process was quicker
                        raise

    def _define(self, connection: Any) -> Any:
        subnet = self._choose(connection)
        try:
            network = connection.networkDefineXML(network_xml(self._namespace, subnet))
        except libvirt.libvirtError:
            network = self._find(connection)
            if network is None:  # else another process was quicker
                raise
            return network
        self._notes.parent.mkdir(parents=True, exist_ok=True)
        self._notes.write_text(json.dumps({"subnet": str(subnet)}))
        return network

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
            taken += network_subnets(network.XMLDesc())
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
