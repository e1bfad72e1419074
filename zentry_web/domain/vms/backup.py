"""Backups of a machine as pages show them. Pure rules."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from zentry_web.domain.vms.plan import Facts, facts_of
from zentry_web.domain.vms.proof import Proof
from zentry_web.domain.vms.vm import VM

MOST_NAME, MOST_NOTE = 60, 500
MOST_BACKUPS = 60  # of one machine


class BackupState(StrEnum):
    MAKING = "making"
    READY = "ready"
    FAILED = "failed"  # nothing of it is there but the reason
    DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class Backup:
    """``gib`` and what it costs are None until it is made."""

    id: str
    vm_id: str
    name: str
    note: str
    state: BackupState
    error: str
    is_scheduled: bool
    size_name: str  # of the machine then, as the next four
    image_id: str
    image_name: str
    disk_gib: int
    was_on: bool
    is_frozen: bool
    size_bytes: int
    sha256: str
    created_at: datetime
    made_at: datetime | None
    gib: int | None = None
    rate_micro_per_hour: int | None = None
    kept_until: datetime | None = None  # kept so long for nothing: the credits had run out
    is_being_proved: bool = False
    proof: Proof | None = None  # how the last one ended

    @property
    def is_ready(self) -> bool:
        return self.state == BackupState.READY


@dataclass(frozen=True, slots=True)
class BackupLeft:
    """One whose copy is to be removed. ``is_half``: it was never whole, and what overtook it stands in its place."""

    id: str
    vm_id: str
    is_half: bool


def recovered(vm: VM, backup: Backup, running_micro_per_hour: int) -> VM:
    """The machine as it is when it has the disk of that backup."""
    return replace(vm, image_name=backup.image_name, running_micro_per_hour=running_micro_per_hour)


def recovery_facts(vm: VM, backup: Backup, becomes: VM) -> Facts:
    """What is promised of a machine that gets the disk of a backup."""
    then = {"image": becomes.image_name, "new_running": str(becomes.running_micro_per_hour)}
    return facts_of(vm) | {"backup": backup.id} | then
