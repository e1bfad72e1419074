"""What others may have done to a machine with virsh or virt-manager: where Zentry then keeps its hands off."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import libvirt

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.libvirt.disks.disks import run_tool
from zentry_web.adapters.compute.words import SAVED_FIRST, SNAPSHOT


def check_definition(domain: Any, disk: Path, seed: Path) -> None:
    """Raises ComputeRefused when defining this domain anew would lose something: saved memory, or the disks it has
    now, which are others than the two that Zentry made. May raise libvirtError."""
    if domain.hasManagedSaveImage(0):
        raise ComputeRefused(SAVED_FIRST)
    used = disk_files(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    if sorted(used) != sorted([str(disk), str(seed)]):
        other = next((path for path in used if path not in (str(disk), str(seed))), "")
        raise ComputeRefused(
            "On the host somebody changed the machine’s disks, as a snapshot does"
            + (f": it now writes to {Path(other).name}. " if other else ". ")
            + "Zentry leaves it as it is; the operator can merge the snapshot."
        )


def check_snapshots(domain: Any) -> None:
    """Raises ComputeRefused when the domain has snapshots: they hold the old size. May raise libvirtError."""
    if domain.snapshotNum(0):
        raise ComputeRefused(SNAPSHOT)


def check_disk(disk: Path, image_dir: Path) -> None:
    """Raises ComputeRefused when others count on the disk as it is: snapshots inside it, a file that it is based on
    and that is none of the images, or a file in its folder that is based on it."""
    found = _info(disk)
    base = found.get("backing-filename")
    if found.get("snapshots") or (base and Path(base).parent.parent != image_dir):
        raise ComputeRefused(SNAPSHOT)
    check_overlays(disk)


def check_overlays(disk: Path) -> None:
    """Raises ComputeRefused when a file beside the disk is based on it, as an external snapshot is."""
    if overlay := _find_overlay(disk):
        raise ComputeRefused(
            f"On the host somebody made a snapshot of the machine’s disk, and what was written since is in "
            f"{overlay.name}. Zentry leaves both as they are; the operator can merge them."
        )


def _find_overlay(disk: Path) -> Path | None:
    ours = {disk.name, "seed.iso", "machine.json"}
    for path in sorted(disk.parent.iterdir()):
        is_ours = path.name in ours or path.name.startswith("console.log") or not path.is_file()
        if not is_ours and _info(path).get("backing-filename"):
            return path
    return None


def disk_files(xml: str) -> list[str]:
    """The files that a definition names as disks; '' for a disk that is none."""
    root = ET.fromstring(xml)  # noqa: S314 - comes from libvirt
    return [source.get("file", "") for source in root.iterfind("devices/disk/source")]


def _info(path: Path) -> dict[str, Any]:
    found = json.loads(run_tool(["qemu-img", "info", "--force-share", "--output=json", str(path)]).stdout)
    return found if isinstance(found, dict) else {}
