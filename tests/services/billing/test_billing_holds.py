"""Holds: running is paid in advance, renewed in time, and its end is known to the second."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.services.billing_world import HOUR, World
from tests.services.people import Statements
from zentry_web.domain.credits.billing import CreditStop, TransferKind
from zentry_web.models import DbHold
from zentry_web.services.billing.usage import settlement
from zentry_web.services.errors import InsufficientCreditsError

pytestmark = pytest.mark.integration

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


@pytest.fixture
def world(core):
    found = World(core)
    found.person("alice")
    return found


def test_accepting_a_start_sets_the_first_hour_aside(world):
    vm = world.vm()
    world.accept(vm)
    assert (world.wallet(), world.held()) == (4_995_000, 5_000)
    assert world.hold(vm).paid_until is None
    made = world.billing.list_transactions("alice")[0]
    assert (made.kind, made.amount_micro, made.vm_id, made.vm_name) == (TransferKind.HOLD, 0, vm.vm_id, "web-1")
    assert world.breaches() == []


def test_a_start_accepted_twice_is_held_for_once(world):
    vm = world.vm()
    world.accept(vm)
    world.accept(vm)
    assert world.held() == 5_000


def test_a_start_the_wallet_cannot_pay_is_refused_and_nothing_moves(core):
    world = World(core)
    world.person("alice", credits=4_999)
    vm = world.vm()
    with pytest.raises(InsufficientCreditsError) as refused:
        world.accept(vm)
    assert refused.value.details == {"needed": 5_000, "available": 4_999}
    assert (world.wallet(), world.held(), world.hold(vm)) == (4_999, 0, None)


def test_the_last_hour_of_a_wallet_can_be_used(core):
    world = World(core)
    world.person("alice", credits=5_000)
    vm = world.vm()
    world.start(vm)
    assert (world.wallet(), world.held()) == (0, 5_000)
    assert world.hold(vm).paid_until == START + timedelta(hours=1)


def test_a_start_that_fails_gives_the_hold_back(world):
    vm = world.vm()
    world.accept(vm)
    with world.changing(vm, "stopped"):
        world.billing.release_hold(vm.vm_id)
    assert (world.wallet(), world.held(), world.hold(vm)) == (5_000_000, 0, None)
    with world.changing(vm, "stopped"):
        world.billing.release_hold(vm.vm_id)  # nothing left to give
    assert world.breaches() == []


def test_the_hold_of_a_running_vm_cannot_be_released_from_under_it(world):
    vm = world.vm()
    world.start(vm)
    with world.changing(vm, "running"):
        world.billing.release_hold(vm.vm_id)
    assert world.held() == 5_000


def test_running_binds_the_hold_and_knows_its_end(world):
    vm = world.vm()
    world.accept(vm)
    world.pass_time(minutes=10)
    world.run(vm)
    assert world.hold(vm).paid_until == START + timedelta(minutes=70)
    assert world.breaches() == []


def test_running_without_a_hold_places_one_or_is_refused(core):
    world = World(core)
    world.person("alice", credits=5_000)
    first, second = world.vm(), world.vm()
    world.run(first)
    assert world.held() == 5_000
    with pytest.raises(InsufficientCreditsError):
        world.run(second)
    assert world.intervals(second) == []
    assert world.breaches() == []


def test_stopping_gives_the_rest_of_the_hold_back(world):
    vm = world.vm()
    world.start(vm)
    world.pass_time(minutes=30)
    world.stop(vm)
    assert (world.wallet(), world.held()) == (5_000_000 - 2_500, 0)
    assert world.breaches() == []


def test_a_run_that_goes_on_keeps_its_hold(world):
    vm = world.vm()
    world.start(vm)
    before = world.hold(vm)
    world.pass_time(minutes=30)
    world.run(vm, by_person=False)
    after = world.hold(vm)
    assert (after.id, after.remaining) == (before.id, 2_500)
    assert after.interval_id != before.interval_id
    assert after.paid_until == START + timedelta(hours=1)
    assert world.breaches() == []


def test_settling_does_not_move_the_end_of_a_hold(world):
    vm = world.vm()
    world.start(vm, START + timedelta(minutes=20))
    world.pass_time(hours=1, minutes=5)
    before = world.hold(vm).paid_until
    world.settle()
    assert world.hold(vm).paid_until == before
    assert world.hold(vm).remaining == 5_000 - 3_333


# -- renewal ------------------------------------------------------------------------------------


def test_a_hold_with_more_than_half_left_is_left_alone(world):
    vm = world.vm()
    world.start(vm)
    world.pass_time(minutes=30)
    assert world.billing.runs.renew_holds() == []
    assert world.held() == 5_000


def test_a_hold_with_less_than_half_left_is_renewed_to_a_whole_window(world):
    vm = world.vm()
    world.start(vm)
    world.pass_time(minutes=40)
    assert world.billing.runs.renew_holds() == []
    assert world.hold(vm).paid_until == START + timedelta(minutes=100)
    assert world.held() == 5_000 + 3_333
    assert world.billing.runs.renew_holds() == []
    assert world.held() == 5_000 + 3_333
    assert world.breaches() == []


def test_many_holds_of_a_wallet_are_renewed_by_one_transfer_and_few_statements(world):
    vms = [world.vm() for _ in range(40)]
    for vm in vms:
        world.start(vm)
    world.pass_time(minutes=40)
    with Statements(world.database) as statements:
        world.billing.runs.renew_holds()
    assert statements.count <= 20
    assert world.held() == 40 * (5_000 + 3_333)
    kinds = [made.reason for made in world.billing.list_transactions("alice")]
    assert kinds.count("Holds renewed") == 1


def test_a_wallet_that_cannot_renew_pays_every_second_it_can(core):
    world = World(core)
    world.person("alice", credits=5_000 + 500)
    vm = world.vm()
    world.start(vm)
    world.pass_time(minutes=40)
    (stop,) = world.billing.runs.renew_holds()
    assert stop == CreditStop(vm.vm_id, START + timedelta(hours=1, seconds=360))
    assert (world.wallet(), world.held()) == (0, 5_500)
    assert world.billing.runs.renew_holds() == [stop]
    assert world.breaches() == []


def test_the_end_told_is_the_second_the_credits_end(core):
    world = World(core)
    world.person("alice", credits=5_000 + 500)
    vm = world.vm()
    world.start(vm)
    world.pass_time(minutes=40)
    (stop,) = world.billing.runs.renew_holds()
    world.clock.set(stop.ends_at)
    world.settle()
    world.stop(vm)
    assert (world.wallet(), world.held()) == (0, 0)
    assert world.rows(select(DbHold.remaining)) == [(0,)]
    assert world.account("write_off") == 0


def test_a_top_up_is_used_at_the_next_renewal(core):
    world = World(core)
    world.person("alice", credits=5_000)
    vm = world.vm()
    world.start(vm)
    world.pass_time(minutes=40)
    assert [stop.ends_at for stop in world.billing.runs.renew_holds()] == [START + timedelta(hours=1)]
    world.billing.add_credits("alice", 1_000_000, "top-up")
    assert world.billing.runs.renew_holds() == []
    assert world.hold(vm).paid_until == START + timedelta(minutes=100)


def test_only_the_vms_whose_wallet_is_short_are_named(core):
    world = World(core)
    world.person("alice", credits=10_000)
    world.person("bob")
    poor, rich = world.vm("alice", size="nano"), world.vm("bob")
    world.start(poor)
    world.start(rich)
    world.billing.deduct_credits("alice", 5_000, "leaves the hold only")
    world.pass_time(minutes=45)
    assert [stop.vm_id for stop in world.billing.runs.renew_holds()] == [poor.vm_id]


def test_after_a_week_without_the_worker_only_what_cannot_be_paid_ends(core):
    world = World(core)
    world.person("alice", credits=2_000_000)
    world.person("bob", credits=100_000)
    rich, poor = world.vm("alice"), world.vm("bob")
    world.start(rich)
    world.start(poor)
    world.pass_time(days=7)
    world.settle()
    (stop,) = world.billing.runs.renew_holds()
    assert stop.vm_id == poor.vm_id
    assert stop.ends_at <= world.clock.now()
    assert world.account("write_off") == -(168 * 5_000 - 100_000)
    assert world.hold(rich).paid_until == world.clock.now() + timedelta(hours=1)
    assert world.breaches() == []


def test_renewing_before_settling_after_an_outage_is_right_too(world):
    vm = world.vm()
    world.start(vm)
    world.pass_time(hours=10, minutes=10)
    assert world.billing.runs.renew_holds() == []
    assert world.hold(vm).paid_until == world.clock.now() + timedelta(hours=1)
    world.settle()
    assert world.account("write_off") == 0
    assert world.wallet() + world.held() == 5_000_000 - 50_000
    assert world.breaches() == []


def test_more_holds_than_one_transaction_takes_are_renewed_in_several(world, monkeypatch):
    monkeypatch.setattr(settlement, "INTERVALS_PER_TRANSACTION", 4)
    vms = [world.vm() for _ in range(10)]
    for vm in vms:
        world.start(vm)
    world.pass_time(minutes=40)
    world.billing.runs.renew_holds()
    assert {world.hold(vm).paid_until for vm in vms} == {START + timedelta(minutes=100)}
    assert world.breaches() == []


def test_the_window_is_a_setting(core):
    world = World(core, window=2 * HOUR)
    world.person("alice")
    vm = world.vm()
    world.start(vm)
    assert world.held() == 10_000
    assert world.hold(vm).paid_until == START + timedelta(hours=2)
