"""The projects and invitations of all, as admins look through them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from zentry_web.domain.projects.project import Project, ProjectRole


class ProjectState(StrEnum):
    OPEN = "open"
    ARCHIVED = "archived"
    DELETED = "deleted"


class ProjectSort(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"
    NAME_DOWN = "name-down"
    OWNER = "owner"
    OWNER_DOWN = "owner-down"


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project as the admin's list shows it. ``month_micro``: what it has cost since its owner's month began."""

    project: Project
    owner_email: str
    deleted_at: datetime | None
    vm_count: int
    running_count: int
    member_count: int
    month_micro: int

    @property
    def state(self) -> ProjectState:
        if self.deleted_at is not None:
            return ProjectState.DELETED
        return ProjectState.ARCHIVED if self.project.is_archived else ProjectState.OPEN


class InvitationState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    ENDED = "ended"  # declined, withdrawn or replaced


@dataclass(frozen=True, slots=True)
class InvitationFilter:
    """``search`` is part of the address, of the inviter's or of the project's name, or an id."""

    search: str = ""
    state: InvitationState | None = None

    def __bool__(self) -> bool:
        return bool(self.search or self.state)


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """An invitation, open or not. It holds no secret."""

    id: str
    email: str
    role: ProjectRole
    project_id: str
    project_name: str
    inviter_id: str
    inviter_email: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    outcome: str

    def state(self, now: datetime) -> InvitationState:
        if self.outcome == "accepted":
            return InvitationState.ACCEPTED
        if self.ended_at is not None:
            return InvitationState.ENDED
        return InvitationState.OPEN if now < self.expires_at else InvitationState.EXPIRED
