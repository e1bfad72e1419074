"""What is stored beside the machines' disks and paid by the GiB and hour (docs/adr/0035). Pure rules."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from zentry_web.domain.language import lazy

GIB = 1 << 30


class StoredKind(StrEnum):
    """What is stored. The values are those of the UsageState in which it is billed."""

    SNAPSHOT = "snapshot"
    IMAGE = "image"
    BACKUP = "backup"


KIND_TITLES = {
    StoredKind.SNAPSHOT: lazy("Snapshots"),
    StoredKind.IMAGE: lazy("Images of machines"),
    StoredKind.BACKUP: lazy("Backups"),
}


@dataclass(frozen=True, slots=True)
class StoragePrice:
    """What a GiB of a kind costs an hour for what is stored from now on; what is stored already keeps its price."""

    id: str
    kind: StoredKind
    number: int
    micro_per_gib_hour: int
    starts_at: datetime

    @property
    def title(self) -> str:
        return KIND_TITLES[self.kind]


@dataclass(frozen=True, slots=True)
class NewStored:
    """Something that is stored from now on: its id is the snapshot's, image's or backup's own."""

    id: str
    kind: StoredKind
    vm_id: str  # of which it was made
    owner_id: str
    project_id: str
    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Stored:
    """Something stored, as it is paid for."""

    id: str
    kind: StoredKind
    vm_id: str
    owner_id: str
    project_id: str
    name: str
    gib: int
    price_number: int
    rate_micro_per_hour: int
    kept_until: datetime | None  # kept so long without a charge: the credits had run out


def begun_gib(size_bytes: int) -> int:
    """GiB to pay for: every one begun, one at least."""
    return max(1, -(-size_bytes // GIB))
