"""People, and who is acting."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from zoneinfo import available_timezones

from zentry_web.domain.language import _, languages, lazy


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"
    SYSTEM = "system"  # Zentry itself: the worker, the command line


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and from where. The address and agent go to the audit trail's side table only."""

    id: str
    role: Role
    address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    proved_at: datetime | None = None  # when the person behind it last proved who it is, in this session
    viewer_id: str | None = None  # the admin who only looks at this person's pages: nothing can be done as this actor

    @property
    def is_admin(self) -> bool:
        return self.role in (Role.ADMIN, Role.SYSTEM)


SYSTEM = Actor(id="system", role=Role.SYSTEM)
ANONYMOUS_ID = "anonymous"  # an actor who has not signed in, and who a refused log-in is recorded for

MAX_NAME = 100
MIN_PASSWORD = 8
MAX_PASSWORD = 128
FIRST_ADMIN_EMAIL = "admin@localhost"  # stands in until the first admin gives their own


@dataclass(frozen=True, slots=True)
class User:
    """An account. E-mail and name are personal: never put them into an event's details."""

    id: str
    email: str
    name: str
    role: Role
    time_zone: str
    created_at: datetime
    disabled_at: datetime | None = None
    region: str = ""  # how dates and numbers are written for them; one of REGIONS
    language: str = ""  # that pages and mails are written in; '': as the browser says, and English in mails
    theme: str | None = None  # one of THEME_CHOICES; None: never chosen
    shortcuts: bool = True  # whether keys without Ctrl do something
    mail_refused: str = ""  # what a mail server said when it refused the last mail for good; '': nothing
    mail_refused_at: datetime | None = None

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The answer of a successful log-in: who, and the secret that the session cookie carries."""

    user: User
    session_token: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CurrentSession:
    """Whose session a request belongs to, when that was last proved, and whether there is a second factor."""

    user: User
    proved_at: datetime | None
    has_factor: bool
    is_due: bool = False  # for another secret
    newest_event: int = 0  # its number, before anything else of the request was read


@dataclass(frozen=True, slots=True)
class PendingSignup:
    """A sign-up whose address is not proved yet: there is no account."""

    email: str
    name: str


@dataclass(frozen=True, slots=True)
class PendingEmailChange:
    """A change of address that waits for its two mailboxes."""

    new_email: str
    expires_at: datetime
    old_confirmed: bool
    new_confirmed: bool


@dataclass(frozen=True, slots=True)
class EmailLink:
    """What a mailed link of a change stands for; ``is_new``: it went to the new address."""

    is_new: bool
    old_email: str
    new_email: str


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A signed-in browser, as its owner sees it. ``id`` names it and lets nobody in."""

    id: str
    device: str
    address: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
    is_current: bool


@dataclass(frozen=True, slots=True)
class UserRow:
    """An account as the admin's list shows it."""

    user: User
    wallet_micro: int
    held_micro: int
    vm_count: int
    running_count: int
    last_seen_at: datetime | None = None  # None: in no session that is still kept
    has_factor: bool = False
    deletion_at: datetime | None = None  # its owner asked for it
    has_password: bool = True


@dataclass(frozen=True, slots=True)
class AccountView:
    """An admin's look at ``user``'s pages."""

    id: str
    user: User
    since: datetime
    until: datetime


LONGEST_NOTE = 2000


@dataclass(frozen=True, slots=True)
class UserNote:
    """What an admin wrote down about an account, for the other admins. Plain text."""

    id: str
    author_id: str
    author_name: str
    at: datetime
    text: str


@lru_cache(maxsize=1)
def time_zone_names() -> tuple[str, ...]:
    """Every time zone that a profile may name, in alphabetical order."""
    return tuple(sorted(name for name in available_timezones() if name not in ("localtime", "Factory")))


def parse_time_zone(value: object) -> str:
    """The name of a time zone that exists. Raises ValueError with a sentence for the person."""
    if not isinstance(value, str) or value not in time_zone_names():
        raise ValueError(_("Choose a time zone from the list."))
    return value


# Countries whose ways of writing dates and numbers can be had, in English words; '': what all of them can read.
REGIONS = {
    "": "International", "AU": "Australia", "AT": "Austria", "BE": "Belgium", "CA": "Canada", "CZ": "Czechia",
    "DK": "Denmark", "FI": "Finland", "FR": "France", "DE": "Germany", "IE": "Ireland", "IT": "Italy",
    "NL": "Netherlands", "NZ": "New Zealand", "NO": "Norway", "PL": "Poland", "PT": "Portugal", "ZA": "South Africa",
    "ES": "Spain", "SE": "Sweden", "CH": "Switzerland", "GB": "United Kingdom", "US": "United States",
}  # fmt: skip
THEME_CHOICES = {"auto": lazy("As the browser has it"), "light": lazy("Light"), "dark": lazy("Dark")}


def parse_region(value: object) -> str:
    """A region from the list. Raises ValueError with a sentence for the person."""
    if not isinstance(value, str) or value not in REGIONS:
        raise ValueError(_("Choose a region from the list."))
    return value


def parse_language(value: object) -> str:
    """A language that there is, '' for the browser's. Raises ValueError with a sentence for the person."""
    if not isinstance(value, str) or (value and value not in languages()):
        raise ValueError(_("Choose a language from the list."))
    return value


def parse_shortcuts(value: object) -> bool:
    """Whether keys without Ctrl do something. Raises ValueError with a sentence for the person."""
    if not isinstance(value, bool):
        raise ValueError(_("Switch it on or off."))
    return value


def parse_theme(value: object) -> str | None:
    """A theme from the list; None while none was chosen. Raises ValueError with a sentence for the person."""
    if value is not None and (not isinstance(value, str) or value not in THEME_CHOICES):
        raise ValueError(_("Choose a theme from the list."))
    return value
