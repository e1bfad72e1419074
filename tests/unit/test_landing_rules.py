"""The landing plan's rules: order, notices, and that playing the future through equals living it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from zentry_web.domain.credits.landing import (
    Lander,
    LandingStep,
    Policy,
    RunwayTold,
    disk_notice,
    make_plan,
    may_start_again,
    next_told,
    positions,
)
from zentry_web.domain.credits.usage import OpenHold, affordable_until, plan_renewals

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 23, 4, 7, 13, tzinfo=UTC)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)
POLICY = Policy(HOUR, timedelta(seconds=60), 14 * DAY)


def running(name, rate, *, importance=0, minutes=60, zone="UTC"):
    until = NOW + timedelta(minutes=minutes)
    micro = rate * minutes // 60
    until = affordable_until(rate, NOW, until, micro)
    return Lander(name, name, importance, OpenHold(f"h_{name}", name, rate, micro, until, NOW, zone, importance))


def stops(plan):
    return [line.name for line in plan.lines if line.step == LandingStep.STOP]


def lived(vms, wallet, window):
    """What a worker does that looks every second: the second each hold ends."""
    holds = {vm.vm_id: vm.hold for vm in vms}
    ends, now = {}, NOW
    while holds:
        enough = now + window // 2
        due = [hold for hold in holds.values() if hold.paid_until < enough]
        others = [hold for hold in holds.values() if hold.paid_until >= enough and hold.importance > 0]
        for renewal in plan_renewals(due, wallet, now, window, others=others):
            wallet -= renewal.move
            hold = renewal.hold
            holds[hold.vm_id] = replace(hold, remaining=hold.remaining + renewal.move, paid_until=renewal.paid_until)
        for vm_id in [vm_id for vm_id, hold in holds.items() if hold.paid_until <= now]:
            ends[vm_id] = holds.pop(vm_id).paid_until
        now += SECOND
    return ends


def test_what_happens_alike_within_a_minute_is_one_moment():
    plan = make_plan([running("a", 50_000), running("b", 50_000), running("c", 50_000, minutes=70)], 0, NOW, POLICY)
    found = [(moment.step, [line.name for line in moment.lines]) for moment in plan.moments]
    assert found == [(step, names) for step in (LandingStep.STOP, LandingStep.DELETE) for names in (["a", "b"], ["c"])]
    assert [line for moment in plan.moments for line in moment.lines] == list(plan.lines)
    assert plan.moments[0].at == plan.lines[0].at


def test_the_least_important_stops_first():
    vms = [running("a", 50_000, importance=1), running("b", 50_000, importance=3), running("c", 50_000, importance=2)]
    assert stops(make_plan(vms, 400_000, NOW, POLICY)) == ["a", "c", "b"]


def test_the_important_one_keeps_what_a_lesser_one_would_have_taken():
    vms = [running("lesser", 50_000, minutes=40), running("main", 50_000, importance=1, minutes=60)]
    plan = make_plan(vms, 60_000, NOW, POLICY)
    assert stops(plan) == ["lesser", "main"]
    first, last = (line.at for line in plan.lines if line.step == LandingStep.STOP)
    assert last - first > timedelta(minutes=20)


@pytest.mark.parametrize("wallet", [0, 1, 77_777, 250_000, 900_001])
def test_the_plan_is_what_a_worker_does(wallet):
    window = timedelta(minutes=10)
    vms = [
        running("a", 50_000, importance=2, minutes=10),
        running("b", 200_000, importance=0, minutes=7),
        running("c", 15_000, importance=1, minutes=9),
        running("d", 5_000, importance=0, minutes=6),
    ]
    policy = replace(POLICY, window=window)
    plan = make_plan(vms, wallet, NOW, policy)
    planned = {line.vm_id: line.at + policy.stop_timeout for line in plan.lines if line.step == LandingStep.STOP}
    ends = lived(vms, wallet, window)
    order = sorted(ends, key=lambda vm_id: ends[vm_id])
    assert sorted(planned, key=lambda vm_id: planned[vm_id]) == order
    for vm_id, end in ends.items():
        ahead = SECOND if end - NOW < 2 * HOUR else timedelta(minutes=1)
        assert abs(planned[vm_id] - end) <= ahead, vm_id


def test_a_plan_a_year_ahead_ends_when_credits_do():
    plan = make_plan([running("a", 100_000)], 365 * 24 * 100_000, NOW, POLICY)
    (stop,) = [line for line in plan.lines if line.step == LandingStep.STOP]
    assert abs(stop.at - (NOW + timedelta(days=365) + HOUR - timedelta(seconds=60))) <= 2 * SECOND


def test_disks_are_kept_when_they_are_not_paid_and_then_deleted():
    plan = make_plan([Lander("d", "d", 0, None, 2_000)], 20_000, NOW, POLICY)
    keep, delete = plan.lines
    assert keep.step == LandingStep.KEEP
    assert NOW + timedelta(hours=9) < keep.at <= NOW + timedelta(hours=10)
    assert (delete.step, delete.at) == (LandingStep.DELETE, keep.at + 14 * DAY)


def test_a_disk_that_is_kept_has_its_date_and_nothing_burns():
    until = NOW + 3 * DAY
    plan = make_plan([Lander("d", "d", 0, None, 0, until)], 0, NOW, POLICY)
    assert [(line.step, line.at) for line in plan.lines] == [(LandingStep.DELETE, until)]
    assert make_plan([], 0, NOW, POLICY).lines == ()


def test_each_threshold_is_told_once_and_only_the_shortest_of_several():
    told, heard = RunwayTold(), []
    for seconds in range(9 * 86400, 0, -600):
        told, tell = next_told(told, seconds)
        if tell:
            heard.append(told.seconds)
    assert heard == [7 * 86400, 3 * 86400, 86400, 3600]
    assert next_told(RunwayTold(), 1800) == (RunwayTold(1, 3600), True)


def test_a_small_rise_repeats_nothing_and_a_real_one_begins_anew():
    told = RunwayTold(1, 3600)
    assert next_told(told, 4000) == (told, False)
    told, tell = next_told(told, 2 * 86400)
    assert (told, tell) == (RunwayTold(2, 3 * 86400), False)
    assert next_told(told, 86400) == (RunwayTold(2, 86400), True)
    assert next_told(RunwayTold(2, 86400), None) == (RunwayTold(2, None), False)
    assert next_told(RunwayTold(2, None), 3600) == (RunwayTold(3, 3600), True)


def test_disk_notices():
    assert [disk_notice(NOW + days * DAY, NOW) for days in (8, 7, 5, 3, 2, 1, 0)] == [None, 7, 7, 3, 3, 1, 1]


def test_what_a_stopping_machine_gives_back_starts_no_other():
    assert not may_start_again(5_000, 5_000, 50_000, HOUR)
    assert may_start_again(30_000, 5_000, 50_000, HOUR)


def test_positions_put_the_first_highest():
    assert positions(["a", "b", "c"]) == {"a": 3, "b": 2, "c": 1}
