"""Dates and numbers as the person's region writes them, in English words. Machines' formats are not touched.

Amounts are rounded and grouped in one place (``domain/money.py``), with a point and commas; a region changes the marks.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from babel import Locale
from babel.dates import format_date, format_time
from flask import has_request_context

from zentry_web.domain.money import format_credits
from zentry_web.domain.payments import format_minor
from zentry_web.domain.user import REGIONS
from zentry_web.web.actor import known_user

SAMPLE = datetime(2026, 11, 23, 14, 5)  # noqa: DTZ001 - shown as it is


@dataclass(frozen=True, slots=True)
class Region:
    """A country's marks. ``locale`` is None for the international way."""

    code: str
    decimal: str = "."
    group: str = ","
    locale: Locale | None = None

    @property
    def language(self) -> str:
        """For the page's lang attribute."""
        return f"en-{self.code}" if self.code else "en"

    def number(self, text: str) -> str:
        """A number that is written with a point and commas, as the region writes it."""
        return text if self.locale is None else text.translate({ord(","): self.group, ord("."): self.decimal})

    def moment(self, at: datetime) -> str:
        """Date and time to the minute, of an ``at`` in the zone that is meant."""
        if self.locale is None:
            return f"{at:%-d %b %Y, %H:%M}"
        time = format_time(at, "short", locale=self.locale).replace("\u202f", " ")
        return f"{format_date(at, 'medium', locale=self.locale)}, {time}"


@lru_cache
def find_region(code: str) -> Region:
    """The region of a country; the international one for a code that is not offered."""
    if not code or code not in REGIONS:
        return Region("")
    locale = Locale("en", code)
    marks = locale.number_symbols["latn"]
    return Region(code, marks["decimal"], marks["group"], locale)


def viewer_region() -> Region:
    """The region of the account that looks; international for visitors."""
    user = known_user() if has_request_context() else None
    return find_region(user.user.region if user else "")


def number(text: str) -> str:
    """A number that is written with a point and commas, as the viewer's region writes it."""
    return viewer_region().number(text)


def credits_text(micro: int, *, decimals: int | None = None) -> str:
    """Micro-credits as credits, as the viewer's region writes them."""
    return number(format_credits(micro, decimals=decimals))


def minor_text(minor: int, currency: str) -> str:
    """An amount of money, as the viewer's region writes it."""
    return number(format_minor(minor, currency))


@lru_cache
def region_choices() -> tuple[tuple[str, str], ...]:
    """(code, name with a sample) of each region, the international one first."""
    found = []
    for code, name in REGIONS.items():
        region = find_region(code)
        found.append((code, f"{name}: {region.moment(SAMPLE)} · {region.number('1,234.56')}"))
    return tuple(found)
