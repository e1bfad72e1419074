"""Sums per day: from the ledger, kept once, the same however often and by whomever they are made."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from tests.services.billing_world import World
from tests.services.people import ALWAYS, Statements
from zentry_web.domain.credits.books import day_number
from zentry_web.domain.user import Actor, Role
from zentry_web.models import DbLedgerDay
from zentry_web.services.errors import PermissionDeniedError

pytestmark = pytest.mark.integration


@pytest.fixture
def world(core):
    """Three days: a grant and hours of usage, a refund and a deduction, a machine that nobody could pay."""
    made = World(core)
    made.person("alice")
    made.person("bob", credits=6_000)
    vm, poor = made.vm(size="small"), made.vm("bob", size="nano")
    made.start(vm)
    made.start(poor)
    made.pass_time(hours=3)
    made.settle()
    made.billing.runs.renew_holds()
    made.delete(poor)
    made.pass_time(days=1)
    made.settle()
    made.billing.runs.renew_holds()
    (interval,) = made.rows(text("SELECT interval_id FROM charge WHERE amount = 50000 LIMIT 1"))[0]
    made.billing.books.approvals.refund(
        f"interval:{interval}", 70_000, "Host down", actor=Actor("g", Role.ADMIN, proved_at=ALWAYS)
    )
    made.billing.deduct_credits("alice", 1_000, "Back")
    made.pass_time(days=1)
    return made


def days(world, back=3):
    today = day_number(world.clock.now())
    return world.billing.books.totals.list_days(today - back, today)


def kept(world):
    return [
        tuple(row) for row in world.rows(select(DbLedgerDay.__table__).order_by(*DbLedgerDay.__table__.primary_key))
    ]


def test_a_day_brings_what_the_ledger_says(world):
    before, first, second, third = days(world)
    assert (before.usage_micro, before.liability_micro) == (0, 0)
    assert (first.usage_micro, first.grants_micro, first.write_offs_micro) == (165_000, 5_006_000, 9_000)
    assert (second.usage_micro, second.grants_micro, second.refunds_micro) == (24 * 50_000, -1_000, 70_000)
    assert third == type(third)(day=third.day, liability_micro=second.liability_micro)
    held = world.rows(text("SELECT SUM(balance) FROM account WHERE kind IN ('wallet', 'held')"))[0][0]
    assert third.liability_micro == held


def test_kept_sums_are_the_same_as_fresh_ones(world):
    fresh = days(world)
    totals = world.billing.books.totals
    assert totals.close_days() == 2
    rows = kept(world)
    assert days(world) == fresh
    assert (totals.close_days(), kept(world)) == (0, rows)
    for back in range(3):
        assert days(world, back) == fresh[-back - 1 :]
    world.pass_time(days=40)
    assert totals.close_days() == 0, "days without anything need no row"
    assert world.breaches() == []


def test_a_day_is_kept_an_hour_after_its_end(world):
    world.clock.set(world.clock.now().replace(hour=0, minute=30))
    assert world.billing.books.totals.close_days() == 1
    world.pass_time(minutes=31)
    assert world.billing.books.totals.close_days() == 1


def test_two_workers_at_once(world):
    threads = [threading.Thread(target=world.billing.books.totals.close_days) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.breaches() == []
    assert days(world)[-1].liability_micro > 0


def test_three_statements_and_admins_only(world):
    world.billing.books.totals.close_days()
    with Statements(world.database) as statements:
        days(world, 300)
    assert statements.count <= 5  # with BEGIN
    with pytest.raises(PermissionDeniedError):
        world.billing.books.totals.list_days(0, 1, actor=Actor("alice", Role.USER))


def test_a_day_in_the_future_is_empty(world):
    today = day_number(world.clock.now())
    assert world.billing.books.totals.list_days(today + 5, today + 6)[0].usage_micro == 0
    assert timedelta(days=1) * 2 == days(world)[2].day - days(world)[0].day
