"""The pure rules of usage: where charges are cut, what they cost, who pays, how holds are renewed."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zentry_web.domain.credits.billing import Balance, run_out
from zentry_web.domain.credits.usage import (
    EPOCH,
    ChargeKind,
    Interval,
    OpenHold,
    UsageState,
    affordable_until,
    charge_lines,
    charges_cost,
    last_cut,
    local_month,
    month_start,
    next_month_start,
    pay,
    pieces,
    plan_renewals,
    seconds_between,
)

pytestmark = pytest.mark.unit


def next_cut(moment, zone="UTC"):
    """The first fixed cut point after ``moment``: the next whole UTC hour or the account's month boundary."""
    hour = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return min(hour, next_month_start(moment, zone))


ZONES = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Asuncion",
    "Pacific/Apia",
]
zones = st.sampled_from(ZONES)
moments = st.integers(0, 4 * 10**9).map(lambda second: EPOCH + timedelta(seconds=second))
spans = st.integers(0, 40 * 86400).map(lambda seconds: timedelta(seconds=seconds))
rates = st.integers(0, 10**7)
SECOND = timedelta(seconds=1)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def interval(start, end=None, *, settled=None, rate=5_000, minimum=0, zone="UTC", state=UsageState.RUNNING):
    return Interval("use_1", "vm_1", "user_1", "project_1", state, rate, start, end, settled or start, minimum, zone)


# -- cuts ---------------------------------------------------------------------------------------


def test_charges_are_cut_at_each_whole_hour():
    cuts = list(pieces(at("2026-11-23 14:03:07"), at("2026-11-23 16:10:42")))
    assert [b for _, b in cuts] == [at("2026-11-23 15:00"), at("2026-11-23 16:00"), at("2026-11-23 16:10:42")]


def test_charges_are_cut_where_the_accounts_month_ends():
    cuts = list(pieces(at("2026-11-30 18:10"), at("2026-11-30 19:05"), "Asia/Kolkata"))
    assert [b for _, b in cuts] == [at("2026-11-30 18:30"), at("2026-11-30 19:00"), at("2026-11-30 19:05")]


@given(moments, spans, zones)
def test_pieces_cover_a_span_without_gap_and_never_cross_a_cut(start, span, zone):
    end = start + span
    reached = start
    for a, b in pieces(start, end, zone):
        assert a == reached < b <= next_cut(a, zone)
        assert b in (end, next_cut(a, zone))
        reached = b
    assert reached == end


@given(moments, spans, zones)
def test_the_last_cut_is_the_end_of_the_last_whole_piece(start, span, zone):
    until = start + span
    reached = start
    for a, b in pieces(start, until, zone):
        reached = b if b == next_cut(a, zone) else reached
    assert last_cut(start, until, zone) == reached


def test_no_cut_lies_before_the_start_when_the_clock_stepped_back():
    assert last_cut(at("2026-11-23 14:30"), at("2026-11-23 12:10")) == at("2026-11-23 14:30")


@given(moments, zones)
def test_a_month_is_from_its_first_local_instant_to_the_next_ones(moment, zone):
    first, following = month_start(moment, zone), next_month_start(moment, zone)
    assert first <= moment < following
    assert local_month(first, zone) == local_month(moment, zone) == local_month(following - SECOND, zone)
    assert local_month(first - SECOND, zone) < local_month(moment, zone) < local_month(following, zone)


@pytest.mark.parametrize(
    ("zone", "month", "hours"),
    [
        ("Europe/Paris", "2026-03", 31 * 24 - 1),  # clocks go forward
        ("Europe/Paris", "2026-10", 31 * 24 + 1),  # and back
        ("UTC", "2028-02", 29 * 24),  # a leap year
        ("UTC", "2100-02", 28 * 24),  # not one
        ("Pacific/Apia", "2011-12", 30 * 24),  # a day that Samoa left out
    ],
)
def test_months_have_the_hours_that_clocks_and_calendars_give_them(zone, month, hours):
    middle = datetime.fromisoformat(f"{month}-15").replace(tzinfo=ZoneInfo(zone))
    assert next_month_start(middle, zone) - month_start(middle, zone) == timedelta(hours=hours)


def test_an_hour_that_clocks_repeat_is_charged_twice_because_it_passes_twice():
    start = datetime(2026, 10, 25, 2, 0, tzinfo=ZoneInfo("Europe/Paris")).astimezone(UTC)
    end = datetime(2026, 10, 25, 3, 0, tzinfo=ZoneInfo("Europe/Paris")).astimezone(UTC)
    lines = charge_lines(interval(start, end, zone="Europe/Paris"), end)
    assert sum(line.seconds for line in lines) == 7200


# -- charges ------------------------------------------------------------------------------------


@given(moments, spans, rates, zones, st.lists(spans, max_size=6))
def test_what_is_charged_does_not_depend_on_when_the_biller_runs(start, span, rate, zone, runs):
    end = start + span
    current = interval(start, rate=rate, zone=zone)
    made = []
    for run in sorted(runs):
        lines = charge_lines(current, min(start + run, end))
        made += lines
        reached = lines[-1].end if lines else current.settled_until
        current = interval(start, settled=reached, rate=rate, zone=zone)
    made += charge_lines(interval(start, end, settled=current.settled_until, rate=rate, zone=zone), end)
    assert made == charge_lines(interval(start, end, rate=rate, zone=zone), end)
    assert sum(line.seconds for line in made) == seconds_between(start, end)


@given(moments, spans, rates, zones)
def test_a_charge_is_rounded_half_even_once(start, span, rate, zone):
    for line in charge_lines(interval(start, start + span, rate=rate, zone=zone), start):
        assert line.amount == round(Fraction(rate * line.seconds, 3600))


def test_an_open_interval_is_charged_to_the_last_cut_only():
    lines = charge_lines(interval(at("2026-11-23 14:03:07")), at("2026-11-23 16:59:59"))
    assert [(line.seconds, line.end) for line in lines] == [
        (3413, at("2026-11-23 15:00")),
        (3600, at("2026-11-23 16:00")),
    ]


def test_a_run_of_22_seconds_gets_a_line_for_the_other_38():
    start = at("2026-11-23 14:00:10")
    lines = charge_lines(interval(start, start + 22 * SECOND, minimum=60), start)
    assert [(line.kind, line.seconds) for line in lines] == [(ChargeKind.USAGE, 22), (ChargeKind.MINIMUM, 38)]
    assert lines[1].start == lines[1].end == start + 22 * SECOND


def test_the_minimum_counts_the_whole_run_even_over_an_hour_cut():
    start = at("2026-11-23 14:59:50")
    lines = charge_lines(interval(start, start + 30 * SECOND, minimum=60), start)
    assert [line.seconds for line in lines] == [10, 20, 30]


@pytest.mark.parametrize(("seconds", "minimum"), [(60, 60), (90, 60), (5, 0)])
def test_longer_runs_and_starts_by_zentry_have_no_minimum_line(seconds, minimum):
    start = at("2026-11-23 14:00")
    lines = charge_lines(interval(start, start + seconds * SECOND, minimum=minimum), start)
    assert {line.kind for line in lines} == {ChargeKind.USAGE}


def test_an_interval_of_no_seconds_costs_its_minimum_or_nothing():
    start = at("2026-11-23 14:00")
    assert charge_lines(interval(start, start), start) == []
    assert [line.seconds for line in charge_lines(interval(start, start, minimum=60), start)] == [60]


def test_charges_can_be_made_a_few_at_a_time():
    start = at("2026-11-23 14:00")
    lines = charge_lines(interval(start), start + timedelta(hours=9), most=4)
    assert lines == charge_lines(interval(start), start + timedelta(hours=9))[:4]


# -- paying -------------------------------------------------------------------------------------


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100))
def test_the_hold_pays_first_then_the_wallet_and_only_the_rest_is_written_off(amount, hold, wallet):
    payment = pay(amount, hold=hold, wallet=wallet)
    assert payment.hold + payment.wallet + payment.write_off == amount
    assert 0 <= payment.hold <= hold
    assert 0 <= payment.wallet <= wallet
    assert payment.wallet == 0 or payment.hold == hold
    assert payment.write_off == 0 or payment.wallet == wallet


@given(moments, spans, rates, st.integers(0, 10**8), zones)
def test_affordable_is_the_last_second_that_the_credits_pay_for(start, span, rate, micro, zone):
    latest = start + span
    until = affordable_until(rate, start, latest, micro, zone)
    assert start <= until <= latest
    assert charges_cost(rate, start, until, zone) <= micro
    assert until == latest or charges_cost(rate, start, until + SECOND, zone) > micro


# -- renewal ------------------------------------------------------------------------------------

NOW = at("2026-11-23 14:40:00")
WINDOW = timedelta(hours=1)


def hold(name, *, remaining=0, rate=3_600, minutes=20, settled=NOW - timedelta(minutes=40)):
    return OpenHold(name, f"vm_{name}", rate, remaining, NOW + timedelta(minutes=minutes), settled, "UTC")


def test_a_renewal_pays_for_a_whole_window_from_now():
    (renewal,) = plan_renewals([hold("a", remaining=3_600)], 10**6, NOW, WINDOW)
    assert renewal.paid_until == NOW + WINDOW
    assert renewal.move == 100 * 60 - 3_600  # one micro-credit per second, charged from 14:00 to 15:40


def test_a_poor_wallet_pays_whole_seconds_and_the_hold_that_ends_first_is_served_first():
    renewals = plan_renewals(
        [hold("later", remaining=3_600, minutes=25), hold("first", remaining=3_600)], 1_000, NOW, WINDOW
    )
    assert [(renewal.hold.id, renewal.move) for renewal in renewals] == [("first", 1_000), ("later", 0)]
    assert renewals[0].paid_until == at("2026-11-23 15:00") + timedelta(seconds=1_000)
    assert renewals[1].paid_until == NOW + timedelta(minutes=25)


def test_nothing_is_moved_for_what_costs_nothing():
    (renewal,) = plan_renewals([hold("free", rate=0)], 0, NOW, WINDOW)
    assert (renewal.move, renewal.paid_until) == (0, NOW + WINDOW)


@given(st.lists(st.tuples(st.integers(0, 5_000), rates, st.integers(-600, 30)), max_size=5), st.integers(0, 10**7))
def test_renewals_never_take_more_than_there_is_nor_shorten_a_hold(states, wallet):
    holds = [hold(str(i), remaining=r, rate=rate, minutes=minutes) for i, (r, rate, minutes) in enumerate(states)]
    renewals = plan_renewals(holds, wallet, NOW, WINDOW)
    assert len(renewals) == len(holds)
    assert sum(renewal.move for renewal in renewals) <= wallet
    for renewal in renewals:
        assert renewal.move >= 0
        assert renewal.paid_until >= renewal.hold.paid_until


# -- what people see ----------------------------------------------------------------------------


def test_the_run_out_time_is_when_all_credits_are_used_at_the_present_rate():
    balance = Balance(NOW, wallet_micro=9_000, held_micro=5_000, accrued_micro=4_000, burn_micro_per_hour=5_000)
    assert balance.total_micro == 10_000
    assert balance.runs_out_at == NOW + timedelta(hours=2)


def test_nothing_runs_out_when_nothing_burns_or_in_a_century():
    assert run_out(NOW, 10, 0) is None
    assert run_out(NOW, 10**15, 1) is None


def test_what_was_used_beyond_all_credits_is_not_shown_as_debt():
    assert Balance(NOW, 0, 10, 50, 1).total_micro == 0
