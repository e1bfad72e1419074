"""Usage intervals and their settlement: what is charged, when, from where, and that it is charged once."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update

from tests.services.billing_world import HOUR, World
from tests.services.people import Statements
from zentry_web.adapters.database import Database, make_engine
from zentry_web.domain.credits.billing import AccountKind, TransferKind
from zentry_web.models import DbTransfer, DbUsageInterval, DbUser
from zentry_web.services.base_service import Core
from zentry_web.services.billing.usage import settlement
from zentry_web.services.billing.usage.settlement import INTERVAL

pytestmark = pytest.mark.integration


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def world(core):
    found = World(core)
    found.person("alice")
    return found


# -- opening and closing ------------------------------------------------------------------------


def test_a_run_is_charged_to_the_second(world):
    vm = world.vm()
    world.start(vm, at("2026-11-23 14:03:07"))
    world.stop(vm, at("2026-11-23 15:10:42"))
    assert [(kind, seconds, amount) for kind, _, _, seconds, amount in world.charges(vm)] == [
        ("usage", 3413, 4740),
        ("usage", 642, 892),
    ]
    assert world.wallet() == 5_000_000 - 4740 - 892
    assert world.held() == 0
    assert world.breaches() == []


def test_a_stopped_vm_costs_its_disk_until_it_is_deleted(world):
    vm = world.vm()
    world.start(vm, at("2026-11-23 10:00"))
    world.stop(vm, at("2026-11-23 11:00"))
    world.delete(vm, at("2026-11-23 11:30"))
    assert [row[4] for row in world.charges(vm)] == [5_000, 50]
    world.pass_time(days=3)
    assert world.settle() == 0
    assert world.billing.get_balance("alice").burn_micro_per_hour == 0


def test_the_next_interval_begins_where_the_last_ended(world):
    vm = world.vm()
    world.start(vm, at("2026-11-23 10:00:00.9"))
    world.stop(vm, at("2026-11-23 10:30:00.2"))
    world.start(vm, at("2026-11-23 10:45"))
    assert world.intervals(vm) == [
        ("running", at("2026-11-23 10:00"), at("2026-11-23 10:30")),
        ("stopped", at("2026-11-23 10:30"), at("2026-11-23 10:45")),
        ("running", at("2026-11-23 10:45"), None),
    ]


def test_intervals_name_the_events_that_opened_and_closed_them(world):
    vm = world.vm()
    world.start(vm)
    world.pass_time(minutes=5)
    world.stop(vm)
    rows = world.rows(select(DbUsageInterval.opened_by, DbUsageInterval.closed_by).order_by(DbUsageInterval.start_at))
    assert rows[0].closed_by == rows[1].opened_by
    assert rows[1].closed_by is None


def test_a_short_run_pays_its_minimum_on_a_line_of_its_own(world):
    vm = world.vm()
    world.start(vm, at("2026-11-23 10:00:10"))
    world.stop(vm, at("2026-11-23 10:00:32"))
    assert [(kind, seconds, amount) for kind, _, _, seconds, amount in world.charges(vm)] == [
        ("usage", 22, 31),
        ("minimum", 38, 53),
    ]
    assert world.breaches() == []


def test_a_start_by_zentry_itself_has_no_minimum(world):
    vm = world.vm()
    world.start(vm, at("2026-11-23 10:00:10"), by_person=False)
    world.stop(vm, at("2026-11-23 10:00:32"))
    assert world.seconds(vm) == [22]


def test_a_run_that_goes_on_in_another_interval_pays_its_minimum_once(world):
    vm = world.vm()
    world.start(vm, at("2026-11-23 10:00:00"))
    world.run(vm, at("2026-11-23 10:00:20"), by_person=False)  # a resize, say
    world.stop(vm, at("2026-11-23 10:00:35"))
    assert world.seconds(vm) == [20, 15, 25]
    assert world.breaches() == []


def test_a_second_start_by_a_person_pays_a_minimum_of_its_own(world):
    vm = world.vm()
    world.start(vm, at("2026-11-23 10:00:00"))
    world.run(vm, at("2026-11-23 10:00:20"))
    world.stop(vm, at("2026-11-23 10:00:30"))
    assert sorted(world.seconds(vm)) == [10, 20, 40, 50]
    assert world.breaches() == []


def test_a_start_and_stop_in_the_same_second_is_a_minute(world):
    vm = world.vm()
    world.start(vm, at("2026-11-23 10:00:10.1"))
    world.stop(vm, at("2026-11-23 10:00:10.8"))
    assert [row[:1] + row[3:] for row in world.charges(vm)] == [("minimum", 60, 83)]
    assert world.breaches() == []


def test_deleting_what_never_ran_gives_the_hold_back(world):
    vm = world.vm()
    world.accept(vm)
    world.delete(vm)
    assert (world.wallet(), world.held()) == (5_000_000, 0)
    assert world.charges() == []
    assert world.breaches() == []


def test_closing_twice_changes_nothing(world):
    vm = world.vm()
    world.start(vm)
    world.pass_time(minutes=10)
    world.delete(vm)
    before = (world.wallet(), world.charges())
    world.pass_time(minutes=10)
    world.delete(vm)
    assert (world.wallet(), world.charges()) == before


# -- settling -----------------------------------------------------------------------------------


def test_settling_charges_whole_hours_and_leaves_the_rest(world):
    vm = world.vm()
    world.start(vm, at("2026-11-23 10:20"))
    world.pass_time(hours=3, minutes=15)
    assert world.settle() == 3
    assert world.seconds(vm) == [2400, 3600, 3600]
    assert world.settle() == 0


def test_one_transfer_per_wallet_and_run(world):
    for _ in range(3):
        world.start(world.vm())
    world.pass_time(hours=2)
    assert world.settle() == 6
    usage = [made for made in world.billing.list_transactions("alice") if made.kind == TransferKind.USAGE]
    assert [made.amount_micro for made in usage] == [-30_000]
    assert usage[0].reason == "Usage until 2026-11-23 12:00:00 UTC"


def test_nothing_is_charged_beyond_the_last_confirmed_second(world):
    vm = world.vm()
    world.start(vm)
    world.pass_time(hours=5)
    assert world.settle(confirmed=at("2026-11-23 12:59:59")) == 2
    assert world.settle(confirmed=at("2026-11-23 09:00")) == 0
    assert world.settle(confirmed=at("2026-11-24 00:00")) == 3


def test_a_vm_that_was_gone_when_the_host_answered_is_charged_to_the_last_confirmed_second(world):
    vm = world.vm()
    world.start(vm)
    world.pass_time(hours=5)
    confirmed = at("2026-11-23 12:20:05")
    world.settle(confirmed)
    world.delete(vm, confirmed)
    assert sum(world.seconds(vm)) == 2 * HOUR + 1205
    assert world.breaches() == []


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_a_month_ends_where_the_account_lives(core, zone):
    world = World(core)
    world.person("alice", zone=zone)
    vm = world.vm()
    world.clock.set(at("2026-11-30 17:45"))
    world.start(vm)
    world.pass_time(hours=12)
    world.settle()
    ends = [row[2] for row in world.charges(vm)]
    assert (at("2026-11-30 18:30") in ends) is (zone == "Asia/Kolkata")
    assert at("2026-12-01 00:00") in ends
    assert at("2026-12-01 05:00") in ends
    assert sum(world.seconds(vm)) == 11 * HOUR + 900
    assert world.breaches() == []


def test_a_change_of_the_time_zone_leaves_open_intervals_cut_as_they_were(world):
    vm = world.vm()
    world.clock.set(at("2026-11-30 17:45"))
    world.start(vm)
    with world.billing.transaction() as session:
        session.execute(update(DbUser).values(time_zone="Asia/Kolkata"))
    world.pass_time(hours=3)
    world.settle()
    assert world.seconds(vm) == [900, 3600, 3600]
    assert world.breaches() == []


def test_a_leap_day_is_a_day(world):
    vm = world.vm()
    world.clock.set(at("2028-02-28 12:00"))
    world.billing.add_credits("alice", 10**9, "for a long time")
    world.start(vm)
    world.pass_time(days=2)
    world.settle()
    assert sum(world.seconds(vm)) == 2 * 24 * HOUR
    assert world.clock.now() == at("2028-03-01 12:00")


# -- clocks that step back ----------------------------------------------------------------------


def test_a_clock_that_steps_back_charges_nothing_twice(world):
    vm = world.vm()
    world.start(vm, at("2026-11-23 10:00"))
    world.pass_time(hours=3)
    world.settle()
    world.pass_time(hours=-2)
    assert world.settle() == 0
    assert world.billing.get_balance("alice").accrued_micro == 0
    world.stop(vm)  # the driver's clock stepped back too
    assert world.intervals(vm)[0] == ("running", at("2026-11-23 10:00"), at("2026-11-23 13:00"))
    world.start(vm)
    world.pass_time(hours=4)
    world.settle()
    assert world.breaches() == []


def test_a_report_from_before_the_last_interval_opens_at_its_end(world):
    vm = world.vm()
    world.start(vm, at("2026-11-23 10:00"))
    world.delete(vm, at("2026-11-23 10:30"))
    world.start(vm, at("2026-11-23 10:10"))
    assert world.intervals(vm)[1][1] == at("2026-11-23 10:30")
    assert world.breaches() == []


# -- who pays -----------------------------------------------------------------------------------


def test_after_an_outage_the_hold_pays_first_then_the_wallet(world):
    vm = world.vm(size="large")
    world.start(vm)
    world.pass_time(hours=10)
    world.settle()
    assert world.held() == 0
    assert world.wallet() == 5_000_000 - 10 * 200_000
    assert world.account(AccountKind.WRITE_OFF) == 0
    assert world.account(AccountKind.REVENUE) == 2_000_000


def test_only_what_neither_hold_nor_wallet_can_pay_is_written_off(core):
    world = World(core)
    world.person("alice", credits=250_000)
    vm = world.vm(size="large")
    world.start(vm)
    world.pass_time(hours=4)
    world.settle()
    assert (world.wallet(), world.held()) == (0, 0)
    assert world.account(AccountKind.WRITE_OFF) == -(800_000 - 250_000)
    assert world.account(AccountKind.REVENUE) == 800_000
    assert world.breaches() == []


def test_a_disk_that_nobody_can_pay_is_kept_without_debt(core):
    world = World(core)
    world.person("alice", credits=5_000)
    vm = world.vm()
    world.start(vm)
    world.pass_time(hours=1)
    world.stop(vm)
    world.pass_time(days=3)
    world.settle()
    assert (world.wallet(), world.held()) == (0, 0)
    assert world.account(AccountKind.WRITE_OFF) == -72 * 100
    assert world.breaches() == []


def test_seconds_too_cheap_to_count_are_charged_as_nothing(world):
    vm = world.vm()
    world.start(vm, at("2026-11-23 10:00"))
    world.stop(vm, at("2026-11-23 10:30"))
    world.start(vm, at("2026-11-23 10:30:01"))
    assert world.charges(vm)[1][3:] == (1, 0)
    assert world.breaches() == []


# -- many ---------------------------------------------------------------------------------------


def test_many_intervals_take_few_statements(world):
    world.billing.add_credits("alice", 10**9, "for many")
    counts = []
    for more in (2, 60):
        for _ in range(more):
            world.start(world.vm())
        world.pass_time(hours=1)
        with Statements(world.database) as statements:
            world.settle()
        counts.append(statements.count)
    assert counts[0] == counts[1] <= 20


def test_more_than_one_transaction_takes_is_settled_in_several(world, monkeypatch):
    monkeypatch.setattr(settlement, "INTERVALS_PER_TRANSACTION", 3)
    monkeypatch.setattr(settlement, "LINES_PER_TRANSACTION", 6)
    world.person("bob")
    for owner in ("alice", "alice", "alice", "alice", "bob"):
        world.start(world.vm(owner))
    world.pass_time(hours=7)
    assert world.settle() == 5 * 7
    assert {row.settled_until for row in world.rows(select(DbUsageInterval.settled_until))} == {at("2026-11-23 17:00")}
    assert len(world.rows(select(DbTransfer.id).where(DbTransfer.kind == "usage"))) > 5
    assert world.breaches() == []


def test_looking_for_what_is_due_reads_no_history(sqlite_config, clock):
    core = Core(Database(make_engine(sqlite_config.business_url)), clock)
    query = settlement.items_query().where(INTERVAL.c.owner_id.in_(["alice"]), INTERVAL.c.settled_until < clock.now())
    compiled = query.compile(core.database.engine, compile_kwargs={"literal_binds": True})
    with core.database.reading() as session:
        plan = [row.detail for row in session.execute(text(f"EXPLAIN QUERY PLAN {compiled}"))]
    assert not [line for line in plan if line.startswith("SCAN")]
    assert [line for line in plan if "ix_usage_interval_unsettled" in line or "ix_usage_interval_due" in line]
    core.database.dispose()


def test_a_week_without_the_worker_ends_in_the_same_bill(world):
    vm = world.vm()
    world.start(vm, at("2026-11-23 10:12:34"))
    world.pass_time(days=7)
    world.settle()
    world.stop(vm)
    assert sum(world.seconds(vm)) == (world.clock.now() - at("2026-11-23 10:12:34")) // timedelta(seconds=1)
    assert world.breaches() == []
