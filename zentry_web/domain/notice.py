"""What people are told, in the app and by mail."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Notice:
    """One entry of a person's list. ``url`` is a path within Zentry, or empty."""

    id: str
    kind: str
    at: datetime
    title: str
    body: str
    url: str
    read_at: datetime | None


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as it waits to be sent. ``attempt`` fences it: an older claim records nothing."""

    id: str
    to_address: str
    subject: str
    body: str
    attempt: int
