"""What a notice or a mail leads to: a kind of thing and which one. web/output/targets.py knows the address."""

from dataclasses import dataclass
from enum import StrEnum


class Place(StrEnum):
    """Kinds of things that people are led to. The values stand in stored notices: they are never given anew."""

    VMS = "vms"
    VM = "vm"
    BACKUPS = "backups"  # of one machine
    TIMERS = "timers"  # of one machine
    OPERATION = "operation"  # its steps, and trying again
    PROJECTS = "projects"
    PROJECT = "project"
    MEMBERS = "members"
    OWNERSHIP = "ownership"
    CREDITS = "credits"
    PLAN = "plan"
    PRICES = "prices"
    CHARGES = "charges"  # of one interval
    TRANSACTION = "transaction"
    PAYMENT = "payment"
    AUTOMATIC_TOP_UP = "automatic_top_up"
    STATEMENT = "statement"
    ACCOUNT = "account"
    SECURITY = "security"
    EMAIL = "email"
    TOKENS = "tokens"
    SSH_KEYS = "ssh_keys"
    NOTIFICATIONS = "notifications"
    LEAVING = "leaving"
    APPROVALS = "approvals"
    SETTING = "setting"
    SYSTEM = "system"
    USER = "user"  # as admins see them
    # Only in mails; the id of a link is its secret.
    LOGIN = "login"
    FORGOTTEN = "forgotten"
    SIGN_UP_LINK = "sign_up_link"
    RESET_LINK = "reset_link"
    EMAIL_LINK = "email_link"
    INVITATION_LINK = "invitation_link"
    # Where an OpenID provider sends browsers back to.
    OIDC_RETURN = "oidc_return"


@dataclass(frozen=True, slots=True)
class Target:
    """One thing; ``id`` is empty where there is only one of the kind."""

    place: Place
    id: str = ""

    def __str__(self) -> str:
        """As it is stored."""
        return f"{self.place}:{self.id}" if self.id else self.place.value


def read_target(text: str) -> Target | None:
    """What ``str(target)`` has written; None for an empty text."""
    place, _, found = text.partition(":")
    return Target(Place(place), found) if place else None
