"""Jinja filters: credits, times, durations and sizes as people read them. ``init_filters(app)`` registers them.

``credits`` takes micro-credits; ``memory`` MiB; ``moment``, ``ago`` and ``iso`` aware datetimes; ``duration`` seconds.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Flask

from zentry_web.domain.money import format_credits

UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def moment(at: datetime) -> str:
    """``23 Nov 2026, 14:05 UTC``."""
    return f"{at.astimezone(UTC):%-d %b %Y, %H:%M} UTC"


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


def memory(mib: int) -> str:
    """``512 MiB``, ``2 GiB``, ``1.5 GiB``."""
    if mib < 1024:
        return f"{mib} MiB"
    return f"{mib // 1024} GiB" if mib % 1024 == 0 else f"{mib / 1024:.1f} GiB"


def words(name: str) -> str:
    """``force_off`` and ``vm.force_off`` as ``Force off`` and ``Vm force off``: for names without a better text."""
    return str(name).replace("_", " ").replace(".", " ").strip().capitalize()


FILTERS: dict[str, Callable[..., Any]] = {
    "credits": format_credits,
    "moment": moment,
    "iso": iso,
    "duration": duration,
    "ago": ago,
    "memory": memory,
    "words": words,
}


def init_filters(app: Flask) -> None:
    """Register every filter of this module under its name."""
    app.jinja_env.filters.update(FILTERS)
