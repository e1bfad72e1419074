"""The recycle bin: what was deleted and can still be restored."""

from dataclasses import dataclass
from datetime import datetime


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
    def is_off(self) -> bool:
        """Whether all its machines have been powered off: it can be restored."""
        return self.vms == self.vms_off
