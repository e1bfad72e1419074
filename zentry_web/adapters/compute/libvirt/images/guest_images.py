"""The guest images in a folder: one sub-folder each, with a manifest.json that is written last.

What an image has says how it boots: a kernel and an initramfs beside it, a disk, or both. Machines never write to an
image's disk: theirs is a layer on it, made in a moment whatever its size.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zentry_web.adapters.compute.base import ComputeRefused

MANIFEST = "manifest.json"
DISK, KERNEL, INITRD = "disk.qcow2", "vmlinuz", "initrd.gz"
CMDLINE = "console=ttyS0 quiet"


@dataclass(frozen=True, slots=True)
class GuestImage:
    """What a machine boots."""

    name: str
    kernel: Path | None  # None: the disk has a boot loader
    initrd: Path | None
    kernel_version: str
    disk: Path | None = None  # None: the machine's disk is an empty file system for its data
    disk_bytes: int = 0  # what a guest sees of it; a machine's disk is as large at least
    cmdline: str = CMDLINE
    is_data: bool = False  # its disk has no system on it, only data in a file system that the host made
    can_rescue: bool = False  # it lives in memory, leaves the disk alone when told so, and takes a password

    @property
    def has_data_disk(self) -> bool:
        """Whether its machines' disks hold only data: the host makes their file system larger, and no guest does."""
        return self.disk is None or self.is_data

    @property
    def has_probe(self) -> bool:
        """Whether it can tell if the accelerator works: Zentry's own small one can."""
        return self.disk is None


def list_images(image_dir: Path) -> tuple[GuestImage, ...]:
    """The whole images, by name. A folder without a manifest is an image still being made."""
    found = (_read(manifest) for manifest in sorted(image_dir.glob(f"[!.]*/{MANIFEST}")))
    return tuple(image for image in found if image is not None)


def get_image(image_dir: Path, name: str) -> GuestImage:
    """One image; raises ComputeRefused with a sentence for the owner when it is not there."""
    for image in list_images(image_dir):
        if image.name == name:
            return image
    raise ComputeRefused(f"The image “{name}” is not on this host.")


def read_manifest(path: Path) -> dict[str, Any]:
    """What a manifest says; nothing when it cannot be read."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(manifest: Path) -> GuestImage | None:
    folder, facts = manifest.parent, read_manifest(manifest)
    kernel, initrd, disk = (folder / name for name in (KERNEL, INITRD, DISK))
    has_kernel, has_disk = kernel.is_file() and initrd.is_file(), disk.is_file()
    if not (has_kernel or has_disk):
        return None
    return GuestImage(
        folder.name,
        kernel if has_kernel else None,
        initrd if has_kernel else None,
        str(facts.get("kernel_version", "")),
        disk if has_disk else None,
        int(facts.get("disk_bytes", 0)),
        str(facts.get("cmdline", CMDLINE)),
        facts.get("data") is True,
        facts.get("rescue") is True,
    )
