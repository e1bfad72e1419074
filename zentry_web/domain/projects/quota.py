"""Quotas: how much of the host a project, or all projects of one owner, may take up. Pure rules."""

import re
from dataclasses import dataclass
from enum import StrEnum

from zentry_web.domain.language import _, ngettext
from zentry_web.domain.money import divide_half_even

LARGEST = 10**9
_MEMORY = re.compile(r"([0-9]{1,9}) ?(MiB|GiB|M|G)", re.IGNORECASE)


class Resource(StrEnum):
    """What is counted. The values are the names of the fields below."""

    VMS = "vms"
    VCPUS = "vcpus"
    MEMORY = "memory_mib"
    DISK = "disk_gib"
    STORED = "stored_gib"


class Scope(StrEnum):
    """Whose quota it is."""

    PROJECT = "project"
    USER = "user"  # what all projects that the person owns add up to


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much of each is taken up, or wanted."""

    vms: int = 0
    vcpus: int = 0
    memory_mib: int = 0
    disk_gib: int = 0
    stored_gib: int = 0  # snapshots, images made of machines, backups

    def of(self, resource: Resource) -> int:
        return int(getattr(self, resource))

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(*(self.of(each) + other.of(each) for each in Resource))

    def times(self, count: int) -> "Amounts":
        return Amounts(*(self.of(each) * count for each in Resource))

    def beyond(self, other: "Amounts") -> "Amounts":
        """What this has more than ``other``; nothing where it has less."""
        return Amounts(*(max(0, self.of(each) - other.of(each)) for each in Resource))


@dataclass(frozen=True, slots=True)
class Limits:
    """The most of each; None: no limit."""

    vms: int | None = None
    vcpus: int | None = None
    memory_mib: int | None = None
    disk_gib: int | None = None
    stored_gib: int | None = None

    def of(self, resource: Resource) -> int | None:
        limit: int | None = getattr(self, resource)
        return limit


Overrides = dict[Resource, int | None]  # what an admin has set; a resource that is not in it has the default


@dataclass(frozen=True, slots=True)
class QuotaDefaults:
    """The quotas of whom no admin has set others for."""

    user: Limits
    project: Limits

    def of(self, scope: Scope) -> Limits:
        return self.user if scope == Scope.USER else self.project


@dataclass(frozen=True, slots=True)
class Gauge:
    """One limit and what is taken up of it, which may be more: limits can be lowered."""

    resource: Resource
    limit: int
    used: int

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Quota:
    """The limits of one project or account, and how they stand. What has no limit has no gauge."""

    scope: Scope
    gauges: tuple[Gauge, ...]

    def refusing(self, more: Amounts) -> Gauge | None:
        """The first limit that would be passed by ``more``; what grows by nothing is never refused."""
        return next((each for each in self.gauges if 0 < more.of(each.resource) > each.limit - each.used), None)


@dataclass(frozen=True, slots=True)
class Room:
    """What may still be begun in a project: of each limited resource what is left in the tighter of its quotas."""

    left: tuple[tuple[Resource, int], ...]
    problem: str = ""  # why what is asked for does not fit


@dataclass(frozen=True, slots=True)
class QuotaHolder:
    """A project or account whose quota an admin looks at."""

    id: str
    scope: Scope
    name: str
    defaults: Limits
    overrides: Overrides
    used: Amounts


def with_overrides(defaults: Limits, overrides: Overrides) -> Limits:
    """The limits in force."""
    return Limits(*(overrides.get(each, defaults.of(each)) for each in Resource))


def make_quota(scope: Scope, limits: Limits, used: Amounts) -> Quota:
    """How limits stand."""
    pairs = ((each, limits.of(each)) for each in Resource)
    return Quota(scope, tuple(Gauge(each, limit, used.of(each)) for each, limit in pairs if limit is not None))


def make_room(quotas: tuple[Quota, ...]) -> tuple[tuple[Resource, int], ...]:
    """Of each limited resource that machines take up, what is left in the tightest of these quotas."""
    left: dict[Resource, int] = {}
    for gauge in (gauge for quota in quotas for gauge in quota.gauges):
        left[gauge.resource] = min(gauge.left, left.get(gauge.resource, gauge.left))
    return tuple((each, left[each]) for each in Resource if each in left and each != Resource.STORED)


def in_words(resource: Resource, amount: int) -> str:
    """``3 machines``, ``4 vCPU``, ``16 GiB memory``, ``20 GiB disk``, ``8 GiB stored``."""
    if resource == Resource.VMS:
        return ngettext("%(num)s machine", "%(num)s machines", amount, num=f"{amount:,}")
    if resource == Resource.VCPUS:
        return f"{amount:,} vCPU"
    if resource == Resource.DISK:
        return _("%(disk)s GiB disk", disk=f"{amount:,}")
    if resource == Resource.STORED:
        return _("%(stored)s GiB stored", stored=f"{amount:,}")
    return _("%(memory)s memory", memory=format_memory(amount))


def plainly(resource: Resource, amount: int) -> str:
    """``3``, ``4``, ``16 GiB``, ``20 GiB``: where it is said elsewhere of what."""
    if resource == Resource.MEMORY:
        return format_memory(amount)
    return f"{amount:,} GiB" if resource in (Resource.DISK, Resource.STORED) else f"{amount:,}"


def format_memory(mib: int) -> str:
    """``512 MiB``, ``1.5 GiB``, ``16 GiB``: from a GiB on in GiB, with at most two decimals. So everywhere."""
    if mib < 1024:
        return f"{mib} MiB"
    whole, rest = divmod(divide_half_even(mib * 100, 1024), 100)
    return f"{whole:,}{f'.{rest:02}'.rstrip('0').rstrip('.')} GiB"


def refusal(scope: Scope, gauge: Gauge, wanted: int) -> str:
    """Why not, and the ways out."""
    resource = gauge.resource
    values = {
        "limit": in_words(resource, gauge.limit),
        "used": plainly(resource, gauge.used),
        "wanted": plainly(resource, wanted),
    }
    if scope == Scope.PROJECT:
        why = _("This project may have %(limit)s: %(used)s in use, and this needs %(wanted)s more.", **values)
    else:
        why = _(
            "All projects of its owner together may have %(limit)s: %(used)s in use, and this needs %(wanted)s more.",
            **values,
        )
    if resource == Resource.DISK:
        way = _("Delete a machine (disks in the recycle bin count), choose less, or ask an admin for a larger quota.")
    elif resource == Resource.STORED:
        way = _("Delete snapshots, images or backups, or ask an admin for a larger quota.")
    else:
        way = _("Delete a machine, choose less, or ask an admin for a larger quota.")
    return f"{why} {way}"


ParsedLimit = tuple[bool, int | None]


def parse_limit(resource: Resource, value: object) -> ParsedLimit:
    """(whether it is an override, the limit or None for no limit) from what an admin typed. Raises ValueError."""
    if not (isinstance(value, str) and value.strip()):
        return False, None
    return True, parse_amount(resource, value)


def parse_amount(resource: Resource, value: object) -> int | None:
    """A limit as an admin typed it; None for no limit. Raises ValueError with a sentence for them."""
    text = value.strip() if isinstance(value, str) else ""
    if text.lower() in ("none", "no limit", "unlimited"):
        return None
    if resource == Resource.MEMORY:
        found = 0 if text == "0" else parse_memory(text)
        if found is None:
            raise ValueError(_("Say how much with its unit, such as 64 GiB or 512 MiB; “none” for no limit."))
        number = found
    elif text.isascii() and text.isdigit() and len(text) < 12:
        number = int(text)
    else:
        raise ValueError(_("Enter a whole number, or “none” for no limit."))
    if number > LARGEST:
        raise ValueError(_("That is too much. Enter “none” for no limit."))
    return number


def parse_memory(value: object) -> int | None:
    """MiB from what was typed with its unit, such as ``64 GiB`` or ``512 M``; None when it is not written so."""
    found = _MEMORY.fullmatch(value.strip()) if isinstance(value, str) else None
    return int(found[1]) * (1024 if found[2][0] in "Gg" else 1) if found else None


def as_typed(resource: Resource, overrides: Overrides) -> str:
    """An override as its form field shows it."""
    if resource not in overrides:
        return ""
    limit = overrides[resource]
    if limit is None:
        return "none"
    if resource == Resource.MEMORY and limit:  # exactly, as it is read again
        return f"{limit // 1024} GiB" if limit % 1024 == 0 else f"{limit} MiB"
    return str(limit)
