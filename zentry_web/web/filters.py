"""Jinja filters: credits, times, durations and sizes as people read them. ``init_filters(app)`` registers them.

``credits`` takes micro-credits; ``memory`` MiB; ``moment``, ``ago`` and ``iso`` aware datetimes; ``duration`` seconds;
``html_attrs`` a macro's keyword arguments.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask, has_request_context
from markupsafe import Markup, escape

from zentry_web.domain.billing import TransferKind
from zentry_web.domain.quota import Resource, in_words, plainly
from zentry_web.domain.vm import Image
from zentry_web.web.actor import known_user
from zentry_web.web.regions import credits_text, minor_text, number, viewer_region

CAPACITY = {
    "vcpus": "Processors",
    "memory_mib": "Memory",
    "memory_free_mib": "Memory free",
    "disk_gib": "Disk",
    "disk_free_gib": "Disk free",
}
RESOURCES = {
    Resource.VMS: "Machines",
    Resource.VCPUS: "vCPU",
    Resource.MEMORY: "Memory",
    Resource.DISK: "Disk",
}
UTC_ZONE = ZoneInfo("UTC")
_LAST_OF_PLANES = "".join(f"{chr(0xFFFE + plane)}{chr(0xFFFF + plane)}" for plane in range(0, 0x110000, 0x10000))
_NOT_IN_HTML = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef{_LAST_OF_PLANES}]")
TRANSFERS = {
    TransferKind.GRANT: "Credits added",
    TransferKind.DEDUCTION: "Credits deducted",
    TransferKind.HOLD: "Set aside",
    TransferKind.RELEASE: "Given back",
    TransferKind.USAGE: "Usage",
    TransferKind.VOUCHER: "Voucher",
    TransferKind.REFUND: "Refund",
    TransferKind.PAYMENT: "Payment",
    TransferKind.PAYMENT_REFUND: "Payment refunded",
    TransferKind.DISPUTE: "Payment disputed",
}

UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def viewer_zone() -> ZoneInfo:
    """The time zone of the account that looks; UTC for visitors."""
    user = known_user() if has_request_context() else None
    return ZoneInfo(user.time_zone) if user else UTC_ZONE


def moment(at: datetime) -> str:
    """``23 Nov 2026, 14:05 UTC``, in the viewer's zone and as their region writes it."""
    local = at.astimezone(viewer_zone())
    return f"{viewer_region().moment(local)} {local:%Z}"


def second(at: datetime, zone: str | None = None) -> str:
    """``2026-11-23 14:05:07 UTC``, in the viewer's zone or the one given: where the second matters."""
    return f"{at.astimezone(ZoneInfo(zone) if zone else viewer_zone()):%Y-%m-%d %H:%M:%S %Z}"


def clock_time(epoch: int) -> str:
    """Epoch seconds as ``14:05:07`` in the viewer's zone."""
    return f"{datetime.fromtimestamp(epoch, viewer_zone()):%H:%M:%S}"


def sparkline(values: Sequence[float], width: int, height: int) -> str:
    """The ``points`` of a polyline through percentages (0 to 100)."""
    step = width / max(1, len(values) - 1)
    rest = height - 2
    return " ".join(f"{i * step:.1f},{1 + rest - min(100, max(0, v)) / 100 * rest:.1f}" for i, v in enumerate(values))


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


def image_options(images: Sequence[Image]) -> list[dict[str, str]]:
    """Images as the options of ui.radio_cards."""
    return [
        {"value": each.id, "title": each.name, "text": each.description, "note": _image_note(each)} for each in images
    ]


def _image_note(image: Image) -> str:
    note = f"from {memory(image.min_memory_mib)}"
    surcharge = image.surcharge_micro_per_hour
    return f"{note}, adds {credits_text(surcharge)} per hour" if surcharge else note


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
        return "just now"
    if seconds < 0:
        return f"in {duration(-seconds)}"
    return f"{duration(seconds, 1)} ago"


def seconds_since(at: datetime) -> int:
    """Whole seconds from then to now; 0 for what is to come."""
    return max(0, int((datetime.now(UTC) - at).total_seconds()))


def until(at: datetime) -> str:
    """How long it is till then: ``4 d 3 h``."""
    return duration((at - datetime.now(UTC)).total_seconds())


def memory(mib: int) -> str:
    """``512 MiB``, ``2 GiB``, ``1.5 GiB``."""
    if mib < 1024:
        return f"{mib} MiB"
    return f"{mib // 1024} GiB" if mib % 1024 == 0 else number(f"{mib / 1024:.1f} GiB")


def words(name: str) -> str:
    """``force_off`` and ``vm.force_off`` as ``Force off`` and ``Vm force off``: for names without a better text."""
    return str(name).replace("_", " ").replace(".", " ").strip().capitalize()


def html_attrs(pairs: Mapping[str, Any]) -> Markup:
    """Keyword arguments as HTML attributes: dashes for underscores, True as a bare name, None and False left out."""
    shown = ((key.replace("_", "-"), value) for key, value in pairs.items() if value is not None and value is not False)
    parts = [f" {escape(key)}" if value is True else f' {escape(key)}="{escape(value)}"' for key, value in shown]
    return Markup("".join(parts))  # noqa: S704 (each part is escaped just above)


FILTERS: dict[str, Callable[..., Any]] = {
    "credits": credits_text,
    "minor": minor_text,
    "moment": moment,
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
    "sparkline": sparkline,
    "transaction_kind": transaction_kind,
    "image_options": image_options,
    "resource": lambda resource: RESOURCES[resource],
    "amount_of": lambda amount, resource: number(plainly(resource, amount)),
    "in_words": lambda amount, resource: number(in_words(resource, amount)),
}


def showable(value: Any) -> Any:
    """What a page may hold: of text, signs that HTML knows nothing of (NUL, ESC …) become U+FFFD.

    Nothing stored has any; what was just typed and refused, or stands in the address, may.
    """
    if isinstance(value, str) and not isinstance(value, Markup) and _NOT_IN_HTML.search(value):
        return _NOT_IN_HTML.sub("\ufffd", value)
    return value


def init_filters(app: Flask) -> None:
    """Register every filter of this module under its name, and let no page hold what HTML cannot."""
    app.jinja_env.finalize = showable
    app.jinja_env.filters.update(FILTERS)
