"""Members of a project and invitations to it, as pages show them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from zentry_web.domain.language import _, lazy
from zentry_web.domain.projects.project import ProjectRole

MAX_MEMBERS = 100
MAX_INVITATIONS = 50  # open at once
INVITATION_LASTS = timedelta(days=7)
KEEP_ENDED = timedelta(days=30)  # they hold addresses of people who may have no account
ROLE_TITLES = {
    ProjectRole.OWNER: lazy("Owner"),
    ProjectRole.ADMIN: lazy("Admin"),
    ProjectRole.MEMBER: lazy("Member"),
    ProjectRole.RESTRICTED: lazy("Restricted"),
    ProjectRole.VIEWER: lazy("Viewer"),
}
ROLE_NAMES = {  # in a sentence
    ProjectRole.OWNER: lazy("owner"),
    ProjectRole.ADMIN: lazy("admin"),
    ProjectRole.MEMBER: lazy("member"),
    ProjectRole.RESTRICTED: lazy("restricted"),
    ProjectRole.VIEWER: lazy("viewer"),
}
ROLE_WORDS = {
    ProjectRole.OWNER: lazy("may do everything, and pays for all of it"),
    ProjectRole.ADMIN: lazy("runs it: members, budget, name and machines, on the owner's credits"),
    ProjectRole.MEMBER: lazy("launches, resizes and deletes machines, on the owner's credits"),
    ProjectRole.RESTRICTED: lazy("starts, stops and reboots machines, and reads their consoles"),
    ProjectRole.VIEWER: lazy("looks only"),
}


@dataclass(frozen=True, slots=True)
class Member:
    """``email`` is empty for those who need not know it."""

    user_id: str
    name: str
    email: str
    role: ProjectRole
    since: datetime
    is_manageable: bool  # by the one who looks


@dataclass(frozen=True, slots=True)
class Invitation:
    """An open invitation. ``secret`` is there once: for the inviter, where no mail is sent."""

    id: str
    email: str
    role: ProjectRole
    inviter_name: str
    expires_at: datetime
    secret: str = ""


@dataclass(frozen=True, slots=True)
class InvitationView:
    """What the one who was invited sees."""

    project_id: str
    project_name: str
    role: ProjectRole
    inviter_name: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Offer:
    """A project offered to one of its members, with what taking it over costs. Amounts are micro-credits."""

    project_id: str
    project_name: str
    owner_name: str
    user_id: str
    user_name: str
    expires_at: datetime
    vms: int
    running: int
    rate_micro_per_hour: int
    needed_micro: int  # holds of what runs, and disks of what does not
    available_micro: int | None  # of the one it is offered to, who alone is told
    is_mine: bool  # offered to the one who looks


def parse_role(value: object) -> ProjectRole:
    """A role as a form sends it. Raises ValueError."""
    try:
        return ProjectRole(str(value))
    except ValueError:
        raise ValueError(_("Choose a role.")) from None
