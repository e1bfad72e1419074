"""The period that the pages about money look at: two dates in the address, in the viewer's time zone."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from flask import request, url_for

from zentry_web.domain.language import _, pgettext
from zentry_web.services.errors import ValidationError
from zentry_web.web.input.paging import text_argument
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.services import services

DAY = timedelta(days=1)
LONGEST = timedelta(days=3660)


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days, both included. ``start`` and ``end`` are the moments (UTC) between which they lie."""

    first: date
    last: date
    zone: tzinfo

    @property
    def start(self) -> datetime:
        return _midnight(self.first, self.zone)

    @property
    def end(self) -> datetime:
        return _midnight(self.last + DAY, self.zone)

    @property
    def query(self) -> dict[str, str]:
        """Its arguments in addresses."""
        return {"from": f"{self.first}", "to": f"{self.last}"}

    @property
    def days(self) -> list[date]:
        return [self.first + DAY * i for i in range((self.last - self.first).days + 1)]

    def links(self, endpoint: str, **more: str) -> list[tuple[str, str, str]]:
        """(id, words, address) of the usual periods."""
        today = services().clock.now().astimezone(self.zone).date()
        return [
            (name, text, _address(endpoint, {"from": f"{first}", "to": f"{last}"} | more))
            for name, (text, first, last) in _usual(today).items()
        ]

    @property
    def name(self) -> str:
        """Which of the usual periods it is; '' for another."""
        today = services().clock.now().astimezone(self.zone).date()
        found = [
            name for name, (_text, first, last) in _usual(today).items() if (first, last) == (self.first, self.last)
        ]
        return found[0] if found else ""

    @classmethod
    def from_request(cls, now: datetime, zone: tzinfo | None = None) -> "Period":
        """What the address says; this month when it says nothing.

        Raises ValidationError for dates that make no sense and for spans of more than ten years.
        """
        zone = zone or viewer_zone()
        *_text, first, last = _usual(now.astimezone(zone).date())["month"]
        asked = asked_dates()
        for name, found in zip(("from", "to"), asked, strict=True):
            if found is None and text_argument(name):
                raise ValidationError(_("Dates look like 2026-11-23."), details={name: _("Enter a date.")})
        first = asked[0] or first
        last = max(first, asked[1] or last)
        if last - first > LONGEST:
            raise ValidationError(
                _("Choose a period of ten years at most."), details={"to": _("Choose an earlier date.")}
            )
        return cls(first, last, zone)


def asked_dates() -> tuple[date | None, date | None]:
    """The dates in the address, each None when absent or without sense."""
    return _parsed(text_argument("from")), _parsed(text_argument("to"))


def moments(first: date | None, last: date | None) -> tuple[datetime | None, datetime | None]:
    """The moments (UTC) between which whole days of the viewer's lie; None where it is open."""
    zone = viewer_zone()
    return (_midnight(first, zone) if first else None, _midnight(last + DAY, zone) if last else None)


def has_period() -> bool:
    """Whether the address names one."""
    return bool(request.args.get("from"))


def _usual(today: date) -> dict[str, tuple[str, date, date]]:
    month = today.replace(day=1)
    before = month - DAY
    return {
        "month": (_("This month"), month, today),
        "last": (_("Last month"), before.replace(day=1), before),
        "7d": (pgettext("a period", "7 days"), today - 6 * DAY, today),
        "30d": (_("30 days"), today - 29 * DAY, today),
    }


def _address(endpoint: str, arguments: dict[str, Any]) -> str:
    return url_for(endpoint, **{name: value for name, value in arguments.items() if value})


def _parsed(text: str) -> date | None:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if date(1971, 1, 1) <= found <= date(9000, 1, 1) else None


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
