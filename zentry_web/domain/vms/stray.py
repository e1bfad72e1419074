"""A machine that only the hypervisor has. Plain values."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Stray:
    """As the driver noted it when it was made; None: its note cannot be read."""

    vm_id: str
    power: str
    name: str | None
    vcpus: int | None
    memory_mib: int | None
    disk_gib: int | None
    image: str | None  # the driver's name of it
    first_seen_at: datetime
    removal_asked_at: datetime | None
    error: str  # why the worker could not remove it; '' otherwise
