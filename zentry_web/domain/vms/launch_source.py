"""What a machine can be launched from instead of an image: a snapshot or a backup. Pure rules."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from zentry_web.domain.vms.catalogue import Image


class SourceKind(StrEnum):
    SNAPSHOT = "snapshot"
    BACKUP = "backup"


@dataclass(frozen=True, slots=True)
class LaunchSource:
    """Its disk, and the image that boots it."""

    kind: SourceKind
    id: str
    name: str
    created_at: datetime
    was_cut: bool  # to the disk it looks as if the power had been cut
    vm_id: str
    vm_name: str
    project_id: str
    size_id: str
    disk_gib: int  # a machine's disk is as large at least
    image: Image
