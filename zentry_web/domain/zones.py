"""Time zones by name, wherever a name comes from: one that this system does not know is UTC, and breaks nothing."""

from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@lru_cache(1024)
def zone_of(name: str) -> ZoneInfo:
    """The zone of that name; UTC where there is none (a name that another system knew, a row gone bad)."""
    return find_zone(name) or ZoneInfo("UTC")


def find_zone(name: str) -> ZoneInfo | None:
    """The zone of that name, None when this system does not know it."""
    try:
        zone = ZoneInfo(name)
        datetime(2026, 1, 1, tzinfo=UTC).astimezone(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError):
        return None
    return zone
