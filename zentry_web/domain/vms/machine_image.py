"""Images made of machines' own disks, as pages show them: one project's, and paid for by the GiB and hour."""

from dataclasses import dataclass
from datetime import datetime

MOST_NAME, MOST_NOTE = 60, 300


@dataclass(frozen=True, slots=True)
class MachineImage:
    """``gib`` and what it costs are None until it is made."""

    id: str
    name: str
    note: str
    project_id: str
    vm_name: str  # of which it was made
    min_disk_gib: int
    created_at: datetime
    is_ready: bool
    operation_id: str  # that makes it, or made it
    machines: int  # that were made from it and still need it
    gib: int | None = None
    rate_micro_per_hour: int | None = None
    kept_until: datetime | None = None  # kept so long for nothing: the credits had run out
