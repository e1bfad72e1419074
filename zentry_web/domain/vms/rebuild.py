"""Making a machine anew from an image: which it can have, and what comes of it. Pure rules."""

from dataclasses import dataclass
from datetime import datetime

from zentry_web.domain.language import _
from zentry_web.domain.monitoring import ComputeStatus
from zentry_web.domain.projects.quota import format_memory
from zentry_web.domain.vms.catalogue import Image
from zentry_web.domain.vms.vm import VM, Rates


@dataclass(frozen=True, slots=True)
class ImageChoice:
    """An image as one machine sees it; ``problem`` says why it cannot have it ('' if it can)."""

    image: Image
    rates: Rates  # of the machine with it
    problem: str = ""
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class DiskAside:
    """The disk that a machine had before it was rebuilt."""

    operation_id: str  # of the rebuild
    image_name: str
    until: datetime  # it can be brought back so long


def image_problem(vm: VM, image: Image, host: ComputeStatus) -> str:
    """Why this machine cannot be rebuilt from this image; '' if it can."""
    if not image.active:
        return _("This image is no longer on offer. Choose another.")
    if host.ok and image.driver_name not in host.images:
        return _("This image is not on the host at present. Choose another.")
    if vm.disk_gib < image.min_disk_gib:
        return _("This image needs a disk of at least %(gib)s GiB.", gib=image.min_disk_gib)
    if vm.memory_mib < image.min_memory_mib:
        return _("This image needs at least %(memory)s of memory.", memory=format_memory(image.min_memory_mib))
    return ""
