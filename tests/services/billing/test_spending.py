"""Spend adds up four ways; balances of the past are what they were; what-if says what would be."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.services.billing_world import World
from tests.services.people import Statements
from zentry_web.domain.credits.forecast import Changes, what_if
from zentry_web.domain.user import Actor, Role
from zentry_web.domain.vms.catalogue import Size
from zentry_web.services.errors import NotFoundError

HOUR = timedelta(hours=1)
NANO = Size("size_nano", "nano", 1, 128, 1, True, "price_nano_1", 1, 5_000, 100)
LARGE = Size("size_large", "large", 8, 8192, 80, True, "price_large_1", 1, 200_000, 100)


@pytest.fixture
def world(core):
    return World(core)


def a_day_and_a_half(world, zone="UTC"):
    """Two machines, from 10:00 on the 23rd to 22:00 on the 24th; one of them stopped half-way."""
    world.person("alice", credits=50_000_000, zone=zone)
    first, second = world.vm(size="small"), world.vm()
    world.start(first)
    world.start(second)
    world.pass_time(hours=18)
    world.settle()
    world.stop(second)
    world.pass_time(hours=18, minutes=20)
    world.settle()
    return first, second


@pytest.mark.integration
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns"])
def test_machines_projects_sizes_and_days_cost_the_same(world, zone):
    a_day_and_a_half(world, zone)
    start, end = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    spend = world.billing.spending.get_spend("alice", start, end)
    used = 50_000_000 - world.billing.get_balance("alice").total_micro
    for groups in (spend.by_vm, spend.by_project, spend.by_size, spend.by_day):
        assert sum(group.amount_micro for group in groups) == used
    assert spend.total_micro == used
    assert [group.name for group in spend.by_size] == ["small", "nano"]
    assert [group.name for group in spend.by_project] == ["main"]
    assert spend.by_day[-1].key in ("2026-11-30", "2026-12-01")
    assert next(group.key for group in spend.by_day if group.amount_micro) == "2026-11-23"


@pytest.mark.integration
def test_a_day_begins_at_the_accounts_midnight(world):
    a_day_and_a_half(world, "Asia/Kathmandu")  # 5:45 ahead: its 24th begins at 18:15 UTC
    start = datetime(2026, 11, 22, 18, 15, tzinfo=UTC)
    spend = world.billing.spending.get_spend("alice", start, start + timedelta(days=1))
    assert [group.key for group in spend.by_day] == ["2026-11-23"]
    assert spend.total_micro == 9 * 55_000  # charges are cut at whole hours: those from 10:00 to 18:00 begin in it


@pytest.mark.integration
def test_balances_of_the_past_are_what_they_were(world):
    seen = {}
    world.person("alice", credits=10_000_000)
    vm = world.vm(size="small")
    world.start(vm)
    for _ in range(4):
        world.pass_time(hours=14)
        world.settle()
        seen[world.clock.now()] = world.billing.get_balance("alice").total_micro
        world.pass_time(hours=10)
        world.settle()
        world.billing.add_credits("alice", 1_000_000, "more")
    points = world.billing.spending.get_balances("alice", past=timedelta(days=3), future=timedelta(days=30))
    was = {point.at: point.micro for point in points if not point.projected}
    midnights = [at for at in seen if at in was]
    assert len(midnights) == 4
    assert all(was[at] == seen[at] for at in midnights)
    assert was[world.clock.now()] == world.billing.get_balance("alice").total_micro


@pytest.mark.integration
def test_the_projection_ends_empty_at_the_run_out(world):
    world.person("alice", credits=10_000_000)
    world.start(world.vm(size="large"))
    balance = world.billing.get_runway("alice")
    points = world.billing.spending.get_balances("alice", past=timedelta(days=1), future=timedelta(days=30))
    empty = next(point for point in points if point.projected and point.micro == 0)
    assert empty.at == balance.runs_out_at
    assert points[-1].micro == 0


@pytest.mark.integration
def test_nothing_that_runs_means_a_level_line(world):
    world.person("alice", credits=1)
    points = world.billing.spending.get_balances("alice", past=timedelta(days=2), future=timedelta(days=2))
    assert {point.micro for point in points if point.projected} == {1}


@pytest.mark.integration
def test_what_if_stops_resizes_and_launches(world):
    first, second = a_day_and_a_half(world)
    ask = world.billing.spending.what_if
    balance = world.billing.get_balance("alice")
    assert balance.burn_micro_per_hour == 50_000 + 100

    def burn(**changes):
        return ask("alice", Changes(**changes), [NANO, LARGE]).burn_after_micro_per_hour

    assert burn() == 50_100
    assert burn(stop=frozenset({first.vm_id})) == 2_000 + 100
    assert burn(stop=frozenset({second.vm_id, "vm_nobody"})) == 50_100
    assert burn(sizes={first.vm_id: "size_large"}) == 200_000 + 100
    assert burn(sizes={second.vm_id: "size_large"}) == 50_000 + 8_000
    assert burn(sizes={first.vm_id: "size_gone"}) == 50_100
    assert burn(stop=frozenset({first.vm_id}), sizes={first.vm_id: "size_nano"}) == 100 + 100
    assert burn(launch={"size_large": 3}) == 50_100 + 600_000


@pytest.mark.integration
def test_what_if_says_when_and_what_is_missing(world):
    world.person("alice", credits=1_000_000)
    world.start(world.vm(size="small"))
    answer = world.billing.spending.what_if("alice", Changes(launch={"size_large": 5}), [LARGE])
    # As the landing plan has it: the last machine is asked to stop a minute before what is paid for it ends.
    minute = world.billing.landing.policy.stop_timeout
    assert answer.balance.runs_out_at == world.clock.now() + 20 * HOUR - minute
    assert answer.balance.runs_out_at == world.billing.landing.get_plan("alice").ends[-1].at
    assert answer.runs_out_at == world.clock.now() + timedelta(seconds=1_000_000 * 3600 // 1_050_000) - minute
    unchanged = world.billing.spending.what_if("alice", Changes(), [LARGE])
    assert unchanged.runs_out_at == unchanged.balance.runs_out_at
    assert (answer.needed_micro, answer.missing_micro) == (1_000_000, 50_000)
    assert answer.changes == 5


@pytest.mark.integration
@pytest.mark.error
def test_strangers_get_nothing(world):
    world.person("alice")
    charlie = Actor("charlie", Role.USER)
    spending, now = world.billing.spending, world.clock.now()
    for look in (
        lambda: spending.get_spend("alice", now, now + HOUR, actor=charlie),
        lambda: spending.get_balances("alice", past=HOUR, future=HOUR, actor=charlie),
        lambda: spending.what_if("alice", Changes(), [], actor=charlie),
    ):
        with pytest.raises(NotFoundError):
            look()


@pytest.mark.integration
def test_a_fleet_is_read_in_a_constant_number_of_statements(world):
    world.person("alice", credits=50_000_000)
    world.start(world.vm())
    with Statements(world.core.database) as for_one:
        world.billing.spending.what_if("alice", Changes(), [])
    for _ in range(4):
        world.start(world.vm())
    with Statements(world.core.database) as for_five:
        fleet = world.billing.spending.what_if("alice", Changes(), []).fleet
    assert for_five.count == for_one.count > 0
    assert len(fleet) == 5
    assert all(vm.is_running and vm.rate_micro_per_hour == 5_000 for vm in fleet)
    answer = what_if(world.billing.get_balance("alice"), fleet, [NANO], Changes(), HOUR)
    assert answer.difference_micro_per_hour == 0


# -- the last days, as the overview says them ---------------------------------------------------


@pytest.mark.integration
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu"])
def test_today_and_yesterday_cost_what_the_days_of_the_spend_say(world, zone):
    _, second = a_day_and_a_half(world, zone)
    world.start(second)
    world.pass_time(seconds=20)
    world.stop(second)  # its minimum is made up for
    world.pass_time(minutes=41)
    start, end = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    days = {day.key: day.amount_micro for day in world.billing.spending.get_spend("alice", start, end).by_day}
    today = world.clock.now().astimezone(ZoneInfo(zone)).date()
    lately = world.billing.spending.get_money("alice", zone)[2]
    assert lately.today_micro > 60 * 5_000 // 3600
    assert abs(lately.today_micro - days[f"{today}"]) <= 10
    assert abs(lately.yesterday_micro - days[f"{today - timedelta(days=1)}"]) <= 10


@pytest.mark.integration
def test_the_last_days_balances_are_those_of_the_ledger(world):
    world.person("alice", credits=10_000_000)
    world.person("bob", credits=1_000_000)
    assert world.billing.spending.get_money("alice", "UTC")[2].balances_micro == ()
    world.start(world.vm(size="small"))
    seen = []
    for _ in range(16):
        world.pass_time(hours=14)
        world.settle()
        balance = world.billing.get_balance("alice")
        seen.append(balance.wallet_micro + balance.held_micro)
        world.pass_time(hours=10)
        world.settle()
    assert world.clock.now().hour == 10
    assert list(world.billing.spending.get_money("alice", "UTC")[2].balances_micro) == seen[-14:]


@pytest.mark.integration
def test_the_last_days_take_one_statement_whatever_there_is(world, core):
    a_day_and_a_half(world)
    with Statements(core.database) as counted:
        world.billing.spending.get_money("alice", "UTC")
    assert len([text for text in counted.texts if "SELECT" in text]) == 1
