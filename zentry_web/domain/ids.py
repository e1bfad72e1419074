"""Identifiers: opaque, sortable by time of making, prefixed by kind: ``vm_01jd…``."""

from datetime import UTC, datetime

from ulid import ULID

TIME_CHARACTERS = 10  # of the 26, at their beginning


def new_id(prefix: str, now: datetime) -> str:
    """A new id such as ``vm_01jdc9…`` (26 characters after the prefix), ordered by ``now`` to the millisecond."""
    return f"{prefix}_{str(ULID.from_datetime(now)).lower()}"


def first_id(prefix: str, moment: datetime) -> str:
    """The lower bound of the ids that ``new_id`` makes at ``moment`` and later: those made before it are below."""
    return f"{prefix}_{str(ULID.from_datetime(moment))[:TIME_CHARACTERS].lower()}"


def time_of(made: str) -> datetime:
    """When an id of ``new_id`` was made, UTC, to the millisecond."""
    return ULID.from_str(made.rpartition("_")[2].upper()).datetime.astimezone(UTC)
