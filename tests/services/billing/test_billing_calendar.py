"""Clocks that people set: summer time, leap days, months that end in the account's zone, a clock set back."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.services.billing_world import World
from zentry_web.adapters.clock import ManualClock
from zentry_web.adapters.database import Database, make_engine
from zentry_web.models import DbUsageMonth
from zentry_web.services.base_service import Core

pytestmark = pytest.mark.integration

NANO = 5_000  # micro-credits per hour


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


def world_at(config, moment, zone):
    """A world whose clock stands at ``moment``, and a machine that a person started then."""
    made = World(Core(Database(make_engine(config.business_url)), ManualClock(moment)))
    made.person("alice", credits=50_000_000, zone=zone)
    vm = made.vm("alice")
    made.start(vm)
    return made, vm


def live(world, hours):
    """Hours go by with a worker that renews and settles."""
    for _ in range(hours):
        world.pass_time(seconds=3600)
        world.billing.runs.renew_holds()
        world.settle()


def months(world):
    """{month: (seconds, amount)} of what was used."""
    rows = world.rows(select(DbUsageMonth.month, DbUsageMonth.seconds, DbUsageMonth.amount))
    return {row.month: (row.seconds, row.amount) for row in rows}


@pytest.mark.parametrize(
    ("zone", "begin", "hours"),
    [
        ("Europe/Berlin", utc(2026, 10, 24, 20, 0), 12),  # an hour comes twice
        ("Europe/Berlin", utc(2027, 3, 27, 20, 0), 12),  # an hour is left out
        ("America/New_York", utc(2026, 10, 31, 22, 0), 12),
        ("Australia/Lord_Howe", utc(2027, 4, 3, 10, 0), 12),  # half an hour comes twice
    ],
)
def test_a_change_of_summer_time_neither_adds_nor_takes_seconds(config, zone, begin, hours):
    world, vm = world_at(config, begin, zone)
    live(world, hours)
    charges = [row for row in world.charges(vm) if row[0] == "usage"]
    assert sum(row[3] for row in charges) == hours * 3600
    assert sum(row[4] for row in charges) == hours * NANO
    assert all(row[2] - row[1] == timedelta(seconds=row[3]) for row in charges)
    assert world.breaches() == []
    world.database.dispose()


@pytest.mark.parametrize(
    ("zone", "end_of_month"),
    [
        ("Europe/Berlin", utc(2026, 10, 31, 23, 0)),  # winter again since the 25th
        ("Europe/Berlin", utc(2027, 3, 31, 22, 0)),  # summer since the 28th
        ("Asia/Kolkata", utc(2026, 11, 30, 18, 30)),  # in the middle of an hour of UTC
        ("UTC", utc(2028, 3, 1, 0, 0)),  # after a leap day
        ("Pacific/Kiritimati", utc(2028, 2, 29, 10, 0)),
    ],
)
def test_months_end_when_they_do_in_the_accounts_zone(config, zone, end_of_month):
    world, vm = world_at(config, end_of_month - timedelta(hours=2), zone)
    live(world, 4)
    world.delete(vm)  # the last half hour, where hours of UTC end in the middle of the zone's
    found = months(world)
    assert [found[month] for month in sorted(found)] == [(7200, 2 * NANO)] * 2
    cuts = {row[2] for row in world.charges(vm)}
    assert end_of_month in cuts
    assert world.breaches() == []
    world.database.dispose()


def test_the_29th_of_february_is_a_day_like_any_other(config):
    world, _vm = world_at(config, utc(2028, 2, 28, 0, 0), "UTC")
    live(world, 72)
    found = months(world)
    assert found == {"2028-02": (48 * 3600, 48 * NANO), "2028-03": (24 * 3600, 24 * NANO)}
    world.database.dispose()


def test_a_clock_that_is_set_back_charges_nothing_twice(config):
    world, vm = world_at(config, utc(2026, 11, 23, 9, 0), "UTC")
    live(world, 3)
    before = world.charges(vm)
    world.pass_time(seconds=-2 * 3600)
    world.billing.runs.renew_holds()
    world.settle()
    assert world.charges(vm) == before
    live(world, 4)
    charges = world.charges(vm)
    assert charges[: len(before)] == before
    assert sum(row[3] for row in charges) == 5 * 3600, "09:00 to 14:00, once"
    assert world.breaches() == []
    world.database.dispose()
