"""The list of accounts as admins look through it: what is looked for, and in which order."""

from enum import StrEnum


class PeopleState(StrEnum):
    """How an account stands."""

    ACTIVE = "active"
    DISABLED = "disabled"
    LEAVING = "leaving"  # its owner asked for it to be deleted
    NEVER = "never"  # nobody has logged in to it yet


class PeopleSort(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"
    NAME = "name"
    NAME_DOWN = "name-down"
    EMAIL = "email"
    LEAST = "least"  # credits
    MOST = "most"


MOST_AT_ONCE = 500  # accounts that one bulk action takes


class BulkAction(StrEnum):
    """What can be done to many accounts at once."""

    DISABLE = "disable"
    ENABLE = "enable"
    END_SESSIONS = "end_sessions"
    GRANT = "grant"
