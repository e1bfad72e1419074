"""The guest images in a folder: one sub-folder each, as scripts/build-image writes them."""

import json
from dataclasses import dataclass
from pathlib import Path

from zentry_web.adapters.compute.base import ComputeRefused


@dataclass(frozen=True, slots=True)
class GuestImage:
    """A kernel and an initramfs that boot together."""

    name: str
    kernel: Path
    initrd: Path
    kernel_version: str


def list_images(image_dir: Path) -> tuple[GuestImage, ...]:
    """The whole images, by name. A folder without a manifest is an image still being built."""
    found = []
    for manifest in sorted(image_dir.glob("*/manifest.json")):
        folder = manifest.parent
        image = GuestImage(folder.name, folder / "vmlinuz", folder / "initrd.gz", "")
        if image.kernel.is_file() and image.initrd.is_file():
            found.append(GuestImage(image.name, image.kernel, image.initrd, _kernel_version(manifest)))
    return tuple(found)


def get_image(image_dir: Path, name: str) -> GuestImage:
    """One image; raises ComputeRefused with a sentence for the owner when it is not there."""
    for image in list_images(image_dir):
        if image.name == name:
            return image
    raise ComputeRefused(f"The image “{name}” is not on this host.")


def _kernel_version(manifest: Path) -> str:
    try:
        return str(json.loads(manifest.read_text()).get("kernel_version", ""))
    except (OSError, ValueError):
        return ""
