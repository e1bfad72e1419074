"""What the overview pages show, put together from all features."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from zentry_web.domain.credits.billing import AccountKind, Balance
from zentry_web.domain.credits.forecast import month_forecast
from zentry_web.domain.credits.promotions import NOTICE_DAYS, Promotion
from zentry_web.domain.credits.spend import Lately
from zentry_web.domain.event import Event
from zentry_web.domain.monitoring import ComputeStatus, Heartbeat
from zentry_web.domain.people.announcement import Announcement
from zentry_web.domain.projects.project import Project, ProjectAction
from zentry_web.domain.projects.quota import Resource
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.vm import VM


@dataclass(frozen=True, slots=True)
class Frame:
    """What every page of a person says beside its subject."""

    unread: int  # notices
    announcements: tuple[Announcement, ...]
    compute: ComputeStatus


@dataclass(frozen=True, slots=True)
class BusyVM:
    """One of the busiest VMs: its latest CPU percentage and the last ones as a line to draw."""

    vm: VM
    cpu_percent: float
    at: datetime  # of that percentage
    sparkline: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What somebody new has done already."""

    has_key: bool
    has_project: bool
    has_vm: bool
    has_factor: bool
    has_budget: bool

    @property
    def done(self) -> int:
        return sum((self.has_key, self.has_project, self.has_vm, self.has_factor, self.has_budget))


@dataclass(frozen=True, slots=True)
class OfferedProject:
    """A project whose owner offers it to the person."""

    project_id: str
    name: str
    owner_name: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class InvitedTo:
    """An invitation to a project, mailed to the person's address."""

    invitation_id: str
    project_name: str
    inviter_name: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ExpiringToken:
    """A personal API token that works no more soon."""

    name: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a person's answer, or is about to be gone."""

    offers: tuple[OfferedProject, ...] = ()
    invitations: tuple[InvitedTo, ...] = ()
    binned: int = 0  # machines and projects that the recycle bin gives up soon
    first_gone_at: datetime | None = None  # the first of them
    tokens: tuple[ExpiringToken, ...] = ()  # the soonest first
    has_key: bool = False  # an SSH key: one of the first steps, as is the budget
    has_budget: bool = False

    def __bool__(self) -> bool:
        return bool(self.offers or self.invitations or self.binned or self.tokens)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A person's overview."""

    balance: Balance
    state_counts: dict[VMState, int]
    projects_count: int
    project_spend: tuple[tuple[Project, int], ...]  # one's own, this month, micro-credits, the dearest first
    shared_spend: tuple[tuple[Project, int], ...]  # the same of projects that others pay
    recent: tuple[Event, ...]
    rights: Mapping[str, frozenset[ProjectAction]]  # by project, of the person
    attention: tuple[VM, ...]  # in error, or stopped by something other than their owner
    busiest: tuple[BusyVM, ...]
    waiting: Waiting
    lately: Lately
    month_micro: int  # of one's own projects, so far
    month_end: datetime

    def rights_there(self, event: Event) -> frozenset[ProjectAction]:
        """What the person may do in the project where that happened."""
        return self.rights.get(event.project_id or "", frozenset())

    @property
    def forecast_micro(self) -> int:
        """What the month will have cost at its end, if nothing changes."""
        return month_forecast(self.balance, self.month_micro, self.month_end)

    @property
    def expiring(self) -> tuple[tuple[Promotion, int], ...]:
        """Promotional credit that ends within a week, with what is left of it."""
        soon = self.balance.at + timedelta(days=max(NOTICE_DAYS))
        return tuple(
            (each, micro) for each, micro in self.balance.open_promotions if each.expires_at and each.expires_at <= soon
        )

    @property
    def needs_attention(self) -> bool:
        return bool(self.attention or self.expiring or self.waiting or self.balance.is_ending)

    @property
    def vm_count(self) -> int:
        return sum(self.state_counts.values())


@dataclass(frozen=True, slots=True)
class HostShare:
    """How much of one thing there is on all hosts, is in use now, and was promised to machines, running or not."""

    resource: Resource
    total: int
    used: int
    promised: int


@dataclass(frozen=True, slots=True)
class RunsDry:
    """Somebody whose credits are the next to end, at what they use now."""

    user_id: str
    name: str
    email: str
    at: datetime
    left_micro: int
    burn_micro_per_hour: int


@dataclass(frozen=True, slots=True)
class RefusedMail:
    """An account whose address a mail server refused for good, and what it said."""

    user_id: str
    email: str
    at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class Troubles:
    """What went wrong on the last day, and goes wrong now."""

    loops: tuple[Heartbeat, ...]  # of the worker's, their last rounds: those that failed, or were long ago
    failed: tuple[Event, ...]  # requests for machines that came to nothing, the newest first
    mails: tuple[RefusedMail, ...]

    def __bool__(self) -> bool:
        return bool(self.loops or self.failed or self.mails)


@dataclass(frozen=True, slots=True)
class AdminOverview:
    """The whole installation at a glance."""

    users: int
    vms_by_state: dict[VMState, int]
    burn_micro_per_hour: int  # of all accounts together
    system_balances: dict[AccountKind, int]
    compute: ComputeStatus
    heartbeats: tuple[Heartbeat, ...]
    new_users: int  # of the last 30 days
    capacity: tuple[HostShare, ...]
    driest: tuple[RunsDry, ...]  # the soonest first
    troubles: Troubles


@dataclass(frozen=True, slots=True)
class GrowthDay:
    """What one UTC day brought."""

    day: datetime
    usage_micro: int
    payments_micro: int
    sign_ups: int
