"""What intervals were charged, worked out from their ends, is what the biller's rules charge: in any zone, any day."""

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from zentry_web.domain.credits.spend import charged_runs, epoch, sum_by_day
from zentry_web.domain.credits.usage import ChargeKind, Interval, UsageState, charge_lines

pytestmark = pytest.mark.unit

ZONES = ("UTC", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "America/New_York", "Australia/Lord_Howe")
FIRST = datetime(2026, 2, 20, tzinfo=UTC)
SECONDS = 60 * 86400  # over month ends, the leap that is none, and both hemispheres' change of clocks
moments = some.integers(0, SECONDS).map(lambda seconds: FIRST + timedelta(seconds=seconds))


@some.composite
def intervals(draw):
    start, until = sorted((draw(moments), draw(moments)))
    ended = draw(some.booleans())
    interval = Interval(
        "use_1", "vm_1", "alice", "prj_1", UsageState.RUNNING, draw(some.integers(0, 10**7)), start,
        until if ended else None, start, draw(some.sampled_from((0, 17, 60))), draw(some.sampled_from(ZONES)),
    )  # fmt: skip
    lines = charge_lines(interval, until)
    reached = lines[-1].end if lines else start
    facts = {name: getattr(interval, name) for name in Interval.__slots__}
    return Interval(**facts | {"settled_until": reached}), ended, lines


@given(intervals(), moments, moments)
def test_runs_are_the_charges_that_begin_in_a_period(made, one, other):
    interval, ended, lines = made
    start, end = sorted((one, other))
    runs = list(charged_runs(interval, ended, start, end))
    found = [
        (run.kind, run.begin + 3600 * index, run.seconds, run.each_micro) for run in runs for index in range(run.count)
    ]
    wanted = [(line.kind, epoch(line.start), line.seconds, line.amount) for line in lines if start <= line.start < end]
    assert sorted(found) == sorted(wanted)
    assert all(run.count for run in runs)


@given(intervals(), some.sampled_from(ZONES))
def test_days_add_up_the_charges_that_begin_on_them(made, zone):
    interval, ended, lines = made
    midnight = FIRST.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0)
    days = [(midnight + timedelta(days=number)).astimezone(UTC) for number in range(63)]
    runs = list(charged_runs(interval, ended, days[0], days[-1]))
    pairs = itertools.pairwise(days)
    wanted = [sum(line.amount for line in lines if start <= line.start < end) for start, end in pairs]
    assert sum_by_day(days, runs) == wanted
    assert sum(run.micro for run in runs) == sum(line.amount for line in lines)


def test_a_minimum_is_a_charge_of_its_own_at_the_end():
    at = datetime(2026, 3, 1, 12, 59, 50, tzinfo=UTC)
    end = at + timedelta(seconds=22)
    interval = Interval("use_1", "vm_1", "alice", "prj_1", UsageState.RUNNING, 3_600_000, at, end, end, 60, "UTC")
    runs = list(charged_runs(interval, True, at, at + timedelta(days=1)))
    assert [(run.seconds, run.micro, run.kind) for run in runs] == [
        (10, 10_000, ChargeKind.USAGE), (12, 12_000, ChargeKind.USAGE), (38, 38_000, ChargeKind.MINIMUM),
    ]  # fmt: skip
    assert len(list(charged_runs(interval, False, at, at + timedelta(days=1)))) == 2
