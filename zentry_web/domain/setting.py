"""Settings that admins change in the interface: what each is, what it may be, how it is shown."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .money import MICRO, format_credits
from .project import MAX_PROJECTS
from .quota import LARGEST, Resource, Scope, parse_amount, plainly
from .text import folded

SettingValue = int | str | tuple[str, ...]
NO_LIMIT = "none"
MOST_DOMAINS = 100
_LONGEST_TEXT = 30_000
_MOST_MICRO = 1_000_000_000 * MICRO
_LABEL = re.compile(r"(?!-)[^\W_]([^\W_]|-)*(?<!-)")


class SettingKey(StrEnum):
    STARTING_CREDITS = "starting_credits"
    APPROVAL_CREDITS = "approval_credits"
    GRACE_DAYS = "grace_days"
    BIN_DAYS = "bin_days"
    MAX_PROJECTS = "max_projects"
    SIGNUP = "signup"
    SIGNUP_DOMAINS = "signup_domains"
    LOGIN_TRIES = "login_tries"
    SIGNUPS_PER_HOUR = "signups_per_hour"
    INVITATIONS_PER_HOUR = "invitations_per_hour"
    QUOTA_USER_VMS = "quota_user_vms"
    QUOTA_USER_VCPUS = "quota_user_vcpus"
    QUOTA_USER_MEMORY_MIB = "quota_user_memory_mib"
    QUOTA_USER_DISK_GIB = "quota_user_disk_gib"
    QUOTA_PROJECT_VMS = "quota_project_vms"
    QUOTA_PROJECT_VCPUS = "quota_project_vcpus"
    QUOTA_PROJECT_MEMORY_MIB = "quota_project_memory_mib"
    QUOTA_PROJECT_DISK_GIB = "quota_project_disk_gib"


class SettingKind(StrEnum):
    CREDITS = "credits"  # int micro-credits
    NUMBER = "number"
    LIMIT = "limit"  # a number, or NO_LIMIT
    CHOICE = "choice"
    DOMAINS = "domains"


class Signup(StrEnum):
    OPEN = "open"
    INVITED = "invited"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Definition:
    """What a setting is. ``least`` and ``most`` bound numbers and micro-credits."""

    key: SettingKey
    kind: SettingKind
    title: str
    help: str
    default: SettingValue
    least: int = 0
    most: int = 0
    choices: tuple[tuple[str, str], ...] = ()
    is_money: bool = False  # changing it asks again who it is
    resource: Resource | None = None  # what a limit counts

    @property
    def variable(self) -> str:
        """The environment variable that pins it."""
        return f"ZENTRY_{self.key.upper()}"


_NAMES = {Resource.VMS: "Machines", Resource.VCPUS: "vCPU", Resource.MEMORY: "Memory", Resource.DISK: "Disk"}
_WHOSE = {
    Scope.USER: ("of one owner", "The most that all projects of one owner may have together"),
    Scope.PROJECT: ("of one project", "The most that one project may have"),
}


def quota_key(scope: Scope, resource: Resource) -> SettingKey:
    """The setting that says what quota holds for whom no admin has set another."""
    return SettingKey(f"quota_{scope}_{resource}")


def _quota(scope: Scope, resource: Resource, default: SettingValue) -> Definition:
    whose, most = _WHOSE[scope]
    unit = " With its unit, such as 64 GiB." if resource == Resource.MEMORY else ""
    text = f"{most}, where no admin has set another quota; “none”: no limit.{unit} What there is already stays."
    title = f"{_NAMES[resource]} {whose}"
    return Definition(quota_key(scope, resource), SettingKind.LIMIT, title, text, default, resource=resource)


_ALL = (
    Definition(
        SettingKey.STARTING_CREDITS, SettingKind.CREDITS, "Starting credits",
        "What a new account begins with. 0 for nothing. Accounts there are keep what they got.",
        5 * MICRO, 0, _MOST_MICRO, is_money=True,
    ),
    Definition(
        SettingKey.APPROVAL_CREDITS, SettingKind.CREDITS, "Second admin from",
        "An admin who moves more than this by hand for one person within 24 hours needs a second one. Whoever raises "
        "it is held to the old amount for 24 hours; the other admins are told.",
        1000 * MICRO, 0, _MOST_MICRO, is_money=True,
    ),
    Definition(
        SettingKey.GRACE_DAYS, SettingKind.NUMBER, "Days of grace",
        "How long the disk of a machine that credits stopped is kept without a charge. Disks that wait already keep "
        "their day.",
        14, 1, 365,
    ),
    Definition(
        SettingKey.BIN_DAYS, SettingKind.NUMBER, "Days in the recycle bin",
        "How long a deleted machine can be restored; 0: deleted at once. Machines that are in it keep their day.",
        7, 0, 365,
    ),
    Definition(
        SettingKey.MAX_PROJECTS, SettingKind.NUMBER, "Projects of one account",
        "How many projects one account may own. Accounts with more keep them.",
        MAX_PROJECTS, 1, 1000,
    ),
    Definition(
        SettingKey.SIGNUP, SettingKind.CHOICE, "Who may sign up",
        "By invitation: only who comes by the link of an invitation to a project. Accounts there are can log in.",
        Signup.OPEN.value,
        choices=(
            (Signup.OPEN.value, "Everybody"), (Signup.INVITED.value, "By invitation"), (Signup.CLOSED.value, "Nobody")
        ),
    ),
    Definition(
        SettingKey.SIGNUP_DOMAINS, SettingKind.DOMAINS, "E-mail domains",
        "Who may sign up by the domain of the address, one per line. example.com means exactly that, .example.com all "
        "below it. Left empty, every address may.",
        (),
    ),
    Definition(
        SettingKey.LOGIN_TRIES, SettingKind.NUMBER, "Wrong log-ins",
        "So many in 15 minutes on one account from one address, then it has to wait, and longer the longer it goes on. "
        "Others are not held up by it.",
        10, 3, 100,
    ),
    Definition(
        SettingKey.SIGNUPS_PER_HOUR, SettingKind.NUMBER, "Sign-ups per hour",
        "From one network address. A school or company behind one address may need more.",
        100, 1, 10_000,
    ),
    Definition(
        SettingKey.INVITATIONS_PER_HOUR, SettingKind.NUMBER, "Invitations per hour",
        "How many one person may send.",
        30, 1, 1000,
    ),
    _quota(Scope.USER, Resource.VMS, 100),
    _quota(Scope.USER, Resource.VCPUS, 200),
    _quota(Scope.USER, Resource.MEMORY, 400 * 1024),
    _quota(Scope.USER, Resource.DISK, 4000),
    *(_quota(Scope.PROJECT, resource, NO_LIMIT) for resource in Resource),
)  # fmt: skip
DEFINITIONS: dict[SettingKey, Definition] = {each.key: each for each in _ALL}


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as admins see it."""

    definition: Definition
    value: SettingValue
    default: SettingValue
    is_pinned: bool  # set by the environment: nobody changes it here
    is_default: bool
    version: int = 0
    changed_by: str = ""
    changed_by_name: str = ""
    changed_at: datetime | None = None

    @property
    def key(self) -> SettingKey:
        return self.definition.key


def parse_setting(definition: Definition, value: object) -> SettingValue:
    """What was typed, if it may be. Raises ValueError with a sentence for the person."""
    if definition.kind == SettingKind.DOMAINS:
        return parse_domains(value)
    if definition.kind == SettingKind.CHOICE:
        if value not in [choice for choice, _ in definition.choices]:
            raise ValueError("Choose one of these.")
        return str(value)
    if definition.kind == SettingKind.LIMIT:
        return _parse_limit(definition, value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("Enter an amount." if definition.kind == SettingKind.CREDITS else "Enter a whole number.")
    if not definition.least <= value <= definition.most:
        least, most = show_setting(definition, definition.least), show_setting(definition, definition.most)
        raise ValueError(f"Enter {least} to {most}.")
    return value


def _parse_limit(definition: Definition, value: object) -> SettingValue:
    assert definition.resource is not None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST:
        return value
    limit = parse_amount(definition.resource, value)
    return NO_LIMIT if limit is None else limit


def show_setting(definition: Definition, value: SettingValue) -> str:
    """The value in words for a list."""
    if isinstance(value, tuple):
        return ", ".join(value) or "all"
    if definition.kind == SettingKind.CHOICE:
        return dict(definition.choices).get(str(value), str(value))
    if definition.kind == SettingKind.CREDITS and isinstance(value, int):
        return format_credits(value)
    if definition.resource is not None:
        return plainly(definition.resource, value) if isinstance(value, int) else "no limit"
    return f"{value:,}" if isinstance(value, int) else value


def parse_domains(value: object) -> tuple[str, ...]:
    """Domains out of a text (spaces, commas or lines between them) or a list, each once and in order."""
    words = value if isinstance(value, (tuple, list)) else re.split(r"[\s,;]+", str(value or "")[:_LONGEST_TEXT])
    found = sorted({_domain(str(word)) for word in words if str(word)})
    if len(found) > MOST_DOMAINS:
        raise ValueError(f"Name at most {MOST_DOMAINS} domains.")
    return tuple(found)


def allows_domain(domains: Iterable[str], email: str) -> bool:
    """Whether an address may sign up: its domain is one of them, or below one that begins with a dot; no domains
    allow all."""
    listed = tuple(domains)
    domain = _plain(email.rpartition("@")[2])
    return not listed or any(domain.endswith(each) if each.startswith(".") else domain == each for each in listed)


def _domain(word: str) -> str:
    text = _plain(word.removeprefix("@"))
    labels = text.removeprefix(".").split(".")
    # One label alone is only an end such as .org; an address of figures has no mail of this kind.
    too_short = (len(labels) == 1 and not text.startswith(".")) or labels[-1].isdigit()
    if too_short or len(text) > 253 or not all(len(label) <= 63 and _LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"“{word[:60]}” is no domain, such as example.com or .example.com.")
    return text


def _plain(domain: str) -> str:
    """One spelling: lower case, and letters instead of their ASCII form."""
    text = folded(domain).rstrip(".")
    try:
        return ".".join(part.encode().decode("idna") if part.startswith("xn--") else part for part in text.split("."))
    except UnicodeError:
        return text
