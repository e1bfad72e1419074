"""What the overview pages show, put together from all features."""

from dataclasses import dataclass

from zentry_web.domain.billing import AccountKind, Balance
from zentry_web.domain.event import Event
from zentry_web.domain.monitoring import ComputeStatus, Heartbeat
from zentry_web.domain.project import Project
from zentry_web.domain.vm import VM, VMState


@dataclass(frozen=True, slots=True)
class BusyVM:
    """One of the busiest VMs: its latest CPU percentage and the last ones as a line to draw."""

    vm: VM
    cpu_percent: float
    sparkline: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A person's overview."""

    balance: Balance
    state_counts: dict[VMState, int]
    projects_count: int
    project_spend: tuple[tuple[Project, int], ...]  # this month, micro-credits, the dearest first
    recent: tuple[Event, ...]
    attention: tuple[VM, ...]  # in error, or stopped by something other than their owner
    busiest: tuple[BusyVM, ...]

    @property
    def vm_count(self) -> int:
        return sum(self.state_counts.values())


@dataclass(frozen=True, slots=True)
class AdminOverview:
    """The whole installation at a glance."""

    users: int
    vms_by_state: dict[VMState, int]
    burn_micro_per_hour: int  # of all accounts together
    system_balances: dict[AccountKind, int]
    compute: ComputeStatus
    heartbeats: tuple[Heartbeat, ...]
