"""The biller run never, once, often, late, in parallel or killed half-way makes one and the same bill."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from tests.services.billing_world import World, sqlite_copy
from zentry_web.adapters.clock import ManualClock
from zentry_web.domain.credits.billing import AccountKind
from zentry_web.services.base_service import Core

pytestmark = pytest.mark.integration

START = datetime(2026, 11, 30, 16, 40, 30, tzinfo=UTC)
# (minutes after the start, what happens to which VM)
STORY = (
    (0, "start", 0),
    (3, "start", 1),
    (50, "stop", 0),
    (130, "start", 2),
    (131, "stop", 2),
    (200, "start", 0),
    (333, "delete", 1),
    (500, "stop", 0),
)
END = 600


def live(world, runs):
    """Live the story with the biller run at these minutes; what there is in the end."""
    world.person("alice", credits=5_000_000, zone="Asia/Kolkata")
    vms = [world.vm(), world.vm(size="micro"), world.vm(size="large")]
    todo = sorted([(minute, 1, what, who) for minute, what, who in STORY] + [(run, 0, "settle", 0) for run in runs])
    for minute, _, what, who in todo:
        world.clock.set(START + timedelta(minutes=minute))
        if what == "settle":
            world.settle()
        else:
            getattr(world, what)(vms[who])
    world.clock.set(START + timedelta(minutes=END))
    world.settle()
    assert world.breaches() == []
    return [world.charges(vm) for vm in vms], world.wallet(), world.held()


@pytest.fixture
def fresh(migrated_sqlite, tmp_path):
    """Makes worlds on fresh databases."""

    def make():
        shutil.rmtree(tmp_path / "db", ignore_errors=True)
        (tmp_path / "db").mkdir()
        return World(Core(sqlite_copy(migrated_sqlite, tmp_path / "db"), ManualClock(START)))

    return make


@given(runs=st.lists(st.integers(0, END), max_size=12))
@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@pytest.mark.timeout(300)
def test_the_bill_does_not_depend_on_when_the_biller_ran(fresh, runs):
    punctual, other = fresh(), None
    expected = live(punctual, range(0, END, 10))
    punctual.database.dispose()
    other = fresh()
    assert live(other, runs) == expected
    other.database.dispose()


class _Crash(Exception):
    pass


def test_a_crash_at_any_statement_leaves_the_ledger_in_order_and_the_bill_the_same(fresh):
    world = fresh()
    world.person("alice")
    vms = [world.vm(), world.vm(size="micro")]
    for vm in vms:
        world.start(vm)
    world.pass_time(hours=2, minutes=45)
    countdown = [0]

    def count(_connection, _cursor, statement, *_):
        if not statement.startswith(("BEGIN", "SELECT")):
            countdown[0] -= 1
            if countdown[0] == 0:
                raise _Crash

    event.listen(world.database.engine, "before_cursor_execute", count)
    hit = 0
    stop, delete = lambda: world.stop(vms[0]), lambda: world.delete(vms[1])
    for work in (world.settle, world.billing.runs.renew_holds, stop, delete):
        for nth in range(1, 40):
            countdown[0] = nth
            try:
                work()
            except _Crash:
                hit += 1
                countdown[0] = 0
                assert world.breaches() == []
            else:
                break
    assert hit >= 20
    event.remove(world.database.engine, "before_cursor_execute", count)
    assert world.wallet() + world.held() == 5_000_000 - sum(row[4] for row in world.charges())
    assert sum(world.seconds()) == 2 * 9_900
    world.database.dispose()


@pytest.mark.parametrize("times", [1, 2, 100])
def test_the_biller_run_never_once_twice_or_a_hundred_times_makes_one_bill(fresh, times):
    never = fresh()
    expected = live(never, [])
    never.database.dispose()
    often = fresh()
    assert live(often, [END * number // times for number in range(times)]) == expected
    often.database.dispose()


def test_the_order_of_independent_peoples_commands_changes_no_balance(fresh):
    def days(order):
        world = fresh()
        vms = {}
        for name in sorted(order):
            world.person(name, credits=1_000_000)
            vms[name] = world.vm(name)
        for work in (
            lambda name: world.start(vms[name]),
            lambda name: world.billing.add_credits(name, 123_456, "gift"),
            lambda name: world.billing.deduct_credits(name, 1_000, "taken"),
            lambda name: world.stop(vms[name]),
            lambda name: world.start(vms[name]),
            lambda name: world.delete(vms[name]),
        ):
            for name in order:
                work(name)
            world.pass_time(minutes=47, seconds=11)
            world.settle()
            world.billing.runs.renew_holds()
        assert world.breaches() == []
        found = {name: (world.wallet(name), world.held(name), world.charges(vms[name])) for name in sorted(order)}
        world.database.dispose()
        return found

    assert days(["alice", "bob", "carol"]) == days(["carol", "alice", "bob"]) == days(["bob", "carol", "alice"])


@pytest.mark.parametrize("away", [timedelta(minutes=1), timedelta(hours=1), timedelta(days=7)])
def test_after_the_worker_was_away_everything_is_paid_and_only_what_nobody_can_pay_is_written_off(fresh, away):
    world = fresh()
    world.person("alice", credits=10_000_000)
    world.person("bob", credits=20_000)
    rich, poor = world.vm("alice"), world.vm("bob")
    for vm in (rich, poor):
        world.start(vm)
    world.pass_time(seconds=away // timedelta(seconds=1))
    world.settle()
    stops = world.billing.runs.renew_holds()
    assert {stop.vm_id for stop in stops} <= {poor.vm_id}
    for vm in (rich, poor):
        world.stop(vm)
    used = max(60, away // timedelta(seconds=1))
    for vm, credits in ((rich, 10_000_000), (poor, 20_000)):
        cost = sum(row[4] for row in world.charges(vm))
        assert sum(world.seconds(vm)) == used
        assert world.wallet(vm.owner_id) + world.held(vm.owner_id) == max(0, credits - cost)
    owed = max(0, sum(row[4] for row in world.charges(poor)) - 20_000)
    assert -world.account(AccountKind.WRITE_OFF) == owed
    assert world.breaches() == []
    world.database.dispose()
