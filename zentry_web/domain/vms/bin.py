"""The recycle bin: what was deleted and can still be restored."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from zentry_web.domain.projects.project import ProjectRole
from zentry_web.domain.vms.vm import VM, Rates


class BinSort(StrEnum):
    """How the machines of a bin are sorted."""

    LATEST = "latest"  # by when they were deleted
    EARLIEST = "earliest"
    NAME = "name"
    NAME_DOWN = "name-down"
    SOONEST = "soonest"  # by how long they are kept
    LONGEST = "longest"


class BinChange(StrEnum):
    """What is done to several machines in the bin at once."""

    RESTORE = "restore"
    PURGE = "purge"


@dataclass(frozen=True, slots=True)
class BinnedVM:
    """A VM in the bin, as those see it who may delete in its project."""

    id: str
    name: str
    project_id: str
    project_name: str
    project_is_gone: bool  # in the bin as well: it has to be restored first
    size_name: str
    disk_gib: int
    stopped_micro_per_hour: int  # what its disk costs from a restore on, at today's price
    deleted_at: datetime
    deleted_by: str  # a name; '' for Zentry itself
    purge_at: datetime
    is_off: bool  # it has been powered off: it can be restored
    is_going: bool  # it is being deleted for good
    payer_name: str = ""
    backup_id: str = ""  # its newest backup that is whole; '': none

    @property
    def can_come_back(self) -> bool:
        """Whether it can be restored as it is; credits, quotas and its name are another matter."""
        return self.is_off and not self.is_going and not self.project_is_gone

    @property
    def rates(self) -> Rates:
        """From a restore on: what comes back is off."""
        return Rates(stopped=self.stopped_micro_per_hour)


def rates_back(chosen: Iterable[BinnedVM]) -> Rates:
    """What those of them that can come back cost together from then on."""
    return sum((vm.rates for vm in chosen if vm.can_come_back), Rates())


@dataclass(frozen=True, slots=True)
class DeletedVM:
    """What became of a deleted VM, as the members of its project see it."""

    id: str
    name: str
    project_id: str
    project_name: str
    project_is_gone: bool
    deleted_at: datetime
    deleted_by: str  # a name; '' for Zentry itself
    purge_at: datetime | None  # in the bin until then; None: deleted for good
    may_restore: bool


@dataclass(frozen=True, slots=True)
class BinnedProject:
    """A project in the bin, as its owner sees it, with the machines that went with it."""

    id: str
    name: str
    deleted_at: datetime
    deleted_by: str
    purge_at: datetime
    vms: int
    vms_off: int  # of them
    is_going: bool
    stopped_micro_per_hour: int  # what all its disks cost from a restore on

    @property
    def rates(self) -> Rates:
        """From a restore on: what comes back is off."""
        return Rates(stopped=self.stopped_micro_per_hour)

    @property
    def is_off(self) -> bool:
        """Whether all its machines have been powered off: it can be restored."""
        return self.vms == self.vms_off


@dataclass(frozen=True, slots=True)
class GoingProject:
    """A project that is about to be deleted, with everything that goes with it."""

    id: str
    name: str
    protected: bool
    vms: tuple[VM, ...]
    members: tuple[tuple[str, ProjectRole], ...]  # but for the owner
    invitations: int
    binned_vms: int  # already in the bin: they can be restored only together with it
    budget_micro: int | None
    month_micro: int

    @property
    def rate_micro_per_hour(self) -> int:
        """What it costs now, and no longer then."""
        return sum(vm.rate_micro_per_hour for vm in self.vms)

    @property
    def protected_vms(self) -> tuple[VM, ...]:
        return tuple(vm for vm in self.vms if vm.protected)

    @property
    def is_held(self) -> bool:
        """Whether protection keeps it from being deleted."""
        return self.protected or bool(self.protected_vms)
