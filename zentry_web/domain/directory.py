"""The list of accounts as admins look through it: what is looked for, and in which order."""

from dataclasses import dataclass
from enum import StrEnum

from .money import MICRO
from .user import Role

LOW_MICRO = MICRO  # an account that can use less than a credit is called low


class PeopleState(StrEnum):
    """How an account stands."""

    ACTIVE = "active"
    DISABLED = "disabled"
    LEAVING = "leaving"  # its owner asked for it to be deleted
    NEVER = "never"  # nobody has logged in to it yet


class PeopleMark(StrEnum):
    """What an account has, or lacks."""

    VMS = "vms"
    LOW = "low"
    NO_FACTOR = "no_factor"


class PeopleSort(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"
    EMAIL = "email"
    LEAST = "least"  # credits
    MOST = "most"


@dataclass(frozen=True, slots=True)
class PeopleFilter:
    """``search`` is part of an e-mail address or name, or an id; None of the others: any."""

    search: str = ""
    role: Role | None = None
    state: PeopleState | None = None
    mark: PeopleMark | None = None

    def __bool__(self) -> bool:
        return bool(self.search or self.role or self.state or self.mark)


MOST_AT_ONCE = 500  # accounts that one bulk action takes


class BulkAction(StrEnum):
    """What can be done to many accounts at once."""

    DISABLE = "disable"
    ENABLE = "enable"
    END_SESSIONS = "end_sessions"
    GRANT = "grant"
