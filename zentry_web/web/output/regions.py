"""Dates and numbers as the person's region writes them, in their language. Machines' formats are not touched.

Amounts are rounded and grouped in one place (``domain/money.py``), with a point and commas; a region changes the marks.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_skeleton, format_time
from flask import has_request_context

from zentry_web.domain.credits.payments import format_minor
from zentry_web.domain.language import ENGLISH, _, language
from zentry_web.domain.money import format_credits
from zentry_web.domain.projects.quota import format_memory
from zentry_web.domain.user import REGIONS
from zentry_web.web.session.actor import known_user

SAMPLE = datetime(2026, 11, 23, 14, 5)  # noqa: DTZ001 - shown as it is


@dataclass(frozen=True, slots=True)
class Region:
    """A country's marks. ``locale`` is None for the international way, in English words."""

    code: str
    words: str = ENGLISH
    decimal: str = "."
    group: str = ","
    locale: Locale | None = None

    @property
    def language(self) -> str:
        """For the page's lang attribute."""
        return f"{self.words}-{self.code}" if self.code else self.words

    def number(self, text: str) -> str:
        """A number that is written with a point and commas, as the region writes it."""
        return text if self.locale is None else text.translate({ord(","): self.group, ord("."): self.decimal})

    def moment(self, at: datetime) -> str:
        """Date and time to the minute, of an ``at`` in the zone that is meant."""
        if self.locale is None:
            return f"{at:%-d %b %Y, %H:%M}"
        return f"{self.day(at)}, {self.time(at)}"

    def day(self, at: datetime) -> str:
        """The date, of an ``at`` in the zone that is meant."""
        return f"{at:%-d %b %Y}" if self.locale is None else format_date(at, "medium", locale=self.locale)

    def short_day(self, at: datetime) -> str:
        """Day and month: ``23 Nov``."""
        return f"{at:%-d %b}" if self.locale is None else format_skeleton("MMMd", at, locale=self.locale)

    def weekday(self, at: datetime) -> str:
        """``Thursday``."""
        return f"{at:%A}" if self.locale is None else format_date(at, "EEEE", locale=self.locale)

    def time(self, at: datetime) -> str:
        """The time to the minute, of an ``at`` in the zone that is meant."""
        if self.locale is None:
            return f"{at:%H:%M}"
        return format_time(at, "short", locale=self.locale).replace("\u202f", " ")


@lru_cache
def find_region(code: str, words: str = ENGLISH) -> Region:
    """The region of a country, in a language; the international one for a code that is not offered.

    Without a region, dates and numbers are written as in the language's own country.
    """
    code = code if code in REGIONS else ""
    if not code and words == ENGLISH:
        return Region("")
    own = _locale(words)
    locale = (_locale(f"{words}-{code}") if code else own) or own or Locale(ENGLISH, code or None)
    marks = (Locale(ENGLISH, code) if code else locale).number_symbols["latn"]
    return Region(code, words, marks["decimal"], marks["group"], locale)


def _locale(tag: str) -> Locale | None:
    try:
        return Locale.parse(tag, sep="-", resolve_likely_subtags=False)
    except UnknownLocaleError:
        return None


def country(code: str) -> str:
    """A country's name in the language spoken; '' for a code that none has."""
    locale = _locale(language())
    return str(locale.territories.get(code, "")) if locale else ""


def viewer_region() -> Region:
    """The region of the account that looks, in the language spoken; international for visitors."""
    user = known_user() if has_request_context() else None
    return find_region(user.user.region if user else "", language())


def number(text: str) -> str:
    """A number that is written with a point and commas, as the viewer's region writes it."""
    return viewer_region().number(text)


def credits_text(micro: int, *, decimals: int | None = None) -> str:
    """Micro-credits as credits, as the viewer's region writes them."""
    return number(format_credits(micro, decimals=decimals))


def minor_text(minor: int, currency: str) -> str:
    """An amount of money, as the viewer's region writes it."""
    return number(format_minor(minor, currency))


def region_choices() -> tuple[tuple[str, str], ...]:
    """(code, name with a sample) of each region, the international one first."""
    return _region_choices(language())


@lru_cache
def _region_choices(words: str) -> tuple[tuple[str, str], ...]:
    found = []
    for code, english in REGIONS.items():
        region = find_region(code, words)
        name = english if words == ENGLISH else country(code) or _("As in the language")
        found.append((code, f"{name}: {region.moment(SAMPLE)} · {region.number('1,234.56')}"))
    return tuple(found)


def memory(mib: int) -> str:
    """``512 MiB``, ``2 GiB``, ``1.5 GiB``."""
    return number(format_memory(mib))
