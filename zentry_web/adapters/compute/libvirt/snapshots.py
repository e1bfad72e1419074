"""Internal snapshots of qcow2 disks under libvirt: with the memory of a machine that is on."""

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt

from zentry_web.adapters.compute.base import ComputeRefused, MachineMissing
from zentry_web.adapters.compute.libvirt.connection import LibvirtConnection
from zentry_web.adapters.compute.libvirt.disks.disks import run_tool
from zentry_web.adapters.compute.libvirt.disks.storage import RESERVE_BYTES, MachineStorage
from zentry_web.adapters.compute.libvirt.foreign import check_definition
from zentry_web.adapters.compute.snapshots import OURS, MachineSnapshot
from zentry_web.adapters.compute.words import NO_ROOM_SNAPSHOT, NO_SUCH_SNAPSHOT

SECONDS = 300.0  # memory is written at the speed of the disk
_TOUCHED = 1 << 20  # of a disk: at least so much is counted


class LibvirtSnapshots:
    """See Snapshots. ``need`` looks a machine's domain up, or raises MachineMissing."""

    def __init__(self, connection: LibvirtConnection, storage: MachineStorage, need: Callable[[Any, str], Any]) -> None:
        self._connection, self._storage, self._need = connection, storage, need

    def create(self, vm_id: str, name: str) -> None:
        """See Snapshots.create."""
        disk, seed = self._storage.disk(vm_id), self._storage.seed(vm_id)

        def take(connection: Any) -> None:
            domain = self._need(connection, vm_id)
            if _find(domain, name) is not None:
                return
            check_definition(domain, disk, seed)
            memory = domain.info()[1] * 1024 if domain.isActive() else 0
            if shutil.disk_usage(disk.parent).free < memory + RESERVE_BYTES:
                raise ComputeRefused(NO_ROOM_SNAPSHOT)
            domain.snapshotCreateXML(_definition(domain, name, disk), 0)

        self._connection.call(take, SECONDS, changes=True, about=vm_id)

    def list(self, vm_id: str) -> list[MachineSnapshot]:
        """See Snapshots.list."""

        def read(connection: Any) -> list[tuple[int, str, bool, bool]]:
            domain = self._need(connection, vm_id)
            current = domain.snapshotCurrent().getName() if domain.hasCurrentSnapshot() else None
            found = []
            for each in domain.listAllSnapshots():
                xml = ET.fromstring(each.getXMLDesc())  # noqa: S314 - comes from libvirt
                memory, made = xml.find("memory"), int(xml.findtext("creationTime") or 0)
                has_memory = memory is not None and memory.get("snapshot") != "no"
                found.append((made, each.getName(), has_memory, each.getName() == current))
            return sorted(found)

        found = self._connection.call(read, 30.0)
        memories = _memories(self._storage.disk(vm_id)) if any(each[1].startswith(OURS) for each in found) else {}
        return [MachineSnapshot(*each[1:], self._size(vm_id, memories.get(each[1]))) for each in found]

    def revert(self, vm_id: str, name: str) -> None:
        """See Snapshots.revert."""
        disk, seed = self._storage.disk(vm_id), self._storage.seed(vm_id)

        def back(connection: Any) -> None:
            domain = self._need(connection, vm_id)
            found = _find(domain, name)
            if found is None:
                raise ComputeRefused(NO_SUCH_SNAPSHOT)
            check_definition(domain, disk, seed)
            domain.revertToSnapshot(found, libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE)

        self._connection.call(back, SECONDS, changes=True, about=vm_id)

    def delete(self, vm_id: str, name: str) -> None:
        """See Snapshots.delete."""

        def forget(connection: Any) -> None:
            found = _find(self._need(connection, vm_id), name)
            if found is not None:
                found.delete(0)

        try:
            self._connection.call(forget, SECONDS, changes=True, about=vm_id)
        except MachineMissing:
            return

    def _size(self, vm_id: str, memory: int | None) -> int | None:
        return None if memory is None else memory + _held(self._storage.disk(vm_id))


def _find(domain: Any, name: str) -> Any:
    return next((each for each in domain.listAllSnapshots() if each.getName() == name), None)


def _definition(domain: Any, name: str, disk: Path) -> str:
    """Of the machine's own disk alone; its seed is read-only."""
    root = ET.Element("domainsnapshot")
    ET.SubElement(root, "name").text = name
    ET.SubElement(root, "memory", snapshot="internal" if domain.isActive() else "no")
    disks = ET.SubElement(root, "disks")
    for each in ET.fromstring(domain.XMLDesc()).iterfind("devices/disk"):  # noqa: S314 - comes from libvirt
        source, target = each.find("source"), each.find("target")
        if target is not None:
            is_own = source is not None and source.get("file") == str(disk)
            ET.SubElement(disks, "disk", name=target.get("dev", ""), snapshot="internal" if is_own else "no")
    return ET.tostring(root, encoding="unicode")


def _memories(disk: Path) -> dict[str, int]:
    """By snapshot inside the disk, the bytes of the memory that is kept with it."""
    info = json.loads(run_tool(["qemu-img", "info", "--force-share", "--output=json", str(disk)]).stdout)
    return {each["name"]: int(each.get("vm-state-size", 0)) for each in info.get("snapshots", ())}


def _held(disk: Path) -> int:
    """Bytes that the guest's disk holds now, beyond the image it may be based on."""
    parts = json.loads(run_tool(["qemu-img", "map", "--force-share", "--output=json", str(disk)]).stdout)
    held = sum(int(part["length"]) for part in parts if part.get("depth") == 0 and part.get("data"))
    return max(_TOUCHED, held)
