"""The biller run never, once, often, late, in parallel or killed half-way makes one and the same bill."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from tests.services.billing_world import World, sqlite_copy
from zentry_web.adapters.clock import ManualClock
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
    for work in (world.settle, world.billing.renew_holds, lambda: world.stop(vms[0]), lambda: world.delete(vms[1])):
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
