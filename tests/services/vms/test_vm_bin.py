"""The recycle bin of VMs: off and off the bill with the click, restored stopped, purged once and for all."""

from datetime import timedelta

import pytest

from tests.services.people import Statements, acting, events_of, join
from tests.services.vm_world import RUNNING, STOPPED
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import (
    BudgetExceededError,
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    ValidationError,
)

pytestmark = pytest.mark.integration

WEEK = timedelta(days=7)


@pytest.fixture
def cloud(cloud):
    cloud.keep_deleted(7)
    return cloud


def delete(cloud, alice, vm):
    return cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))


def binned(cloud, alice, project, name="web"):
    vm = cloud.launch(alice, project, name)
    cloud.round(600)
    delete(cloud, alice, vm)
    cloud.worker.work()
    return vm


def test_a_deleted_machine_is_off_and_off_the_bill_and_keeps_its_disk(cloud, core, alice, project, clock):
    vm = cloud.launch(alice, project)
    cloud.round(600)
    clicked = clock.now()
    assert delete(cloud, alice, vm).kind == OperationKind.BIN
    assert cloud.held(alice) == 0
    assert cloud.run_seconds(vm)[-1][1] == clicked.replace(microsecond=0)
    assert cloud.vms.list_vms(alice.id, actor=acting(alice)).vms == []
    assert cloud.vms.count_by_state(alice.id, actor=acting(alice)) == {}
    with pytest.raises(NotFoundError):
        cloud.vm(vm)
    (shown,) = cloud.vms.bin.list_binned(alice.id, actor=acting(alice))
    assert (shown.is_off, shown.is_going, shown.deleted_by, shown.purge_at) == (False, False, "Alice", clicked + WEEK)
    cloud.live(30)
    assert cloud.row(vm).state == VMState.BINNED
    machine = cloud.driver.machine(vm.id)
    assert machine is not None
    assert machine.run_id is None
    spent = cloud.wallet(alice)
    cloud.live(7200, step=600)
    assert cloud.wallet(alice) == spent
    assert cloud.driver.machine(vm.id) is not None
    assert [event.outcome for event in events_of(core, "vm.bin")] == ["accepted", "succeeded"]
    cloud.assert_sound()


def test_its_name_is_free_and_restoring_asks_for_another(cloud, alice, project):
    vm = binned(cloud, alice, project)
    cloud.launch(alice, project, "web")
    with pytest.raises(ValidationError) as caught:
        cloud.vms.bin.restore(vm.id, "web", actor=acting(alice))
    assert set(caught.value.details) == {"name"}
    for wrong in ("", "a b", "-x", "x" * 64, "x\x00"):
        with pytest.raises(ValidationError):
            cloud.vms.bin.restore(vm.id, wrong, actor=acting(alice))
    assert cloud.vms.bin.restore(vm.id, " Web-2 ", actor=acting(alice)).name == "web-2"
    cloud.assert_sound()


def test_restored_it_is_stopped_and_pays_its_disk_and_starts(cloud, alice, project, clock):
    vm = binned(cloud, alice, project)
    clock.advance(86_400)
    back = cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))
    assert (back.state, back.deleted_at) == (VMState.STOPPED, None)
    last = cloud.intervals(vm)[-1]
    assert (last.state, last.start_at, last.end_at) == (STOPPED, clock.now().replace(microsecond=0), None)
    assert cloud.vms.bin.list_binned(alice.id, actor=acting(alice)) == []
    with pytest.raises(NotFoundError):
        cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))
    cloud.round(60)
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.live(30)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.intervals(vm)[-1].state == RUNNING
    cloud.assert_sound()


def test_deleted_again_it_has_all_its_days_and_has_paid_its_disk_between(cloud, alice, project, clock):
    """Each deletion is a decision of its own: whoever deletes today can go back on it for as long as is promised."""
    vm = binned(cloud, alice, project)
    cloud.clock.advance(6 * 86400)
    cloud.round()
    cloud.vms.bin.restore(vm.id, "web", actor=acting(alice))
    cloud.live(7200, step=1800)
    delete(cloud, alice, vm)
    deleted_at = clock.now()
    cloud.worker.work()
    assert cloud.row(vm).purge_at == deleted_at + WEEK
    between = cloud.intervals(vm)[-1]
    assert (between.state, between.end_at) == (STOPPED, deleted_at.replace(microsecond=0))
    assert sum(charge.seconds for charge in cloud.charges(vm) if charge.interval_id == between.id) >= 7200
    cloud.assert_sound()


def test_restoring_needs_credits_for_the_disk_and_room_in_the_budget(cloud, alice, project):
    vm = binned(cloud, alice, project)
    disk = cloud.row(vm).stopped_micro_per_hour
    cloud.set_wallet(alice, disk - 1)
    with pytest.raises(InsufficientCreditsError):
        cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))
    cloud.set_wallet(alice, 1_000_000)
    cloud.billing.budgets.set_budget(project.id, 1, (100,), hard_cap=True, actor=acting(alice))
    with pytest.raises(BudgetExceededError):
        cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))
    assert cloud.row(vm).state == VMState.BINNED
    cloud.assert_sound()


def test_it_comes_back_at_the_price_in_force(cloud, alice, project, clock):
    vm = binned(cloud, alice, project)
    cloud.billing.price_list.publish("size_nano", 9_000, 70, actor=SYSTEM)
    clock.advance(60)
    (shown,) = cloud.vms.bin.list_binned(alice.id, actor=acting(alice))
    back = cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))
    assert (back.running_micro_per_hour, back.stopped_micro_per_hour) == (9_000, 70 * vm.disk_gib)
    assert shown.stopped_micro_per_hour == back.stopped_micro_per_hour
    cloud.live(7200, step=600)
    cloud.assert_sound()


def test_a_machine_that_was_never_made_is_deleted_at_once(cloud, alice, project):
    vm = cloud.ask(alice, project)
    assert delete(cloud, alice, vm).kind == OperationKind.DELETE
    cloud.worker.work()
    assert cloud.row(vm).state == VMState.DELETED
    assert cloud.vms.bin.list_binned(alice.id, actor=acting(alice)) == []


def test_without_a_bin_a_machine_is_deleted_at_once(cloud, alice, project):
    cloud.keep_deleted(0)
    vm = cloud.launch(alice, project)
    assert delete(cloud, alice, vm).kind == OperationKind.DELETE


@pytest.mark.parametrize("how", ["stopped", "error", "resizing", "stopping", "starting"])
def test_from_every_state(cloud, alice, project, how):
    vm = cloud.launch(alice, project)
    if how == "resizing":
        cloud.vms.resize_vm(vm.id, "size_small", actor=acting(alice))
    elif how == "error":
        cloud.control.destroy(vm.id)
        cloud.round()
    else:
        cloud.vms.stop_vm(vm.id, actor=acting(alice))
        if how != "stopping":
            cloud.worker.work()
        if how == "starting":
            cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.clock.advance(1)
    delete(cloud, alice, vm)
    cloud.live(30)
    assert cloud.row(vm).state == VMState.BINNED
    assert (cloud.held(alice), cloud.hold(vm)) == (0, None)
    back = cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))
    assert back.state == (VMState.ERROR if how == "error" else VMState.STOPPED)
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.live(30)
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.assert_sound()


def test_purged_once_when_its_time_has_come(cloud, core, alice, project, clock):
    vm = binned(cloud, alice, project)
    clock.advance(WEEK.total_seconds() - 60)
    assert cloud.vms.bin.purge_due() == 0
    clock.advance(60)
    cloud.round(1)
    cloud.control.fault("delete", "unavailable", times=3)
    assert [cloud.vms.bin.purge_due() for _ in range(3)] == [1, 0, 0]
    with pytest.raises(ConflictError):
        cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))
    cloud.live(120)
    assert cloud.vms.bin.purge_due() == 0
    row = cloud.row(vm)
    assert (row.state, row.purge_at, row.ssh_key) == (VMState.DELETED, None, "")
    assert row.deleted_at < clock.now() - WEEK
    assert cloud.driver.machines() == []
    assert len([one for one in cloud.operations(vm) if one.kind == OperationKind.DELETE]) == 1
    cloud.assert_sound()


def test_purged_now_by_its_name(cloud, alice, project):
    vm = binned(cloud, alice, project)
    with pytest.raises(ValidationError):
        cloud.vms.bin.purge(vm.id, "wrong", actor=acting(alice))
    cloud.vms.bin.purge(vm.id, vm.name, actor=acting(alice))
    with pytest.raises(ConflictError):
        cloud.vms.bin.purge(vm.id, vm.name, actor=acting(alice))
    assert cloud.vms.bin.list_binned(alice.id, actor=acting(alice))[0].is_going
    cloud.worker.work()
    assert cloud.row(vm).state == VMState.DELETED
    with pytest.raises(NotFoundError):
        cloud.vms.bin.get_binned(vm.id, actor=acting(alice))


@pytest.mark.parametrize("step", ["bin.claimed", "bin.asked", "bin.off"])
def test_killed_anywhere_it_ends_in_the_bin(cloud, alice, project, step, clock):
    vm = cloud.launch(alice, project)
    cloud.round(600)
    delete(cloud, alice, vm)

    cloud.kill_at(step)
    cloud.restart_worker()
    clock.advance(31)
    cloud.live(60)
    assert cloud.row(vm).state == VMState.BINNED
    assert cloud.driver.machine(vm.id).run_id is None
    assert cloud.operations(vm)[-1].state == OperationState.SUCCEEDED
    cloud.assert_sound()


@pytest.mark.error
def test_with_a_dead_hypervisor_it_waits_and_can_be_purged(cloud, alice, project, clock):
    vm = cloud.launch(alice, project)
    cloud.round(600)
    cloud.control.fault("*", "unavailable", times=None)
    delete(cloud, alice, vm)
    cloud.live(300, step=30)
    assert cloud.row(vm).state == VMState.DELETING
    with pytest.raises(ConflictError):
        cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))
    clock.advance(WEEK.total_seconds())
    assert cloud.vms.bin.purge_due() == 1
    cloud.live(300, step=30)
    assert cloud.row(vm).state == VMState.DELETING
    cloud.control.clear()
    cloud.live(120)
    assert cloud.row(vm).state == VMState.DELETED
    assert cloud.driver.machines() == []
    cloud.assert_sound()


def test_started_behind_our_back_it_is_cut_off_and_that_is_recorded(cloud, core, alice, project):
    vm = binned(cloud, alice, project)
    before = cloud.wallet(alice)
    cloud.driver.start(vm.id)
    cloud.live(30)
    assert cloud.driver.machine(vm.id).run_id is None
    assert cloud.row(vm).state == VMState.BINNED
    assert len(events_of(core, "vm.run_in_bin")) == 1
    assert cloud.wallet(alice) == before
    assert len(cloud.run_seconds(vm)) == 1
    cloud.assert_sound()


def test_nothing_else_can_be_done_with_it(cloud, alice, project):
    vm = binned(cloud, alice, project)
    for ask in (cloud.vms.start_vm, cloud.vms.stop_vm, cloud.vms.force_off_vm, cloud.vms.reboot_vm):
        with pytest.raises(NotFoundError):
            ask(vm.id, actor=acting(alice))
    with pytest.raises(NotFoundError):
        cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.set_wallet(alice, 0)
    cloud.live(3600, step=600)
    cloud.land()
    cloud.set_wallet(alice, 1_000_000)
    cloud.land()
    assert cloud.row(vm).state == VMState.BINNED


@pytest.mark.error
def test_who_may(cloud, container, alice, bob, charlie, project):
    vm = binned(cloud, alice, project)
    join(container, project, bob, "restricted")
    for ask in (cloud.vms.bin.restore, cloud.vms.bin.purge):
        with pytest.raises(PermissionDeniedError):
            ask(vm.id, vm.name, actor=acting(bob))
        with pytest.raises(NotFoundError):
            ask(vm.id, vm.name, actor=acting(charlie))
    assert cloud.vms.bin.list_binned(bob.id, actor=acting(bob)) == []
    container.get_project_service().members.change_role(project.id, bob.id, "member", actor=acting(alice))
    (shown,) = cloud.vms.bin.list_binned(bob.id, actor=acting(bob))
    assert shown.payer_name == "Alice"
    cloud.vms.bin.restore(vm.id, vm.name, actor=acting(bob))


def test_the_list_costs_the_same_for_one_and_for_many(cloud, core, alice, project):
    binned(cloud, alice, project, "one")
    with Statements(core.database) as first:
        cloud.vms.bin.list_binned(alice.id, actor=acting(alice))
    for name in ("two", "three", "four"):
        binned(cloud, alice, project, name)
    with Statements(core.database) as second:
        assert len(cloud.vms.bin.list_binned(alice.id, actor=acting(alice))) == 4
    assert first.count == second.count <= 4


def test_the_list_is_paged_by_key(cloud, alice, bob, container, project, clock):
    for number in range(5):
        binned(cloud, alice, project, f"vm-{number}")
        if number % 2:
            clock.advance(60)  # some are of the same second
    bins, seen, before = cloud.vms.bin, [], ""
    while page := bins.list_binned(alice.id, actor=acting(alice), before=before, limit=2):
        seen += [vm.name for vm in page]
        before = page[-1].id
    assert len(seen) == 5
    assert [vm.name for vm in bins.list_binned(alice.id, actor=acting(alice))] == seen
    assert set(seen) == {f"vm-{number}" for number in range(5)}
    for nonsense in ("none", "x\x00y"):
        assert len(bins.list_binned(alice.id, actor=acting(alice), before=nonsense)) == 5
    with Statements(container.database) as paged:
        bins.list_binned(alice.id, actor=acting(alice), before=before)
    assert paged.count <= 5


@pytest.mark.error
def test_restoring_needs_room_in_the_quota(cloud, alice, project):
    vm = binned(cloud, alice, project)
    cloud.vms.quotas.set_limits(project.id, {"vms": "0"})
    with pytest.raises(QuotaExceededError):
        cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))
    assert cloud.row(vm).state == VMState.BINNED
