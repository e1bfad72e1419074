"""Moving a machine into another project: the bill stays what it would have been, to the micro-credit."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from tests.services.billing_world import World, sqlite_copy
from tests.services.people import acting, events_of, join, personal_of
from zentry_web.adapters.clock import ManualClock
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbCharge, DbUsageInterval, DbUsageMonth
from zentry_web.services.base_service import Core
from zentry_web.services.errors import (
    BudgetExceededError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    ValidationError,
)

pytestmark = pytest.mark.integration

START = datetime(2026, 11, 30, 16, 40, 30, tzinfo=UTC)  # before a month ends in Kolkata and in UTC
ODD = 12_347  # micro-credits per hour: a prime, so that seconds round at all but the whole hours


@pytest.fixture
def website(cloud, alice):
    return cloud.project(alice, "Website")


@pytest.fixture
def shop(cloud, alice):
    return cloud.project(alice, "Shop")


@pytest.fixture
def vm(cloud, alice, website):
    return cloud.launch(alice, website, "web")


def move(cloud, user, vm, project):
    cloud.vms.moving.move(vm.id, project.id, actor=acting(user))


def spans(cloud, vm):
    return [(row.project_id, row.state, row.start_at, row.end_at) for row in cloud.intervals(vm)]


STEPS = st.lists(
    st.tuples(st.integers(0, 9_000), st.sampled_from(["move", "move", "start", "stop", "settle", "wait"])), max_size=14
)
RATES = st.one_of(st.sampled_from([5_000, 15_000, ODD, 3_600, 1, 0]), st.integers(1, 10**6))


@pytest.mark.timeout(300)
@settings(max_examples=20, derandomize=True, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, rate=RATES, disk=st.integers(0, 300))
def test_the_bill_is_what_it_would_have_been(migrated_sqlite, steps, rate, disk):
    """Two machines alike, one of which is moved to and fro: the same seconds, the same credits."""
    with TemporaryDirectory() as folder:
        world = World(Core(sqlite_copy(migrated_sqlite, Path(folder)), ManualClock(START)))
        world.person(credits=10**9, zone="Asia/Kolkata")
        world.project("alice", "p_2")
        world.publish("nano", rate, disk)
        stays, moves = world.vm(), world.vm()
        for seconds, what in [(0, "start"), *steps, (11, "stop"), (1, "delete")]:
            world.pass_time(seconds=seconds)
            if what == "move":
                moves = world.move(moves, "p_2" if moves.project_id == "p_alice" else "p_alice")
            elif what == "settle":
                world.settle()
            elif what != "wait":
                for vm in (stays, moves):
                    getattr(world, what)(vm)
            assert world.breaches() == []
        assert sum(row[4] for row in world.charges(stays)) == sum(row[4] for row in world.charges(moves))
        assert sum(world.seconds(stays)) == sum(world.seconds(moves))
        spend = {row.project_id: row.amount for row in world.rows(_spend_of(moves.vm_id))}
        months = {row.project_id: row.amount for row in world.rows(_months_of(moves.vm_id))}
        assert spend == months
        world.database.dispose()


def _spend_of(vm_id):
    joined = select(DbUsageInterval.project_id, func.sum(DbCharge.amount).label("amount")).join(
        DbCharge, DbUsageInterval.id == DbCharge.interval_id
    )
    return joined.where(DbCharge.vm_id == vm_id).group_by(DbUsageInterval.project_id)


def _months_of(vm_id):
    sums = select(DbUsageMonth.project_id, func.sum(DbUsageMonth.amount).label("amount"))
    return sums.where(DbUsageMonth.vm_id == vm_id).group_by(DbUsageMonth.project_id)


def test_a_run_goes_on_with_its_hold_and_without_a_minimum(cloud, alice, website, shop, vm):
    cloud.round(600)
    before, held = cloud.hold(vm), cloud.held(alice)
    row = cloud.row(vm)
    move(cloud, alice, vm, shop)
    after = cloud.row(vm)
    assert (after.state, after.run_id, after.started_at) == (row.state, row.run_id, row.started_at)
    assert cloud.hold(vm).id == before.id
    assert cloud.held(alice) <= held  # what was charged at the cut came from it
    (first, second) = cloud.intervals(vm)
    assert (first.project_id, second.project_id) == (website.id, shop.id)
    assert first.end_at == second.start_at
    assert second.end_at is None
    assert timedelta(0) <= cloud.clock.now() - second.start_at <= timedelta(seconds=18)
    assert {row.kind for row in cloud.charges(vm)} == {"usage"}
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert {row.kind for row in cloud.charges(vm)} == {"usage"}
    cloud.assert_sound()


def test_what_is_left_of_the_minimum_is_paid_once(cloud, alice, shop, vm):
    move(cloud, alice, vm, shop)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    seconds = sum(row.seconds for row in cloud.charges(vm))
    assert seconds == 60
    cloud.assert_sound()


def test_a_stopped_machine_s_disk_is_paid_there(cloud, alice, website, shop, vm):
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.clock.advance(300)
    move(cloud, alice, vm, shop)
    assert [span[:2] for span in spans(cloud, vm)] == [
        (website.id, "running"), (website.id, "stopped"), (shop.id, "stopped"),
    ]  # fmt: skip
    cloud.assert_sound()


def test_both_projects_are_told_and_a_second_click_changes_nothing(cloud, core, alice, website, shop, vm):
    move(cloud, alice, vm, shop)
    move(cloud, alice, vm, shop)
    (out,) = events_of(core, "vm.move_out")
    (into,) = events_of(core, "vm.move")
    assert (out.project_id, out.vm_id, out.details) == (website.id, vm.id, {"to": shop.id})
    assert (into.project_id, into.vm_id, into.details) == (shop.id, vm.id, {"from": website.id})
    assert personal_of(core, into.id)["project"] == "Shop"
    assert len(cloud.intervals(vm)) == 2


@pytest.mark.error
def test_what_stands_in_the_way_is_said(cloud, alice, charlie, website, shop, vm):
    theirs = cloud.project(charlie, "theirs")
    join(cloud.container, theirs, alice, "member")
    cloud.ask(alice, cloud.project(alice, "Taken"), "web")
    taken = next(each for each in cloud.vms.moving.list_targets(vm.id, actor=acting(alice)) if each.name == "Taken")
    for project, words in ((taken, "already has a machine"), (theirs, "somebody else")):
        with pytest.raises(ValidationError, match=words) as refused:
            move(cloud, alice, vm, project)
        assert set(refused.value.details) == {"project_id"}
    cloud.projects.settings.archive(shop.id, actor=acting(alice))
    with pytest.raises(ConflictError, match="archived"):
        move(cloud, alice, vm, shop)
    with pytest.raises(ValidationError, match="Choose a project"):
        cloud.vms.moving.move(vm.id, "", actor=acting(alice))
    with pytest.raises(NotFoundError):
        cloud.vms.moving.move(vm.id, "prj_none", actor=acting(alice))
    cloud.projects.settings.unarchive(shop.id, actor=acting(alice))
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    with pytest.raises(ConflictError, match="when that is done"):
        move(cloud, alice, vm, shop)
    assert cloud.vm(vm).project_id == website.id
    assert len(cloud.intervals(vm)) == 1


@pytest.mark.error
def test_quota_and_cap_of_the_target_count_and_the_owner_s_does_not_grow(cloud, alice, website, shop, vm):
    quotas = cloud.vms.quotas
    quotas.set_limits(shop.id, {"vcpus": "0"})
    with pytest.raises(QuotaExceededError) as refused:
        move(cloud, alice, vm, shop)
    assert (refused.value.details["scope"], refused.value.details["field"]) == ("project", "project_id")
    quotas.set_limits(shop.id, {"vms": "1"})
    quotas.set_limits(alice.id, {"vms": "1"})
    cloud.billing.budgets.set_budget(shop.id, 4_000, (), hard_cap=True)
    with pytest.raises(BudgetExceededError):
        move(cloud, alice, vm, shop)
    assert (cloud.vm(vm).project_id, len(cloud.intervals(vm))) == (website.id, 1)
    cloud.billing.budgets.remove_budget(shop.id)
    move(cloud, alice, vm, shop)
    cloud.assert_sound()


@pytest.mark.error
def test_rights_are_needed_in_both(cloud, alice, bob, charlie, website, shop, vm):
    join(cloud.container, website, bob, "member")
    assert cloud.vms.moving.list_targets(vm.id, actor=acting(bob)) == []
    with pytest.raises(NotFoundError):
        move(cloud, bob, vm, shop)
    join(cloud.container, shop, bob, "restricted")
    with pytest.raises(PermissionDeniedError):
        move(cloud, bob, vm, shop)
    join(cloud.container, shop, charlie, "admin")
    with pytest.raises(NotFoundError):
        move(cloud, charlie, vm, shop)
    join(cloud.container, website, charlie, "restricted")
    with pytest.raises(PermissionDeniedError):
        move(cloud, charlie, vm, shop)


def test_who_belonged_to_the_first_project_only_sees_it_no_more(cloud, alice, bob, website, shop, vm):
    join(cloud.container, website, bob, "member")
    assert cloud.vms.get_vm(vm.id, actor=acting(bob))
    move(cloud, alice, vm, shop)
    with pytest.raises(NotFoundError):
        cloud.vms.get_vm(vm.id, actor=acting(bob))
    assert cloud.vm(vm).state == VMState.RUNNING


def test_while_the_hypervisor_is_silent_nothing_is_charged_beyond_what_it_confirmed(cloud, alice, shop, vm):
    heard = cloud.vms.get_compute_status().answered_at
    cloud.clock.advance(1_000)
    move(cloud, alice, vm, shop)
    assert cloud.intervals(vm)[0].end_at <= heard
    cloud.assert_sound()
