"""What people are shown: balance to the second, usage per VM, spend per project, quotes, prices."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.services.billing_world import World
from tests.services.people import ALWAYS, Statements, events_of
from zentry_web.domain.money import cost
from zentry_web.domain.user import Actor, Role
from zentry_web.domain.vms.catalogue import Size
from zentry_web.models import DbPriceVersion, DbProject
from zentry_web.services.errors import NotFoundError, PermissionDeniedError, ValidationError
from zentry_web.services.vms.catalogue import Catalogue

pytestmark = pytest.mark.integration

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
ADMIN = Actor("admin_1", Role.ADMIN, proved_at=ALWAYS)
NANO = Size("size_nano", "nano", 1, 128, 1, True, "price_nano_1", 1, 5_000, 100)


@pytest.fixture
def world(core):
    found = World(core)
    found.person("alice")
    return found


def queries(statements):
    """What was asked; SQLite's BEGIN is not."""
    return [sql for sql in statements.texts if not sql.startswith("BEGIN")]


# -- balance ------------------------------------------------------------------------------------


def test_a_balance_counts_seconds_that_are_not_charged_yet(world):
    world.start(world.vm())
    world.pass_time(minutes=12, seconds=34)
    balance = world.billing.get_balance("alice")
    assert (balance.wallet_micro, balance.held_micro) == (4_995_000, 5_000)
    assert balance.accrued_micro == cost(5_000, 754)
    assert balance.burn_micro_per_hour == 5_000
    assert balance.total_micro == 5_000_000 - cost(5_000, 754)


def test_charging_changes_no_total(world):
    running, stopped = world.vm(size="small"), world.vm(size="large")
    world.start(running, START + timedelta(seconds=11))
    world.start(stopped)
    world.stop(stopped, START + timedelta(minutes=13))
    world.pass_time(minutes=59, seconds=59)
    before = world.billing.get_balance("alice")
    world.settle()
    world.stop(running)
    after = world.billing.get_balance("alice")
    assert after.total_micro == before.total_micro
    assert (before.burn_micro_per_hour, after.burn_micro_per_hour) == (58_000, 10_000)


def test_the_accrued_sum_rounds_half_to_even_like_a_charge(world):
    world.start(world.vm(size="large"))
    world.stop(world.vm(size="nano"))  # 100 an hour: half a micro-credit every 18 seconds
    for seconds in range(0, 120, 6):
        world.clock.set(START + timedelta(seconds=seconds))
        expected = cost(200_000, seconds) + cost(100, seconds)
        assert world.billing.get_balance("alice").accrued_micro == expected


def test_a_balance_takes_one_statement_whatever_runs(world):
    world.billing.add_credits("alice", 10**9, "for many")
    for more in (1, 30):
        for _ in range(more):
            world.start(world.vm())
        with Statements(world.database) as statements:
            world.billing.get_balance("alice")
        assert len(queries(statements)) == 1


def test_there_is_no_balance_of_nobody(world):
    for look in (
        world.billing.get_balance,
        world.billing.get_usage_summary,
        world.billing.reports.month_spend_by_project,
    ):
        with pytest.raises(NotFoundError):
            look("nobody")


# -- usage --------------------------------------------------------------------------------------


def test_usage_of_this_month_per_vm_charged_and_accrued(world):
    first, second = world.vm(), world.vm(size="micro")
    world.start(first)
    world.start(second)
    world.pass_time(hours=2)
    world.settle()
    world.stop(first)
    world.pass_time(minutes=30)
    world.delete(second)
    summary = world.billing.get_usage_summary("alice")
    assert (summary.start, summary.end) == (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    assert [(line.vm_id, line.deleted) for line in summary.lines] == [(second.vm_id, False), (first.vm_id, False)]
    assert [(line.running_seconds, line.stopped_seconds) for line in summary.lines] == [(9_000, 0), (7_200, 1_800)]
    assert [line.amount_micro for line in summary.lines] == [37_500, 10_050]
    assert summary.total_micro == 47_550


def test_a_month_begins_where_the_account_lives(core):
    world = World(core)
    world.person("alice", zone="Asia/Kolkata")
    vm = world.vm()
    world.clock.set(datetime(2026, 11, 30, 17, 0, tzinfo=UTC))
    world.start(vm)
    world.pass_time(hours=3)
    for _ in range(2):  # the same before and after the biller has run
        summary = world.billing.get_usage_summary("alice")
        assert summary.start == datetime(2026, 11, 30, 18, 30, tzinfo=UTC)
        assert summary.lines[0].running_seconds == 5_400
        assert world.billing.reports.project_month_spend("p_alice") == 7_500
        world.settle()


def test_usage_of_any_period_adds_up_the_charges_that_begin_in_it(world):
    vm = world.vm()
    world.start(vm)
    world.pass_time(hours=5)
    world.settle()
    summary = world.billing.get_usage_summary("alice", START + timedelta(hours=1), START + timedelta(hours=3))
    assert [(line.running_seconds, line.amount_micro) for line in summary.lines] == [(7_200, 10_000)]
    assert world.billing.get_usage_summary("alice", START).lines[0].running_seconds == 5 * 3600


def test_a_minimum_is_in_the_amount_but_not_in_the_seconds(world):
    vm = world.vm()
    world.start(vm)
    world.pass_time(seconds=20)
    world.delete(vm)
    for summary in (world.billing.get_usage_summary("alice"), world.billing.get_usage_summary("alice", START)):
        assert [(line.running_seconds, line.amount_micro) for line in summary.lines] == [
            (20, cost(5_000, 20) + cost(5_000, 40))
        ]


def test_spend_per_project(world):
    with world.billing.transaction() as session:
        session.add(
            DbProject(id="p_2", owner_id="alice", name="lab", name_key="lab", created_at=START, deleted_at=None)
        )
    world.start(world.vm())
    world.start(world.vm(size="micro", project="p_2"))
    world.pass_time(hours=1, minutes=30)
    world.settle()
    assert world.billing.reports.month_spend_by_project("alice") == {"p_alice": 7_500, "p_2": 22_500}
    assert world.billing.reports.project_month_spend("p_2") == 22_500
    with pytest.raises(NotFoundError):
        world.billing.reports.project_month_spend("p_3")


def test_balance_and_spend_read_together_are_those_read_apart_also_over_the_end_of_a_month(world):
    with world.billing.transaction() as session:
        session.add(
            DbProject(id="p_2", owner_id="alice", name="lab", name_key="lab", created_at=START, deleted_at=None)
        )
    world.start(world.vm(size="nano"))
    world.start(world.vm(size="micro", project="p_2"))
    for at in (
        START + timedelta(hours=5),
        datetime(2026, 11, 30, 23, 59, 58, tzinfo=UTC),
        datetime(2026, 12, 1, 0, 0, 7, tzinfo=UTC),
    ):
        world.clock.set(at)
        apart = world.billing.get_runway("alice"), world.billing.reports.month_spend_by_project("alice")
        assert world.billing.spending.get_money("alice", "UTC")[:2] == apart
        with Statements(world.database) as statements:
            world.billing.spending.get_money("alice", "UTC")
        assert len(queries(statements)) == (5 if apart[0].is_ending else 1)
        world.settle()
    with pytest.raises(NotFoundError):
        world.billing.spending.get_money("nobody", "UTC")


def test_reports_take_a_constant_number_of_statements(world):
    world.billing.add_credits("alice", 10**9, "for many")
    counts = []
    for more in (1, 30):
        for _ in range(more):
            world.start(world.vm())
        world.pass_time(hours=1)
        world.settle()
        with Statements(world.database) as statements:
            world.billing.get_usage_summary("alice")
            world.billing.get_usage_summary("alice", START)
            world.billing.reports.month_spend_by_project("alice")
            world.billing.reports.project_month_spend("p_alice")
            world.billing.list_transactions("alice")
            world.billing.quote("alice", NANO)
        counts.append(len(queries(statements)))
    assert counts[0] == counts[1] <= 12


# -- quotes and prices --------------------------------------------------------------------------


def test_a_quote_tells_price_hold_and_how_long_credits_last_after_it(world):
    world.start(world.vm())
    quote = world.billing.quote("alice", NANO)
    assert (quote.running_micro_per_hour, quote.stopped_micro_per_hour) == (5_000, 100)
    assert quote.month_micro == 730 * 5_000
    assert (quote.hold_micro, quote.available_micro, quote.missing_micro) == (5_000, 4_995_000, 0)
    assert quote.burn_after_micro_per_hour == 10_000
    assert quote.runs_out_at == START + timedelta(hours=500)


def test_a_cost_is_worked_out_from_whole_numbers_only(world):
    assert world.billing.calculate_cost(12_000, 4_055) == 13_517
    for rate, seconds in ((1.5, 10), (10, 1.5), (-1, 10), (10, -1), (True, 10)):
        with pytest.raises(ValidationError):
            world.billing.calculate_cost(rate, seconds)


def versions(world):
    query = select(DbPriceVersion.number, DbPriceVersion.running_micro_per_hour, DbPriceVersion.starts_at)
    return [tuple(row) for row in world.rows(query.where(DbPriceVersion.size_id == "size_nano").order_by("number"))][1:]


def test_a_new_price_is_a_new_version_and_running_vms_keep_theirs(world):
    vm = world.vm()
    world.start(vm)
    later = START + timedelta(days=7)
    world.billing.price_list.publish("size_nano", 6_000, 100, starts_at=later, actor=ADMIN)
    assert versions(world) == [(2, 6_000, later)]
    world.pass_time(days=8)
    assert world.billing.get_balance("alice").burn_micro_per_hour == 5_000
    (event,) = events_of(world.core, "price.publish")
    assert (event.resource_id, event.details["version"]) == ("size_nano", 2)


def test_prices_follow_one_another(world):
    publish = world.billing.price_list.publish
    publish("size_nano", 6_000, 100, starts_at=START + timedelta(days=7), actor=ADMIN)
    with pytest.raises(ValidationError) as refused:
        publish("size_nano", 7_000, 100, starts_at=START - timedelta(seconds=1), actor=ADMIN)
    assert list(refused.value.details) == ["starts_at"]
    publish("size_nano", 7_000, 100, starts_at=START + timedelta(days=6), actor=ADMIN)
    publish("size_nano", 8_000, 100, actor=ADMIN)
    assert [number for number, *_ in versions(world)] == [2, 3, 4]
    found = []
    for _ in range(3):
        size = next(size for size in Catalogue(world.core, world.billing).list_sizes() if size.id == "size_nano")
        found.append((size.price_version, size.running_micro_per_hour, size.coming and size.coming.starts_at))
        world.pass_time(days=6)
    assert [each[:2] for each in found[:2]] == [(4, 8_000), (3, 7_000)]
    assert found[0][2] == START + timedelta(days=6)
    assert found[1][2] == START + timedelta(days=7)
    assert found[2][:2] == (2, 6_000)


@pytest.mark.parametrize(("running", "disk", "field"), [(-1, 1, "running"), (1, 1.5, "disk"), (10**16, 1, "running")])
def test_prices_are_whole_micro_credits(world, running, disk, field):
    with pytest.raises(ValidationError) as refused:
        world.billing.price_list.publish("size_nano", running, disk, actor=ADMIN)
    assert next(iter(refused.value.details)).startswith(field)


def test_only_admins_publish_and_only_for_sizes_there_are(world):
    with pytest.raises(PermissionDeniedError):
        world.billing.price_list.publish("size_nano", 1, 1, actor=Actor("alice", Role.USER))
    with pytest.raises(NotFoundError):
        world.billing.price_list.publish("size_huge", 1, 1, actor=ADMIN)
