"""Announcements: what admins tell everybody in a banner, from one moment to another."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import urlsplit

from zentry_web.domain.language import _

MAX_TEXT = 500
MAX_LINK = 300
MAX_LINK_TEXT = 40


class Level(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AnnouncementState(StrEnum):
    PLANNED = "planned"
    SHOWN = "shown"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Announcement:
    """A banner. ``link`` is '' or where it leads: https, or a path of this site."""

    id: str
    level: Level
    text: str
    link: str
    link_text: str
    from_at: datetime
    until_at: datetime | None
    is_public: bool  # visitors see it too
    version: int
    ended_at: datetime | None = None  # by an admin, before its time
    created_by: str = ""

    @property
    def can_be_dismissed(self) -> bool:
        return self.level != Level.CRITICAL

    def state(self, now: datetime) -> AnnouncementState:
        """Whether it is shown at ``now``; the end is the first moment at which it is not."""
        if self.ended_at is not None or (self.until_at is not None and self.until_at <= now):
            return AnnouncementState.OVER
        return AnnouncementState.PLANNED if now < self.from_at else AnnouncementState.SHOWN


@dataclass(frozen=True, slots=True)
class AnnouncementDraft:
    """What an admin typed."""

    level: str
    text: str
    from_at: datetime
    until_at: datetime | None = None
    link: str = ""
    link_text: str = ""
    is_public: bool = False


def parse_level(value: object) -> Level:
    """Raises ValueError with a sentence for the person."""
    try:
        return Level(str(value))
    except ValueError:
        raise ValueError(_("Choose a level.")) from None


def parse_link(value: object) -> str:
    """An https address, or a path of this site; '' for none. Raises ValueError with a sentence for the person.

    Browsers take ``//host`` and ``/\\host`` for another site and drop control characters before they look.
    """
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        return ""
    if len(text) > MAX_LINK:
        raise ValueError(_("Use at most %(most)s characters.", most=MAX_LINK))
    wrong = ValueError(_("Enter an address that begins with https://, or a path of this site such as /credits."))
    if any(not sign.isprintable() or sign.isspace() or sign == "\\" for sign in text):
        raise wrong
    if text.startswith("/") and not text.startswith("//"):
        return text
    try:
        parts = urlsplit(text)
        leads_out = parts.scheme == "https" and parts.hostname and parts.username is None and parts.port != 0
    except ValueError:
        raise wrong from None
    if not leads_out:
        raise wrong
    return text
