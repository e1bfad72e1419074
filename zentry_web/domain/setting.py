"""Settings that admins change in the interface: what each is, what it may be, how it is shown."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from zentry_web.domain import language
from zentry_web.domain.countries import COUNTRIES
from zentry_web.domain.language import _, lazy
from zentry_web.domain.money import MAX_AMOUNT, MICRO, format_credits
from zentry_web.domain.projects.project import MAX_PROJECTS
from zentry_web.domain.projects.quota import LARGEST, Resource, Scope, parse_amount, plainly
from zentry_web.domain.text import clean_line, clean_text, folded

SettingValue = int | str | tuple[str, ...]
NO_LIMIT = "none"
MOST_DOMAINS = 100
_LONGEST_TEXT = 30_000
ONE_LINE = 200  # characters: longer texts have lines
_SHOWN = 500  # of a text, in lists
MOST_WEIGHED = 10**18  # micro-credits: more weighs no more, and is inside 64 bits
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
    QUOTA_USER_STORED_GIB = "quota_user_stored_gib"
    QUOTA_PROJECT_VMS = "quota_project_vms"
    QUOTA_PROJECT_VCPUS = "quota_project_vcpus"
    QUOTA_PROJECT_MEMORY_MIB = "quota_project_memory_mib"
    QUOTA_PROJECT_DISK_GIB = "quota_project_disk_gib"
    QUOTA_PROJECT_STORED_GIB = "quota_project_stored_gib"
    IMAGE_HOSTS = "image_hosts"
    TERMS = "terms"
    CONTACT = "contact"
    DOCS = "docs"
    SELLER_NAME = "seller_name"
    SELLER_ADDRESS = "seller_address"
    SELLER_COUNTRY = "seller_country"
    SELLER_VAT_NUMBER = "seller_vat_number"


class SettingKind(StrEnum):
    CREDITS = "credits"  # int micro-credits
    NUMBER = "number"
    LIMIT = "limit"  # a number, or NO_LIMIT
    CHOICE = "choice"
    DOMAINS = "domains"
    TEXT = "text"  # a line; of more than 200 characters some lines


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
    is_money: bool = False  # changing it asks again who it is, and may need a second admin
    resource: Resource | None = None  # what a limit counts

    @property
    def variable(self) -> str:
        """The environment variable that pins it."""
        return f"ZENTRY_{self.key.upper()}"


_QUOTA_TITLES = {
    (Scope.USER, Resource.VMS): language.lazy("Machines of one owner"),
    (Scope.USER, Resource.VCPUS): language.lazy("vCPU of one owner"),
    (Scope.USER, Resource.MEMORY): language.lazy("Memory of one owner"),
    (Scope.USER, Resource.DISK): language.lazy("Disk of one owner"),
    (Scope.USER, Resource.STORED): language.lazy("Snapshots, images and backups of one owner, in GiB"),
    (Scope.PROJECT, Resource.STORED): language.lazy("Snapshots, images and backups of one project, in GiB"),
    (Scope.PROJECT, Resource.VMS): language.lazy("Machines of one project"),
    (Scope.PROJECT, Resource.VCPUS): language.lazy("vCPU of one project"),
    (Scope.PROJECT, Resource.MEMORY): language.lazy("Memory of one project"),
    (Scope.PROJECT, Resource.DISK): language.lazy("Disk of one project"),
}
_QUOTA_HELPS = {  # by whose, and whether it is typed with a unit
    (Scope.USER, False): language.lazy(
        "The most that all projects of one owner may have together, where no admin has set another quota; “none”: no "
        "limit. What there is already stays."
    ),
    (Scope.USER, True): language.lazy(
        "The most that all projects of one owner may have together, where no admin has set another quota; “none”: no "
        "limit. With its unit, such as 64 GiB. What there is already stays."
    ),
    (Scope.PROJECT, False): language.lazy(
        "The most that one project may have, where no admin has set another quota; “none”: no limit. What there is "
        "already stays."
    ),
    (Scope.PROJECT, True): language.lazy(
        "The most that one project may have, where no admin has set another quota; “none”: no limit. With its unit, "
        "such as 64 GiB. What there is already stays."
    ),
}


def quota_key(scope: Scope, resource: Resource) -> SettingKey:
    """The setting that says what quota holds for whom no admin has set another."""
    return SettingKey(f"quota_{scope}_{resource}")


def _quota(scope: Scope, resource: Resource, default: SettingValue) -> Definition:
    title, text = _QUOTA_TITLES[scope, resource], _QUOTA_HELPS[scope, resource == Resource.MEMORY]
    return Definition(quota_key(scope, resource), SettingKind.LIMIT, title, text, default, resource=resource)


_ALL = (
    Definition(
        SettingKey.STARTING_CREDITS, SettingKind.CREDITS, language.lazy("Starting credits"),
        language.lazy(
            "What a new account begins with. 0 for nothing. Accounts there are keep what they got. More of it needs "
            "a second admin when a day's sign-ups from one network address could come to more than an admin may move "
            "alone."
        ),
        5 * MICRO, 0, MAX_AMOUNT, is_money=True,
    ),
    Definition(
        SettingKey.APPROVAL_CREDITS, SettingKind.CREDITS, language.lazy("Second admin from"),
        language.lazy(
            "An admin needs a second one to give more than this within 24 hours (grants, refunds and vouchers "
            "together, vouchers by all that they can come to), or to take, or to pay back more than this, each "
            "counted by itself. Raising it needs a second admin, too, and the lowest amount of the last 24 hours "
            "holds for all."
        ),
        1000 * MICRO, 0, MAX_AMOUNT, is_money=True,
    ),
    Definition(
        SettingKey.GRACE_DAYS, SettingKind.NUMBER, language.lazy("Days of grace"),
        language.lazy(
            "How long the disk of a machine that credits stopped is kept without a charge. Disks that wait already "
            "keep their day."
        ),
        14, 1, 365,
    ),
    Definition(
        SettingKey.BIN_DAYS, SettingKind.NUMBER, language.lazy("Days in the recycle bin"),
        language.lazy(
            "How long a deleted machine can be restored; 0: deleted at once. Machines that are in it keep their day."
        ),
        7, 0, 365,
    ),
    Definition(
        SettingKey.MAX_PROJECTS, SettingKind.NUMBER, language.lazy("Projects of one account"),
        language.lazy("How many projects one account may own. Accounts with more keep them."),
        MAX_PROJECTS, 1, 1000,
    ),
    Definition(
        SettingKey.SIGNUP, SettingKind.CHOICE, language.lazy("Who may sign up"),
        language.lazy(
            "By invitation: only who comes by the link of an invitation to a project. Accounts there are can log in."
        ),
        Signup.OPEN.value,
        choices=(
            (Signup.OPEN.value, language.lazy("Everybody")),
            (Signup.INVITED.value, language.lazy("By invitation")),
            (Signup.CLOSED.value, language.lazy("Nobody")),
        ),
    ),
    Definition(
        SettingKey.SIGNUP_DOMAINS, SettingKind.DOMAINS, language.lazy("E-mail domains"),
        language.lazy(
            "Who may sign up by the domain of the address, one per line. example.com means exactly that, "
            ".example.com all below it. Left empty, every address may."
        ),
        (),
    ),
    Definition(
        SettingKey.IMAGE_HOSTS, SettingKind.DOMAINS, language.lazy("Hosts of images"),
        language.lazy(
            "Where images may be fetched from by https, one per line. example.com means exactly that, .example.com all "
            "below it; servers that lead on to others need those named, too. Left empty, none is fetched."
        ),
        (".debian.org", "cloud-images.ubuntu.com", "cloud.debian.org"),
    ),
    Definition(
        SettingKey.LOGIN_TRIES, SettingKind.NUMBER, language.lazy("Wrong log-ins"),
        language.lazy(
            "So many in 15 minutes on one account from one address, then it has to wait, and longer the longer it "
            "goes on. Others are not held up by it."
        ),
        10, 3, 100,
    ),
    Definition(
        SettingKey.SIGNUPS_PER_HOUR, SettingKind.NUMBER, language.lazy("Sign-ups per hour"),
        language.lazy(
            "From one network address. A school or company behind one address may need more. Like starting credits, "
            "more of it may need a second admin."
        ),
        100, 1, 10_000, is_money=True,
    ),
    Definition(
        SettingKey.INVITATIONS_PER_HOUR, SettingKind.NUMBER, language.lazy("Invitations per hour"),
        language.lazy("How many one person may send."),
        30, 1, 1000,
    ),
    _quota(Scope.USER, Resource.VMS, 100),
    _quota(Scope.USER, Resource.VCPUS, 200),
    _quota(Scope.USER, Resource.MEMORY, 400 * 1024),
    _quota(Scope.USER, Resource.DISK, 4000),
    _quota(Scope.USER, Resource.STORED, 4000),
    *(_quota(Scope.PROJECT, resource, NO_LIMIT) for resource in Resource),
    Definition(
        SettingKey.TERMS, SettingKind.TEXT, language.lazy("Terms"),
        language.lazy(
            "Your terms of use, as plain text: a page for everybody, linked at the foot of public pages and where "
            "people sign up. Left empty, there is no such page."
        ), "", most=20_000,
    ),
    Definition(
        SettingKey.CONTACT, SettingKind.TEXT, language.lazy("Contact"),
        language.lazy(
            "Who runs this Zentry and how to reach them, as plain text: a page for everybody. Left empty, there is "
            "none."
        ),
        "", most=2000,
    ),
    Definition(
        SettingKey.DOCS, SettingKind.TEXT, language.lazy("Documentation"),
        language.lazy(
            "The address of your documentation, such as https://docs.example.com. Left empty, there is no link."
        ),
        "", most=200,
    ),
    Definition(
        SettingKey.SELLER_NAME, SettingKind.TEXT, language.lazy("Seller"),
        language.lazy("Who sells credits here, as receipts and statements name them."), "", most=120,
    ),
    Definition(
        SettingKey.SELLER_ADDRESS, SettingKind.TEXT, language.lazy("Seller's address"),
        language.lazy("As it stands on receipts, line by line, without the country."), "", most=500,
    ),
    Definition(
        SettingKey.SELLER_COUNTRY, SettingKind.TEXT, language.lazy("Seller's country"),
        language.lazy(
            "Its two letters, such as DE. Buyers who have not said where they are count as buyers there."
        ), "", most=2,
    ),
    Definition(
        SettingKey.SELLER_VAT_NUMBER, SettingKind.TEXT, language.lazy("Seller's VAT number"),
        language.lazy("As it stands on receipts."), "", most=24,
    ),
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


def comes_to(key: SettingKey, value: int, others: Mapping[SettingKey, int]) -> int:
    """The most micro-credits that can be given away within a day because a setting about money has this value.

    The limit: as much as one admin may move alone. What sign-ups bring: what one network address can get.
    """
    if key == SettingKey.APPROVAL_CREDITS:
        return value
    values = {**others, key: value}
    return min(values[SettingKey.STARTING_CREDITS] * values[SettingKey.SIGNUPS_PER_HOUR] * 24, MOST_WEIGHED)


def parse_setting(definition: Definition, value: object) -> SettingValue:
    """What was typed, if it may be. Raises ValueError with a sentence for the person."""
    if definition.kind == SettingKind.DOMAINS:
        return parse_domains(value)
    if definition.kind == SettingKind.CHOICE:
        if value not in [choice for choice, _ in definition.choices]:
            raise ValueError(_("Choose one of these."))
        return str(value)
    if definition.kind == SettingKind.LIMIT:
        return _parse_limit(definition, value)
    if definition.kind == SettingKind.TEXT:
        return _parse_text(definition, value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(
            _("Enter an amount.") if definition.kind == SettingKind.CREDITS else _("Enter a whole number.")
        )
    if not definition.least <= value <= definition.most:
        least, most = show_setting(definition, definition.least), show_setting(definition, definition.most)
        raise ValueError(_("Enter %(least)s to %(most)s.", least=least, most=most))
    return value


def _parse_text(definition: Definition, value: object) -> str:
    clean = clean_text if definition.most > ONE_LINE else clean_line
    text = clean(value, longest=definition.most)
    if definition.key == SettingKey.DOCS and text and not re.fullmatch(r"https?://[^\s/]+\S*", text):
        raise ValueError(_("Enter an address that begins with https://."))
    if definition.key == SettingKey.SELLER_COUNTRY:
        text = text.upper()
        if text and text not in COUNTRIES:
            raise ValueError(_("Enter the two letters of a country, such as DE."))
    return text


def _parse_limit(definition: Definition, value: object) -> SettingValue:
    assert definition.resource is not None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST:
        return value
    limit = parse_amount(definition.resource, value)
    return NO_LIMIT if limit is None else limit


def show_setting(definition: Definition, value: SettingValue) -> str:
    """The value in words for a list."""
    if isinstance(value, tuple):
        return ", ".join(value) or language.gettext("all")
    if definition.kind == SettingKind.TEXT:
        line = str(value)
        return (line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…") or lazy("empty")
    if definition.kind == SettingKind.CHOICE:
        return dict(definition.choices).get(str(value), str(value))
    if definition.kind == SettingKind.CREDITS and isinstance(value, int):
        return format_credits(value)
    if definition.resource is not None:
        return plainly(definition.resource, value) if isinstance(value, int) else lazy("no limit")
    return f"{value:,}" if isinstance(value, int) else value


def parse_domains(value: object) -> tuple[str, ...]:
    """Domains out of a text (spaces, commas or lines between them) or a list, each once and in order."""
    words = value if isinstance(value, (tuple, list)) else re.split(r"[\s,;]+", str(value or "")[:_LONGEST_TEXT])
    found = sorted({_domain(str(word)) for word in words if str(word)})
    if len(found) > MOST_DOMAINS:
        raise ValueError(_("Name at most %(most)s domains.", most=MOST_DOMAINS))
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
        raise ValueError(_("“%(word)s” is no domain, such as example.com or .example.com.", word=word[:60]))
    return text


def _plain(domain: str) -> str:
    """One spelling: lower case, and letters instead of their ASCII form."""
    text = folded(domain).rstrip(".")
    try:
        return ".".join(part.encode().decode("idna") if part.startswith("xn--") else part for part in text.split("."))
    except UnicodeError:
        return text
