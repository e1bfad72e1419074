"""Days of a part, and how seconds fall into days."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zentry_web.domain.availability import DAYS, PartDay, PartHistory, WatchedPart, last_days, seconds_by_day

pytestmark = pytest.mark.unit
TODAY = date(2026, 11, 30)


def test_days_without_a_record_have_no_data() -> None:
    days = last_days(TODAY, {TODAY: PartDay(TODAY, 10, 0)})
    assert len(days) == DAYS
    assert (days[0].day, days[-1].day) == (TODAY - timedelta(days=DAYS - 1), TODAY)
    assert [day.level for day in days] == ["none"] * (DAYS - 1) + ["up"]


def test_percent_is_of_what_was_watched_and_never_rounded_up() -> None:
    days = (PartDay(TODAY), PartDay(TODAY, 86_399, 1), PartDay(TODAY, 0, 7200))
    history = PartHistory(WatchedPart.COMPUTE, True, None, days)
    assert [day.level for day in days] == ["none", "partly", "down"]
    assert history.up_percent == 92.30
    assert history.watched_days == 2
    assert history.bad_days == (days[2], days[1])
    assert PartHistory(WatchedPart.MAIL, None, None, days[:1]).up_percent is None


@given(st.integers(0, 100 * 86_400), st.integers(0, 3 * 86_400))
def test_no_second_is_lost_or_counted_twice(start: int, length: int) -> None:
    begin = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=start)
    found = seconds_by_day(begin, begin + timedelta(seconds=length))
    assert sum(found.values()) == length
    assert all(0 < seconds <= 86_400 for seconds in found.values())
