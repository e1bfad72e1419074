"""Sizes as one VM pays for them, and giving a VM's row another size."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.vms.catalogue import Image, Size
from zentry_web.models import DbImagePriceVersion, DbVM


def as_paid_by(session: Session, vm_id: str, sizes: Sequence[Size]) -> list[Size]:
    """The sizes with what the VM's image adds to their running price. One statement."""
    query = (
        select(DbImagePriceVersion.micro_per_hour)
        .join(DbVM, DbVM.image_price_version_id == DbImagePriceVersion.id)
        .where(DbVM.id == vm_id)
    )
    more = session.scalars(query).one_or_none() or 0
    return [replace(size, running_micro_per_hour=size.running_micro_per_hour + more) for size in sizes]


def columns_of(size: Size, image: Image) -> dict[str, Any]:
    """What a new VM's row has of its size and image, and what both together cost."""
    return {
        "size_id": size.id,
        "image_id": image.id,
        "image_version_id": image.version_id,
        "price_version_id": size.price_version_id,
        "image_price_version_id": image.price_version_id,
        "vcpus": size.vcpus,
        "memory_mib": size.memory_mib,
        "disk_gib": size.disk_gib,
        "running_micro_per_hour": size.running_micro_per_hour + image.surcharge_micro_per_hour,
        "stopped_micro_per_hour": size.stopped_micro_per_hour,
    }


def take_size(vm: DbVM, size: Size) -> None:
    """Write a size, as this VM pays for it, into its row."""
    vm.size_id, vm.price_version_id = size.id, size.price_version_id
    vm.vcpus, vm.memory_mib, vm.disk_gib = size.vcpus, size.memory_mib, size.disk_gib
    vm.running_micro_per_hour, vm.stopped_micro_per_hour = size.running_micro_per_hour, size.stopped_micro_per_hour
