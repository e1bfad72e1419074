"""The landing on a database: owners are told, machines stop in order, disks are kept, credits undo all of it."""

from datetime import timedelta

import pytest

from tests.services.people import acting
from zentry_web.domain.credits.landing import LandingStep, make_plan
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.state import VMState
from zentry_web.services.billing.usage import runway
from zentry_web.services.errors import NotFoundError, ValidationError

pytestmark = pytest.mark.integration

LARGE = 200_000


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)


def titles(cloud, user):
    return [(notice.kind, notice.title) for notice in reversed(cloud.billing.notices.list_notices(user.id, limit=500))]


def kinds(cloud, user):
    return [kind for kind, _ in titles(cloud, user)]


def live(cloud, seconds, step):
    for _ in range(int(seconds // step)):
        cloud.round(step)
        cloud.land()


def run_dry(cloud, vm):
    while cloud.vm(vm).state != VMState.STOPPED:
        step = cloud.stride(vm, 5)
        live(cloud, step, step)


@pytest.fixture
def stopped(cloud, alice, project):
    """A large VM that credits have stopped."""
    cloud.set_wallet(alice, 210_000)
    vm = cloud.launch(alice, project, size="size_large")
    run_dry(cloud, vm)
    return vm


def test_the_owner_is_told_before_anything_stops(cloud, alice, stopped):
    told = kinds(cloud, alice)
    assert {"runway", "credit_stop", "landing"} <= set(told)
    first_stop = next(one for one in cloud.operations(stopped) if one.kind == OperationKind.STOP)
    notices = cloud.billing.notices.list_notices(alice.id)
    assert all(notice.at < first_stop.created_at for notice in notices if notice.kind in ("runway", "credit_stop"))
    assert told.count("credit_stop") == 1
    cloud.assert_sound()


def test_a_plan_is_never_made_while_others_wait_for_the_write_lock(cloud, alice, project, monkeypatch):
    """Free beside large: the plan that never ended held SQLite's one write lock, and every form answered 500."""
    opened = []

    def watching(*args):
        opened.append(cloud.billing.landing._database.open_session.get())
        return make_plan(*args)

    monkeypatch.setattr(runway, "make_plan", watching)
    cloud.set_wallet(alice, 210_000)
    cloud.billing.price_list.publish("size_nano", 0, 0, actor=SYSTEM)
    cloud.clock.advance(60)
    nano = cloud.launch(alice, project, name="nano")
    large = cloud.launch(alice, project, size="size_large")
    run_dry(cloud, large)
    assert {"runway", "credit_stop", "landing"} <= set(kinds(cloud, alice))
    assert len(opened) >= 2
    assert set(opened) == {None}
    assert cloud.vm(nano).state == VMState.RUNNING
    with cloud.billing.transaction(), pytest.raises(RuntimeError):
        cloud.billing.landing.get_plan(alice.id)


def test_a_disk_is_kept_without_a_charge_announced_and_deleted(cloud, alice, stopped):
    row = cloud.row(stopped)
    assert row.disk_until == row.credit_stopped_at + timedelta(days=14)
    wallet = cloud.wallet(alice)
    live(cloud, 13.9 * 86400, 8 * 3600)
    assert cloud.wallet(alice) == wallet
    assert kinds(cloud, alice).count("disk") == 3
    assert cloud.vm(stopped).state == VMState.STOPPED
    live(cloud, 2 * 86400, 8 * 3600)
    with pytest.raises(NotFoundError):
        cloud.vm(stopped)
    assert cloud.written_off() == 0
    cloud.assert_sound()


def test_a_disk_is_not_deleted_before_its_owner_was_told_for_a_day(cloud, alice, stopped):
    cloud.clock.advance(40 * 86400)
    cloud.land()
    assert cloud.vm(stopped).state == VMState.STOPPED
    live(cloud, 86400 + 600, 300 * 60)
    cloud.clock.advance(3600 * 5)
    cloud.land()
    with pytest.raises(NotFoundError):
        cloud.vm(stopped)


def test_any_credit_starts_again_what_credits_stopped_without_a_minimum(cloud, alice, stopped):
    cloud.billing.add_credits(alice.id, 2_000_000, "for a test")
    cloud.round(3)
    cloud.land()
    cloud.round(3)
    assert cloud.vm(stopped).state == VMState.RUNNING
    row = cloud.row(stopped)
    assert (row.credit_stopped_at, row.disk_until) == (None, None)
    assert cloud.intervals(stopped)[-1].minimum_seconds == 0
    assert "credit_back" in kinds(cloud, alice)
    cloud.assert_sound()


def test_a_little_credit_pays_the_disk_and_starts_nothing(cloud, alice, stopped):
    cloud.set_wallet(alice, 20_000)
    cloud.land()
    row = cloud.row(stopped)
    assert (cloud.vm(stopped).state, row.disk_until) == (VMState.STOPPED, None)
    assert row.credit_stopped_at is not None
    live(cloud, 4 * 3600, 600)
    assert cloud.wallet(alice) < 20_000
    assert cloud.row(stopped).disk_until is not None
    assert cloud.written_off() == 0
    cloud.assert_sound()


def test_a_larger_disk_is_paid_for_also_in_the_days_of_grace(cloud, alice, project):
    """What is kept without a charge is the disk that there was."""
    cloud.set_wallet(alice, 20_000)
    vm = cloud.launch(alice, project, size="size_micro")
    run_dry(cloud, vm)
    cloud.round(60)
    assert cloud.row(vm).disk_until is not None
    cloud.set_wallet(alice, 5_000)  # for the larger disk, and too little to start
    cloud.vms.resize_vm(vm.id, "size_small", actor=acting(alice))
    cloud.worker.work()
    row = cloud.row(vm)
    assert (row.state, row.size_id, row.disk_until) == (VMState.STOPPED, "size_small", None)
    assert row.credit_stopped_at is not None, "it still waits for credits"
    assert cloud.intervals(vm)[-1].rate_micro_per_hour == row.stopped_micro_per_hour
    live(cloud, 4 * 3600, 600)
    assert cloud.wallet(alice) < 1_000
    assert cloud.row(vm).disk_until is not None, "and is kept once more when they have run out again"
    cloud.assert_sound()


def test_an_owner_may_start_it_by_hand(cloud, alice, stopped):
    cloud.set_wallet(alice, 400_000)
    cloud.vms.start_vm(stopped.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(stopped).state == VMState.RUNNING
    assert cloud.row(stopped).disk_until is None
    cloud.assert_sound()


def test_what_the_owner_stopped_is_not_started_again(cloud, alice, project):
    cloud.set_wallet(alice, 210_000)
    vm = cloud.launch(alice, project, size="size_large")
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.set_wallet(alice, 1_000)
    live(cloud, 7200, 300)
    assert cloud.row(vm).disk_until is not None
    assert cloud.row(vm).credit_stopped_at is None
    assert cloud.written_off() == 0
    cloud.set_wallet(alice, 1_000_000)
    live(cloud, 60, 10)
    assert cloud.vm(vm).state == VMState.STOPPED
    assert cloud.row(vm).disk_until is None
    cloud.assert_sound()


def test_machines_stop_in_the_owners_order_as_the_plan_said(cloud, alice, project):
    cloud.set_wallet(alice, 330_000)
    vms = {name: cloud.launch(alice, project, name, "size_medium") for name in ("one", "two", "three")}
    cloud.billing.landing.set_order(alice.id, [vms[name].id for name in ("two", "three", "one")], actor=acting(alice))
    cloud.control.fault("shutdown", "ignore", times=None)
    plan = cloud.billing.landing.get_plan(alice.id, actor=acting(alice))
    planned = {line.name: line.at for line in plan.lines if line.step == LandingStep.STOP}
    assert list(planned) == ["one", "three", "two"]
    for name in planned:
        run_dry(cloud, vms[name])
    asked = {
        name: next(one.created_at for one in cloud.operations(vm) if one.kind == OperationKind.STOP)
        for name, vm in vms.items()
    }
    assert sorted(asked, key=lambda name: asked[name]) == list(planned)
    for name, at in planned.items():
        assert abs((asked[name] - at).total_seconds()) <= 240, (name, asked[name], at)
    cloud.assert_sound()


def test_an_order_takes_ones_own_machines_only(cloud, alice, bob, project):
    vm = cloud.launch(alice, project)
    landing = cloud.billing.landing
    with pytest.raises(NotFoundError):
        landing.set_order(bob.id, [vm.id], actor=acting(bob))
    with pytest.raises(NotFoundError):
        landing.set_order(alice.id, [vm.id], actor=acting(bob))
    with pytest.raises(NotFoundError):
        landing.get_plan(alice.id, actor=acting(bob))
    with pytest.raises(ValidationError):
        landing.set_order(alice.id, [vm.id, vm.id], actor=acting(alice))


def test_a_low_balance_is_told_once_each_time_it_is_reached(cloud, alice, project):
    cloud.billing.landing.set_low_balance(alice.id, 1_000_000, actor=acting(alice))
    cloud.set_wallet(alice, 2_000_000)
    cloud.land()
    assert "low_balance" not in kinds(cloud, alice)
    for _ in range(2):
        cloud.set_wallet(alice, 900_000)
        cloud.land()
        cloud.land()
        cloud.set_wallet(alice, 2_000_000)
        cloud.land()
    assert kinds(cloud, alice).count("low_balance") == 2
    with pytest.raises(ValidationError):
        cloud.billing.landing.set_low_balance(alice.id, 0, actor=acting(alice))
