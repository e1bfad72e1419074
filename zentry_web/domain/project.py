"""Projects: what VMs are organised in."""

from dataclasses import dataclass
from datetime import datetime


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
