"""What is accepted can be computed, on both databases: amounts, prices and spans at their edges, and one beyond."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError as Refused

from tests.services.billing_world import HOUR, World
from zentry_web.config import Config
from zentry_web.domain.credits.budget import Budget, BudgetStatus, next_look
from zentry_web.domain.credits.landing import default_policy
from zentry_web.domain.credits.prices import ItemKind, PriceItem
from zentry_web.domain.credits.voucher import VoucherDraft
from zentry_web.domain.money import MAX_AMOUNT, MAX_DISK_RATE, MAX_RATE
from zentry_web.domain.user import SYSTEM
from zentry_web.services.errors import ValidationError

pytestmark = pytest.mark.integration

LARGEST = 2**63 - 1


@pytest.fixture
def world(core):
    made = World(core)
    made.person("alice", credits=MAX_AMOUNT)
    return made


def read_everything(world):
    """What the pages of that person and the worker's loops ask for."""
    billing, now = world.billing, world.clock.now()
    balance = billing.get_balance("alice")
    billing.landing.get_plan("alice")
    billing.landing.announce()
    billing.landing.keep_disks()
    billing.get_usage_summary("alice")
    billing.get_usage_summary("alice", now - timedelta(days=31))
    billing.reports.month_spend_by_project("alice")
    billing.bills.get_bill("alice", now - timedelta(days=31), now)
    billing.auto_top_ups.list_due()
    billing.list_transactions("alice")
    return balance


def test_a_machine_at_the_highest_price_can_be_computed_for_years(world):
    world.publish("small", MAX_RATE, MAX_DISK_RATE)
    vm = world.vm(size="small")
    world.start(vm)
    world.pass_time(hours=30)
    world.settle()
    world.billing.runs.renew_holds()
    assert world.breaches() == []
    world.pass_time(days=3 * 365)  # no worker ran: all of it is one span
    assert read_everything(world).accrued_micro == MAX_RATE * 24 * 3 * 365


def test_many_machines_at_the_highest_price_can_be_computed(world):
    world.publish("small", MAX_RATE, MAX_DISK_RATE)
    for _ in range(100):
        world.start(world.vm(size="small"))
    world.pass_time(days=30)
    assert read_everything(world).accrued_micro == 100 * MAX_RATE * 24 * 30


def test_the_lowest_rate_and_the_largest_wallet_have_no_end_and_are_no_error(world):
    world.publish("small", 1, 0)
    world.start(world.vm(size="small"))
    world.pass_time(hours=2)
    world.settle()
    assert read_everything(world).runs_out_at is None


@pytest.mark.error
@pytest.mark.parametrize(
    ("running", "disk", "field"),
    [(MAX_RATE + 1, 0, "running_micro_per_hour"), (0, MAX_DISK_RATE + 1, "disk_micro_per_gib_hour")],
)
def test_a_price_beyond_is_refused_by_both_ways_to_set_one(world, running, disk, field):
    with pytest.raises(ValidationError) as refused:
        world.billing.price_list.publish("size_small", running, disk, actor=SYSTEM)
    assert set(refused.value.details) == {field}
    item = PriceItem(ItemKind.SIZE, "size_small", running, disk)
    start = world.clock.now() + timedelta(days=60)
    with pytest.raises(ValidationError, match=r"at most 10,?0?0?0?\.00 credits"):
        world.billing.price_changes.save_draft("Winter", start, [item], actor=SYSTEM)


def test_prices_at_the_edge_can_be_announced_and_rehearsed(world):
    vm = world.vm(size="small")
    world.start(vm)
    for _ in range(3):
        world.pass_time(hours=1)
        world.settle()
        world.billing.runs.renew_holds()
    items = [
        PriceItem(ItemKind.SIZE, "size_small", MAX_RATE, MAX_DISK_RATE),
        PriceItem(ItemKind.IMAGE, "img_tiny", MAX_RATE),
    ]
    start = world.clock.now() + timedelta(days=60)
    change = world.billing.price_changes.save_draft("Winter", start, items, actor=SYSTEM)
    world.billing.price_rehearsal.rehearse(change, actor=SYSTEM)


@pytest.mark.error
def test_a_wallet_takes_no_more_than_can_be_computed(world):
    (voucher,) = world.billing.vouchers.create(VoucherDraft(1))
    for call in (
        lambda: world.billing.add_credits("alice", 1, "more"),
        lambda: world.billing.vouchers.redeem("alice", voucher.code),
    ):
        with pytest.raises(ValidationError, match="has room for"):
            call()
    assert world.wallet() == MAX_AMOUNT
    assert isinstance(world.billing.add_credits(world.person("bob", credits=0), MAX_AMOUNT, "much").id, str)
    with pytest.raises(ValidationError):
        world.billing.add_credits("bob", MAX_AMOUNT + 1, "too much")
    read_everything(world)


@pytest.mark.unit
def test_the_bounds_fit_together():
    assert MAX_AMOUNT * 2 * HOUR < LARGEST, "wallet and hold, as the landing compares them"
    three = 3 * MAX_RATE  # size, image, disk
    assert three * 9 * 365 * 86_400 < LARGEST
    assert MAX_DISK_RATE * 1000 == MAX_RATE
    assert default_policy(HOUR).window == timedelta(hours=1)


@pytest.mark.unit
def test_a_budget_at_its_edge_has_a_next_look():
    now = datetime(2026, 11, 23, tzinfo=UTC)
    budget = Budget("p", MAX_AMOUNT, (100,), hard_cap=False)
    status = BudgetStatus(budget, "2026-11", now + timedelta(days=7), now, 0, 1)
    assert next_look(status) == now + timedelta(hours=1)


@pytest.mark.unit
@pytest.mark.error
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("starting_credits", "1000000001"), ("approval_credits", "NaN"), ("approval_credits", "-1"),
        ("hold_window_seconds", 10**9), ("grace_days", 10**9), ("price_notice_days", 10**9),
        ("session_days", 10**9), ("metrics_hours", 10**9), ("sample_seconds", 10**9), ("stop_timeout_seconds", 10**9),
    ],
)  # fmt: skip
def test_start_up_refuses_spans_and_amounts_that_cannot_be_computed(tmp_path, name, value):
    with pytest.raises(Refused):
        Config(data=tmp_path, **{name: value})
