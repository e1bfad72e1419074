"""How regions write dates and numbers."""

from datetime import UTC, datetime

import pytest

from zentry_web.domain.money import format_credits
from zentry_web.domain.user import REGIONS
from zentry_web.web.output.regions import credits_text, find_region, region_choices

pytestmark = pytest.mark.unit
AFTERNOON = datetime(2026, 11, 23, 14, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("code", "moment", "number", "language"),
    [
        ("", "23 Nov 2026, 14:05", "-1,234,567.89", "en"),
        ("GB", "23 Nov 2026, 14:05", "-1,234,567.89", "en-GB"),
        ("US", "Nov 23, 2026, 2:05 PM", "-1,234,567.89", "en-US"),
        ("DE", "23 Nov 2026, 14:05", "-1.234.567,89", "en-DE"),
        ("CH", "23 Nov 2026, 14:05", "-1’234’567.89", "en-CH"),
        ("SE", "23 Nov 2026, 14:05", "-1\xa0234\xa0567,89", "en-SE"),
    ],
)
def test_a_region_has_its_marks_and_english_words(code, moment, number, language):
    region = find_region(code)
    assert region.moment(AFTERNOON) == moment
    assert region.number("-1,234,567.89") == number
    assert region.language == language


@pytest.mark.parametrize("code", list(REGIONS))
def test_no_figure_is_lost_in_any_region(code):
    region = find_region(code)
    assert region.decimal != region.group
    shown = region.number(format_credits(1_234_567_890_123))
    assert "".join(c for c in shown if c.isdigit()) == "1234567890123"
    assert shown.partition(region.decimal)[2] == "890123"


@pytest.mark.error
def test_an_unknown_region_is_the_international_one():
    assert find_region("XX").locale is None
    assert find_region("../").number("1,000.5") == "1,000.5"


def test_without_a_viewer_it_is_the_international_one():
    assert credits_text(1_234_500_000) == "1,234.50"


def test_each_choice_has_a_sample():
    assert dict(region_choices())["DE"] == "Germany: 23 Nov 2026, 14:05 · 1.234,56"
    assert [code for code, _ in region_choices()] == list(REGIONS)
