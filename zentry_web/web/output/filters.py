"""Jinja filters: credits, times, durations and sizes as people read them. ``init_filters(app)`` registers them.

``credits`` takes micro-credits; ``memory`` MiB; ``moment``, ``ago`` and ``iso`` aware datetimes; ``duration`` seconds;
``html_attrs`` a macro's keyword arguments.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask, has_request_context
from markupsafe import Markup, escape

from zentry_web.domain.credits.billing import TransferKind
from zentry_web.domain.credits.books import MoveKind
from zentry_web.domain.language import _, lazy
from zentry_web.domain.money import SECONDS_PER_HOUR, per_month, rounded
from zentry_web.domain.projects.project import ProjectColour, ProjectRole
from zentry_web.domain.projects.quota import Resource, in_words, plainly
from zentry_web.domain.projects.team import ROLE_NAMES, ROLE_TITLES
from zentry_web.domain.stored_texts import said
from zentry_web.domain.vms.kinds import STEP_WORDS, title_of
from zentry_web.domain.vms.obstacles import obstacles
from zentry_web.domain.vms.plan import write_facts
from zentry_web.domain.vms.state import state_words
from zentry_web.domain.vms.truths import SEEN_WORDS
from zentry_web.domain.zones import zone_of
from zentry_web.web.output.images import IMAGE_FILTERS
from zentry_web.web.output.regions import credits_text, memory, minor_text, number, viewer_region
from zentry_web.web.output.targets import path_of
from zentry_web.web.session.actor import known_user

CAPACITY = {
    "vcpus": lazy("Processors"),
    "memory_mib": lazy("Memory"),
    "memory_free_mib": lazy("Memory free"),
    "disk_gib": lazy("Disk"),
    "disk_free_gib": lazy("Disk free"),
}
RESOURCES = {
    Resource.VMS: lazy("Machines"),
    Resource.VCPUS: lazy("vCPU"),
    Resource.MEMORY: lazy("Memory"),
    Resource.DISK: lazy("Disk"),
    Resource.STORED: lazy("Stored"),
}
UTC_ZONE = zone_of("UTC")
_LAST_OF_PLANES = "".join(f"{chr(0xFFFE + plane)}{chr(0xFFFF + plane)}" for plane in range(0, 0x110000, 0x10000))
_NOT_IN_HTML = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef{_LAST_OF_PLANES}]")
TRANSFERS = {
    TransferKind.GRANT: lazy("Credits added"),
    TransferKind.DEDUCTION: lazy("Credits deducted"),
    TransferKind.HOLD: lazy("Set aside"),
    TransferKind.RELEASE: lazy("Given back"),
    TransferKind.USAGE: lazy("Usage"),
    TransferKind.VOUCHER: lazy("Voucher"),
    TransferKind.REFUND: lazy("Refund"),
    TransferKind.PAYMENT: lazy("Payment"),
    TransferKind.PROMOTION: lazy("Promotional credit"),
    TransferKind.EXPIRY: lazy("Promotional credit expired"),
    TransferKind.PAYMENT_REFUND: lazy("Payment refunded"),
    TransferKind.DISPUTE: lazy("Payment disputed"),
}

COLOURS = {
    ProjectColour.BLUE: lazy("Blue"),
    ProjectColour.TEAL: lazy("Teal"),
    ProjectColour.GREEN: lazy("Green"),
    ProjectColour.AMBER: lazy("Amber"),
    ProjectColour.RED: lazy("Red"),
    ProjectColour.PINK: lazy("Pink"),
    ProjectColour.VIOLET: lazy("Violet"),
    ProjectColour.GRAY: lazy("Gray"),
}

MOVES = {
    MoveKind.GRANT: lazy("Credits added"),
    MoveKind.PROMOTION: lazy("Promotional credit"),
    MoveKind.DEDUCTION: lazy("Credits deducted"),
    MoveKind.REFUND: lazy("Refund"),
    MoveKind.PAYMENT: lazy("Payment refunded"),
    MoveKind.VOUCHERS: lazy("Vouchers"),
    MoveKind.SETTING: lazy("Setting"),
}

# Names that stand for themselves in English (states, outcomes, kinds, colours), as ``words`` says them.
NAMES: dict[str, str] = {
    each: each
    for each in (
        lazy("Creating"), lazy("Starting"), lazy("Running"), lazy("Rebooting"), lazy("Paused"), lazy("Sleeping"),
        lazy("Suspending"), lazy("Resuming"), lazy("Resizing"), lazy("Copying"), lazy("Rebuilding"),
        lazy("Rescuing"),
        lazy("Stopping"), lazy("Stopped"), lazy("Deleting"),
        lazy("Binned"),
        lazy("Deleted"), lazy("Error"), lazy("Accepted"), lazy("Succeeded"), lazy("Failed"), lazy("Refused"),
        lazy("Done"), lazy("Current"), lazy("Waiting"), lazy("Queued"), lazy("Cancelled"), lazy("Create"),
        lazy("Start"), lazy("Stop"), lazy("Force off"), lazy("Reboot"), lazy("Resume"), lazy("Resize"), lazy("Bin"),
        lazy("Reset"), lazy("Suspend"), lazy("Rebuild"), lazy("Bring back"), lazy("Rescue"), lazy("Unrescue"),
        lazy("Recover"), lazy("Recovering"),
        lazy("Delete"), lazy("Snapshot"), lazy("Reverting"), lazy("Revert"), lazy("Discard"), lazy("Image"),
        lazy("Backup"), lazy("Draft"), lazy("Announced"), lazy("In force"), lazy("Withdrawn"), lazy("Owner"),
        lazy("Admin"), lazy("Member"), lazy("Restricted"), lazy("Viewer"), lazy("User"), lazy("Snapshot"),
        lazy("Image"), lazy("Backup"), lazy("Blue"),
        lazy("Green"), lazy("Red"), lazy("Amber"), lazy("Violet"), lazy("Pink"), lazy("Teal"), lazy("Gray"),
        lazy("Info"), lazy("Warning"), lazy("Critical"), lazy("Planned"), lazy("Shown"), lazy("Over"),
        lazy("Wallet"), lazy("Held"), lazy("Grants"), lazy("Payments"), lazy("Revenue"), lazy("Write off"),
        lazy("Promotions"), lazy("Promo used"), lazy("Expired"), lazy("Approved"),
        lazy("Revoked"), lazy("Declined"), lazy("Replaced"),
    )
} | {"Unrevert": lazy("Undo the revert"), "Password": lazy("New password")}  # fmt: skip

FAR_AWAY = timedelta(days=5 * 365)
UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def viewer_zone() -> ZoneInfo:
    """The time zone of the account that looks; UTC for visitors."""
    user = known_user() if has_request_context() else None
    return zone_of(user.time_zone) if user else UTC_ZONE


def moment(at: datetime) -> str:
    """``23 Nov 2026, 14:05 UTC``, in the viewer's zone and as their region writes it."""
    local = at.astimezone(viewer_zone())
    return f"{viewer_region().moment(local)} {local:%Z}"


def near(at: datetime, now: datetime) -> str:
    """``today 21:27``, ``tomorrow 09:00``, ``Thursday 14:05`` in the week from ``now`` on; later as ``moment`` says."""
    local, today = at.astimezone(viewer_zone()), now.astimezone(viewer_zone()).date()
    days = (local.date() - today).days
    if not 0 <= days < 7:
        return moment(at)
    time = viewer_region().time(local)
    if days < 2:
        return _("tomorrow %(time)s", time=time) if days else _("today %(time)s", time=time)
    return f"{viewer_region().weekday(local)} {time}"


def ending(at: datetime, now: datetime | None = None) -> str:
    """When credits end: to the minute in the week before, as the landing plan has it; before that the day."""
    now = now or datetime.now(UTC)
    if at - now <= timedelta(days=7):
        return near(at, now)
    return _("about %(day)s", day=viewer_region().day(at.astimezone(viewer_zone())))


def runway(end: datetime | None, now: datetime, burn_micro_per_hour: int, *, inside: bool = False) -> str:
    """How long credits last: ``14 d 10 h``, ``Over 5 years``, or ``For ever`` when nothing uses them; ``inside`` a
    sentence in small letters."""
    if burn_micro_per_hour <= 0:
        return _("for ever") if inside else _("For ever")
    if end and end - now <= FAR_AWAY:
        return duration((end - now).total_seconds())
    return _("over 5 years") if inside else _("Over 5 years")


def rate(micro_per_hour: int) -> str:
    """A price per hour for a column of them: four decimals, and all six where it needs them."""
    return credits_text(micro_per_hour, decimals=6 if micro_per_hour % 100 else 4)


def lasting(micro: int, burn_micro_per_hour: int) -> str:
    """How long so many credits last at a burn rate, roughly: ``6 days``, ``4 months``; '' when nothing uses credits."""
    if burn_micro_per_hour <= 0:
        return ""
    seconds = micro * SECONDS_PER_HOUR // burn_micro_per_hour
    if seconds > FAR_AWAY.total_seconds():
        return _("over 5 years")
    units = (
        (lazy("%(count)s months"), 30 * 86400),
        (lazy("%(count)s days"), 86400),
        (lazy("%(count)s hours"), 3600),
        (lazy("%(count)s minutes"), 60),
    )
    found = ((text, seconds // size) for text, size in units if seconds >= 2 * size)
    text, count = next(found, (lazy("a minute"), 1))
    return text % {"count": count}


def day(day: date | str) -> str:
    """A day, or one written ``2026-11-23``, as the viewer's region writes it."""
    found = date.fromisoformat(day) if isinstance(day, str) else day
    return viewer_region().day(datetime(found.year, found.month, found.day, tzinfo=UTC))


def second(at: datetime, zone: str | None = None) -> str:
    """``2026-11-23 14:05:07 UTC``, in the viewer's zone or the one given: where the second matters."""
    return f"{at.astimezone(zone_of(zone) if zone else viewer_zone()):%Y-%m-%d %H:%M:%S %Z}"


def clock_time(epoch: int) -> str:
    """Epoch seconds as ``14:05:07`` in the viewer's zone."""
    return f"{datetime.fromtimestamp(epoch, viewer_zone()):%H:%M:%S}"


def zone_name(at: datetime) -> str:
    """``CET``: what the viewer's zone is called at that moment."""
    return f"{at.astimezone(viewer_zone()):%Z}"


def sparkline(values: Sequence[float], width: int, height: int) -> str:
    """The ``points`` of a polyline through percentages (0 to 100)."""
    step = width / max(1, len(values) - 1)
    rest = height - 2
    return " ".join(f"{i * step:.1f},{1 + rest - min(100, max(0, v)) / 100 * rest:.1f}" for i, v in enumerate(values))


def percent_of(values: Sequence[float], whole: float) -> list[float]:
    """Each value as a percentage of ``whole``."""
    return [value / whole * 100 for value in values]


def capacity(figures: dict[str, int]) -> list[tuple[str, str]]:
    """What the hypervisor has, as (label, text); figures nobody gave a label keep their name."""
    return [(CAPACITY.get(name, words(name)), _amount_of(name, value)) for name, value in figures.items()]


def _amount_of(name: str, value: int) -> str:
    if name.endswith("_mib"):
        return memory(value)
    return number(f"{value:,} GiB" if name.endswith("_gib") else f"{value:,}")


def transaction_kind(kind: TransferKind) -> str:
    """A movement of credits in words."""
    return TRANSFERS[kind]


def iso(at: datetime) -> str:
    """``2026-11-23T14:05:07Z``, for ``<time datetime>`` and scripts."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def duration(seconds: float, parts: int = 2) -> str:
    """The largest ``parts`` units: ``3 d 4 h``, ``12 min 5 s``, ``0 s``."""
    left, found = max(0, int(seconds)), list[tuple[int, str]]()
    for name, size in UNITS:
        if left >= size or (found and len(found) < parts):
            found.append((left // size, name))
            left %= size
    shown = [f"{count} {name}" for count, name in found[:parts] if count]
    return " ".join(shown) or "0 s"


def ago(at: datetime, now: datetime | None = None) -> str:
    """``just now``, ``5 min ago``, ``in 3 d 4 h``. app.js keeps it moving with the same words."""
    seconds = ((now or datetime.now(UTC)) - at).total_seconds()
    if abs(seconds) < 10:
        return _("just now")
    if seconds < 0:
        return _("in %(time)s", time=duration(-seconds))
    return _("%(time)s ago", time=duration(seconds, 1))


def seconds_since(at: datetime) -> int:
    """Whole seconds from then to now; 0 for what is to come."""
    return max(0, int((datetime.now(UTC) - at).total_seconds()))


def until(at: datetime) -> str:
    """How long it is till then: ``4 d 3 h``."""
    return duration((at - datetime.now(UTC)).total_seconds())


def colour_name(colour: str) -> str:
    """A project's colour in words."""
    return COLOURS[ProjectColour(colour)]


def words(name: str) -> str:
    """``force_off`` and ``vm.force_off`` as ``Force off`` and ``Vm force off``: for names without a better text."""
    text = str(name).replace("_", " ").replace(".", " ").strip().capitalize()
    return str(NAMES.get(text, text))


def html_attrs(pairs: Mapping[str, Any]) -> Markup:
    """Keyword arguments as HTML attributes: dashes for underscores, True as a bare name, None and False left out."""
    shown = ((key.replace("_", "-"), value) for key, value in pairs.items() if value is not None and value is not False)
    parts = [f" {escape(key)}" if value is True else f' {escape(key)}="{escape(value)}"' for key, value in shown]
    return Markup("".join(parts))  # noqa: S704 (each part is escaped just above)


FILTERS: dict[str, Callable[..., Any]] = {
    "credits": credits_text,
    "minor": minor_text,
    "moment": moment,
    "near": near,
    "ending": ending,
    "rounded": rounded,
    "runway": runway,
    "lasting": lasting,
    "rate": rate,
    "day": day,
    "second": second,
    "iso": iso,
    "duration": duration,
    "ago": ago,
    "memory": memory,
    "words": words,
    "html_attrs": html_attrs,
    "until": until,
    "seconds_since": seconds_since,
    "capacity": capacity,
    "clock_time": clock_time,
    "zone_name": zone_name,
    "percent_of": percent_of,
    "sparkline": sparkline,
    "transaction_kind": transaction_kind,
    "colour_name": colour_name,
    "role_name": lambda role: ROLE_NAMES[ProjectRole(role)],
    "role_title": lambda role: ROLE_TITLES[ProjectRole(role)],
    "path_of": path_of,
    "move_kind": lambda kind: MOVES[kind],
    "number": number,
    "said": said,
    "state_words": state_words,
    "seen_words": lambda seen: SEEN_WORDS[seen],
    "facts_field": write_facts,
    "obstacles": obstacles,
    "per_month": per_month,
    "operation_title": title_of,
    "step_words": lambda step: STEP_WORDS.get(step, (words(step), "")),
    "thousands": lambda count: number(f"{count:,}"),
    "resource": lambda resource: RESOURCES[resource],
    "amount_of": lambda amount, resource: number(plainly(resource, amount)),
    "in_words": lambda amount, resource: number(in_words(resource, amount)),
}


def showable(value: Any) -> Any:
    """What a page may hold: of text, signs that HTML knows nothing of (NUL, ESC …) become U+FFFD.

    Nothing stored has any; what was just typed and refused, or stands in the address, may.
    """
    # isprintable: nearly all of it, told at once.
    if isinstance(value, str) and not (value.isprintable() or isinstance(value, Markup)) and _NOT_IN_HTML.search(value):
        return _NOT_IN_HTML.sub("\ufffd", value)
    return value


def init_filters(app: Flask) -> None:
    """Register every filter of this module under its name, and let no page hold what HTML cannot."""
    app.jinja_env.finalize = showable
    app.jinja_env.filters.update(FILTERS | IMAGE_FILTERS)
