"""Projects: what VMs are organised in."""

from dataclasses import dataclass
from datetime import datetime

from zentry_web.domain.vm import VMState

MAX_PROJECT_NAME = 60
MAX_PROJECTS = 200  # per owner: keeps every list of them short enough to show whole


@dataclass(frozen=True, slots=True)
class Project:
    id: str
    owner_id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ProjectSummary:
    """One project with its figures, as a list or page shows it."""

    project: Project
    vm_count: int
    running_count: int
    rate_micro_per_hour: int  # what it costs now
    month_micro: int  # what it has cost since the month began, accrued seconds included


@dataclass(frozen=True, slots=True)
class ProjectStatistics:
    """What a project's VMs add up to. Deleted VMs count in ``month_micro`` only."""

    project_id: str
    vms_by_state: dict[VMState, int]
    vcpus: int
    memory_mib: int
    disk_gib: int
    rate_micro_per_hour: int
    month_micro: int

    @property
    def vm_count(self) -> int:
        return sum(self.vms_by_state.values())
