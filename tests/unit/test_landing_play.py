"""The play behind the landing plan: exactly what the slow one says, whatever things cost, and never much work."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.landing_oracle import run_dry_slowly
from zentry_web.domain.credits import landing_play
from zentry_web.domain.credits.landing_play import run_dry
from zentry_web.domain.credits.usage import OpenHold, affordable_until, charges_cost, plan_renewals

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 23, 4, 7, 13, tzinfo=UTC)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
LARGE = 200_000
ZONES = ["UTC", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe"]  # months that begin within an hour


def hold(name, rate, *, window=HOUR, micro=None, importance=0, zone="UTC", now=NOW):
    micro = rate * (window // SECOND) // 3600 if micro is None else micro
    until = affordable_until(rate, now, now + window, micro, zone)
    return OpenHold(f"h_{name}", name, rate, micro, until, now, zone, importance)


@st.composite
def fleets(draw, sizes):
    now = NOW + draw(st.integers(0, 40 * 86400)) * SECOND
    window = draw(st.sampled_from([120, 121, 601, 3600, 3601]))
    zone = draw(st.sampled_from(ZONES))
    count = draw(sizes)
    scale = draw(st.sampled_from([10, 1000, 100_000]))
    found = []
    for number in range(count):
        rate = draw(st.integers(1, scale)) * draw(st.sampled_from([1, 1, 300]))
        settled = now - draw(st.integers(0, 4000)) * SECOND
        until = now + draw(st.integers(1, window + 1)) * SECOND
        micro = charges_cost(rate, settled, until, zone)
        if draw(st.booleans()):
            until = affordable_until(rate, settled, until, micro, zone)
        micro += draw(st.sampled_from([0, 0, rate // 3, rate * 15]))  # more than it needs: its price was cut
        importance = draw(st.sampled_from([0, 0, 1, 2, number]))
        found.append(OpenHold(f"h{number}", f"v{number}", rate, micro, until, settled, zone, importance))
    disks = draw(st.lists(st.integers(1, max(2, scale // 10)), max_size=3))
    burn = sum(each.rate_micro_per_hour for each in found)
    wallet = draw(st.one_of(st.integers(0, 9), st.integers(0, burn * 8)))
    return found, wallet, disks, now, timedelta(seconds=window)


@settings(max_examples=60, deadline=None)
@given(fleets(st.integers(1, 6)))
def test_a_small_fleet_ends_as_if_it_were_played_round_by_round(fleet):
    ends, disks_end = run_dry(*fleet)
    slowly, disks_end_slowly = run_dry_slowly(*fleet)
    assert (list(ends.items()), disks_end) == (list(slowly.items()), disks_end_slowly)


@settings(max_examples=6, deadline=None)
@given(fleets(st.integers(51, 55)))
def test_a_large_fleet_ends_as_if_it_were_played_minute_by_minute(fleet):
    ends, disks_end = run_dry(*fleet)
    slowly, disks_end_slowly = run_dry_slowly(*fleet)
    assert (list(ends.items()), disks_end) == (list(slowly.items()), disks_end_slowly)


def test_beside_a_free_machine_the_others_end_as_without_it():
    large = hold("large", LARGE)
    alone = run_dry([large], 5_000_000, [], NOW, HOUR)
    assert run_dry([large, hold("nano", 0)], 5_000_000, [], NOW, HOUR) == alone
    assert alone[0]["large"] - NOW > 25 * HOUR


def test_what_is_free_never_ends_nor_do_only_free_ones():
    assert run_dry([hold("nano", 0)], 0, [], NOW, HOUR) == ({}, None)
    ends, disks_end = run_dry([hold("nano", 0)], 40_000, [2_000], NOW, HOUR)
    assert (ends, disks_end) == ({}, NOW.replace(minute=0, second=0) + 20 * HOUR)


def test_what_costs_nothing_is_renewed_though_all_is_set_aside_for_others():
    free, other = hold("nano", 0), hold("large", LARGE, importance=3)
    now = NOW + HOUR * 3 // 4
    (renewal,) = plan_renewals([free], 0, now, HOUR, others=[other])
    assert (renewal.move, renewal.paid_until) == (0, now + HOUR)


def test_a_hold_that_pays_for_years_is_known():
    """Its size's price was cut to a twenty-thousandth: what was set aside for an hour lasts for two years."""
    cheap = replace(hold("cheap", 1), remaining=20_000)
    large = hold("large", LARGE)
    ends, _ = run_dry([cheap, large], LARGE + 5, [], NOW, HOUR)
    assert 20_000 * HOUR < ends["cheap"] - NOW < 20_006 * HOUR  # what the large one leaves buys some hours more
    assert HOUR * 2 - SECOND <= ends["large"] - NOW <= HOUR * 2


def test_what_lasts_ten_years_has_no_end():
    assert run_dry([replace(hold("cheap", 1), remaining=10**6)], 1, [], NOW, HOUR) == ({}, None)


@pytest.mark.parametrize("wallet", [5_000_000, 10**13])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("rate", [
    pytest.param(lambda number: LARGE, id="alike"),
    pytest.param(lambda number: 0 if number else LARGE, id="free beside one"),
    pytest.param(lambda number: 1 if number else 10**9, id="all but free beside one"),
    pytest.param(lambda number: 2 ** (number * 30 // 2000), id="from one to a thousand million"),
    pytest.param(lambda number: 2 ** (30 - number * 30 // 2000), id="the other way round"),
])  # fmt: skip
def test_the_work_does_not_depend_on_what_things_cost(monkeypatch, wallet, ordered, rate):
    """Counted, not timed: how many holds are looked at for 2000 machines. Round by round it would be thousands of
    millions."""
    plays = []
    run = landing_play._Play.run
    monkeypatch.setattr(landing_play._Play, "run", lambda play: (plays.append((play, play.work)), run(play)))
    chosen = [hold(f"v{number}", rate(number), importance=number if ordered else 0) for number in range(2000)]
    run_dry(chosen, wallet, [], NOW, HOUR)
    ((play, budget),) = plays
    assert budget - play.work < 2000 * 400
    assert play.work > 0


def test_a_fleet_that_would_take_too_much_work_still_gets_a_plan(monkeypatch):
    monkeypatch.setattr(landing_play, "_WORK", -1000)
    chosen = [replace(hold(f"v{number}", 1000), remaining=50_000 + number * 7_000) for number in range(6)]
    ends, _ = run_dry(chosen, 1, [], NOW, HOUR)
    assert 50 * HOUR <= ends["v0"] - NOW <= 51 * HOUR
    assert len(ends) == 6
