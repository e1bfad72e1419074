"""What a machine's network card may send and get: one filter of libvirt's for each machine, named like its domain.

The machines of a Zentry share a bridge, and may belong to people who do not know each other. The bridge keeps their
ports apart; the filter keeps each to its own MAC and address, given by us and never learned from what the guest says,
and closes the way around the bridge, which is through the host (docs/adr/0024).
"""

import os
import shutil
import uuid
import xml.etree.ElementTree as ET
from typing import Any

import libvirt

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.libvirt.xml import ZENTRY_NS, filter_name

NO_FILTERS = (
    "libvirt has no network filters on this host, so machines could not be kept apart: "
    "install ebtables and start libvirt’s nwfilter driver (virtnwfilterd)."
)
# libvirt runs ebtables, which lies where an ordinary user's path does not lead.
_PATH = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
_NOT_THERE = {
    libvirt.VIR_ERR_NO_SUPPORT,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED,
    libvirt.VIR_ERR_NO_CONNECT,
}
_DHCP = {"protocol": "udp", "srcportstart": "68", "dstportstart": "67"}
# In this order. ``out`` is what the guest sends. What no rule names is dropped: VLAN tags, IPv6, anything odd.
_RULES: tuple[tuple[str, str, str, dict[str, str]], ...] = (
    ("drop", "out", "mac", {"match": "no", "srcmacaddr": "$MAC"}),
    ("accept", "out", "arp", {"arpsrcmacaddr": "$MAC", "arpsrcipaddr": "$IP"}),
    ("drop", "out", "ip", {"protocol": "udp", "srcportstart": "67"}),  # answers of a DHCP server
    ("accept", "out", "ip", {"srcipaddr": "0.0.0.0", "dstipaddr": "255.255.255.255", **_DHCP}),  # noqa: S104
    ("accept", "out", "ip", {"srcipaddr": "$IP", "dstipaddr": "255.255.255.255", **_DHCP}),
    ("accept", "out", "ip", {"srcipaddr": "$IP", "dstipaddr": "$GATEWAY"}),
    ("drop", "out", "ip", {"dstipaddr": "$NETWORK", "dstipmask": "$NETMASK"}),  # neighbours, by way of the host
    ("accept", "out", "ip", {"srcipaddr": "$IP"}),
    ("drop", "out", "", {}),
    ("accept", "in", "arp", {"arpsrcipaddr": "$GATEWAY"}),
    ("accept", "in", "ip", {"srcipaddr": "$GATEWAY"}),
    ("drop", "in", "ip", {"srcipaddr": "$NETWORK", "srcipmask": "$NETMASK"}),
    ("accept", "in", "ip", {"dstipaddr": "$IP"}),
    ("drop", "in", "", {}),
)


def filter_uuid(namespace: str, vm_id: str) -> str:
    """The same machine always gets the same filter; a filter with our name and another uuid is somebody else's."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{ZENTRY_NS}/{namespace}/{vm_id}/filter"))


def filter_xml(namespace: str, vm_id: str) -> str:
    """The filter. Its parameters MAC, IP, GATEWAY, NETWORK and NETMASK come with the card that refers to it."""
    root = ET.Element("filter", {"name": filter_name(namespace, vm_id), "chain": "root"})
    ET.SubElement(root, "uuid").text = filter_uuid(namespace, vm_id)
    for number, (action, direction, protocol, words) in enumerate(_RULES):
        attributes = {"action": action, "direction": direction, "priority": str(-900 + 10 * number)}
        rule = ET.SubElement(root, "rule", attributes)
        if protocol:
            ET.SubElement(rule, protocol, words)
    return ET.tostring(root, encoding="unicode")


class LibvirtFilters:
    """The filters of one namespace's machines. Methods take the connection; they may raise libvirtError."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def ensure(self, connection: Any, vm_id: str) -> None:
        """Define the filter of a machine, or define it again as it should be.

        Raises ComputeRefused where libvirt has no filters, or somebody else's has the name.
        """
        if shutil.which("ebtables", path=_PATH) is None:
            raise ComputeRefused(NO_FILTERS)
        try:
            connection.nwfilterDefineXML(filter_xml(self._namespace, vm_id))
        except libvirt.libvirtError as error:
            if error.get_error_code() in _NOT_THERE:
                raise ComputeRefused(NO_FILTERS) from error
            if error.get_error_code() == libvirt.VIR_ERR_OPERATION_FAILED and self._find(connection, vm_id) is None:
                name = filter_name(self._namespace, vm_id)
                raise ComputeRefused(f"The host has a network filter “{name}” that Zentry did not make.") from error
            raise

    def remove(self, connection: Any, vm_id: str) -> None:
        """Take the filter of a machine away; nothing there, or somebody else's, is fine."""
        found = self._find(connection, vm_id)
        if found is not None:
            found.undefine()

    def _find(self, connection: Any, vm_id: str) -> Any:
        try:
            return connection.nwfilterLookupByUUIDString(filter_uuid(self._namespace, vm_id))
        except libvirt.libvirtError as error:
            if error.get_error_code() in _NOT_THERE | {libvirt.VIR_ERR_NO_NWFILTER}:
                return None
            raise


def filters_are_missing(connection: Any) -> bool:
    """Whether the host cannot filter what machines send."""
    try:
        connection.numOfNWFilters()
    except libvirt.libvirtError as error:
        if error.get_error_code() in _NOT_THERE:
            return True
        raise
    return shutil.which("ebtables", path=_PATH) is None
