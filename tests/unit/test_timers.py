"""When what is scheduled is due: beside a calendar that looks at every minute."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zentry_web.domain.vms.timer import TOLD_BEFORE, Repeat, Timer, TimerAction, next_run, notice_due

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")
MINUTE = timedelta(minutes=1)


def is_day(repeat, first, day):
    last = monthrange(day.year, day.month)[1]
    return {
        Repeat.DAILY: True,
        Repeat.WEEKDAYS: day.isoweekday() <= 5,
        Repeat.WEEKLY: day.isoweekday() == first.isoweekday(),
        Repeat.MONTHLY: day.day == first.day or (day.day == last and first.day > last),
    }[repeat]


def by_the_minute(repeat, first, zone, after, days):
    """What a person who looks at the clock every minute would do: at the first minute of such a day at which the clock
    shows that time; where it leaps over that, so many minutes later as it leapt. None: not within so many days."""

    def fits(wall):
        return wall.time() == first.time() and wall >= first and is_day(repeat, first.date(), wall.date())

    here = ZoneInfo(zone)
    moment = after.replace(second=0, microsecond=0) + MINUTE
    before = (moment - MINUTE).astimezone(here).replace(tzinfo=None)
    leap, leapt_at = timedelta(0), moment
    for _ in range(days * 24 * 60):
        now = moment.astimezone(here)
        wall = now.replace(tzinfo=None)
        if wall - before > MINUTE:
            leap, leapt_at = wall - before - MINUTE, moment
        over = fits(wall - leap) if moment - leapt_at < leap else False  # a time that was never shown
        if now.fold == 0 and (fits(wall) or over):
            return moment
        before, moment = wall, moment + MINUTE
    return None


@settings(max_examples=60, deadline=None)
@given(
    repeat=st.sampled_from([Repeat.DAILY, Repeat.WEEKDAYS, Repeat.WEEKLY, Repeat.MONTHLY]),
    zone=st.sampled_from(ZONES),
    after=st.datetimes(datetime.fromisoformat("2026-01-01T00:00"), datetime.fromisoformat("2027-12-31T00:00")),
    ahead=st.integers(-40, 3),
    hour=st.sampled_from([0, 1, 2, 3, 12, 19, 23]),
    minute=st.sampled_from([0, 15, 30, 59]),
)
def test_as_by_a_calendar(repeat, zone, after, ahead, hour, minute):
    after = after.replace(tzinfo=UTC)
    first = after.replace(hour=hour, minute=minute, second=0, microsecond=0, tzinfo=None) + timedelta(days=ahead)
    due = next_run(repeat, first, zone, after)
    assert due > after
    days = 3 if repeat == Repeat.DAILY else 9
    found = by_the_minute(repeat, first, zone, after, days)
    if found is not None:
        assert due == found
    else:
        assert due > after + timedelta(days=days)


@pytest.mark.parametrize(
    ("repeat", "first", "zone", "after", "due"),
    [
        # Summer time begins in Berlin on 29 March 2026 at 01:00 UTC: 02:30 is 03:30 there.
        (Repeat.DAILY, "2026-01-01T02:30", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T01:30"),
        (Repeat.DAILY, "2026-01-01T19:00", "Europe/Berlin", "2026-03-28T12:00", "2026-03-28T18:00"),
        (Repeat.DAILY, "2026-01-01T19:00", "Europe/Berlin", "2026-03-29T12:00", "2026-03-29T17:00"),
        # It ends on 25 October 2026: 02:30 comes twice, and counts the first time.
        (Repeat.DAILY, "2026-01-01T02:30", "Europe/Berlin", "2026-10-24T12:00", "2026-10-25T00:30"),
        (Repeat.DAILY, "2026-01-01T02:30", "Europe/Berlin", "2026-10-25T00:30", "2026-10-26T01:30"),
        (Repeat.WEEKDAYS, "2026-12-05T19:00", "UTC", "2026-12-01T00:00", "2026-12-07T19:00"),
        (Repeat.WEEKLY, "2026-12-04T19:00", "UTC", "2026-12-04T19:00", "2026-12-11T19:00"),
        (Repeat.MONTHLY, "2026-01-31T08:00", "UTC", "2026-02-01T00:00", "2026-02-28T08:00"),
        (Repeat.MONTHLY, "2026-01-31T08:00", "UTC", "2026-02-28T08:00", "2026-03-31T08:00"),
        (Repeat.ONCE, "2026-12-04T19:00", "America/New_York", "2026-12-04T19:00", "2026-12-05T00:00"),
        (Repeat.ONCE, "2026-12-04T19:00", "UTC", "2026-12-04T19:00", None),
        (Repeat.DAILY, "2030-01-01T00:00", "UTC", "2026-12-04T19:00", "2030-01-01T00:00"),
        (Repeat.DAILY, "2026-12-01T12:00", "No/Where", "2026-12-04T19:00", "2026-12-05T12:00"),
    ],
)
def test_days_to_remember(repeat, first, zone, after, due):
    at = [datetime.fromisoformat(each).replace(tzinfo=UTC) if each else None for each in (after, due)]
    assert next_run(repeat, datetime.fromisoformat(first), zone, at[0]) == at[1]


def test_in_words():
    first = datetime.fromisoformat("2026-12-04T19:00")
    said = [str(Timer("t", TimerAction.STOP, each, first, "UTC", True, None).words) for each in Repeat]
    assert said == [
        "Stop at Fri 04 Dec 19:00",
        "Stop every day at 19:00",
        "Stop Monday to Friday at 19:00",
        "Stop every Friday at 19:00",
        "Stop on day 4 of each month at 19:00",
    ]


def test_which_notice_is_due():
    week, day, hour = TOLD_BEFORE
    lefts = (timedelta(days=8), week, timedelta(days=3), day, timedelta(hours=5), hour, timedelta(minutes=1))
    assert [notice_due(left) for left in lefts] == [None, week, week, day, day, hour, hour]
