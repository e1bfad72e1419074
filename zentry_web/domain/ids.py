"""Identifiers: opaque, sortable by time of making, prefixed by kind: ``vm_01jd…``."""

from datetime import datetime

from ulid import ULID


def new_id(prefix: str, now: datetime) -> str:
    """A new id such as ``vm_01jdc9…`` (26 characters after the prefix), ordered by ``now`` to the millisecond."""
    return f"{prefix}_{str(ULID.from_datetime(now)).lower()}"
