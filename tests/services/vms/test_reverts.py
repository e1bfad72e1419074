"""What a machine was before a revert is kept for an hour, on the host and for nothing, and comes back whole."""

from datetime import timedelta

import pytest

from tests.services.people import acting
from zentry_web.domain.vms.snapshot import aside_name
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbRevertAside
from zentry_web.services.errors import ConflictError, InsufficientCreditsError
from zentry_web.services.shared.one_by_one import EachOutcome
from zentry_web.worker.operations.snapshots import drop

pytestmark = pytest.mark.integration


@pytest.fixture
def made(cloud, alice, vm):
    cloud.vms.snapshots.take(vm.id, {"name": "before"}, actor=acting(alice))
    cloud.worker.work()
    return cloud.vms.snapshots.list(vm.id, actor=acting(alice))[0]


def revert(cloud, alice, vm, made, **more):
    done = cloud.vms.snapshots.revert(vm.id, made.id, actor=acting(alice), **more)
    cloud.worker.work()
    return aside_name(done.id)


def unrevert(cloud, alice, vm):
    cloud.vms.snapshots.request_back(vm.id, actor=acting(alice))
    cloud.worker.work()


def on_host(cloud, vm):
    return {each.name: each.is_current for each in cloud.driver.snapshots.list(vm.id)}


def drop_due(cloud):
    for due in cloud.vms.revert_asides.list_due():
        drop(cloud.vms, cloud.driver, due)


def rows(cloud):
    with cloud.container.database.reading() as session:
        return {aside_name(row.operation_id): row.until for row in session.query(DbRevertAside).all()}


def test_it_is_undone_by_the_toast_and_costs_no_minimum(cloud, alice, vm, made):
    cloud.live(90)
    aside = revert(cloud, alice, vm, made)
    assert rows(cloud) == {aside: cloud.clock.now() + timedelta(hours=1)}
    assert on_host(cloud, vm) == {made.id: True, aside: False}
    assert [each.id for each in cloud.vms.snapshots.list(vm.id, actor=acting(alice))] == [made.id]  # it is nobody's
    before = cloud.driver.machine(vm.id).run_id
    undo_id = cloud.vms.undo.find_offer(vm.id, actor=acting(alice))
    ((became),) = cloud.vms.undo.undo(undo_id, actor=acting(alice))
    assert became.outcome == EachOutcome.DONE
    assert cloud.vm(vm).state == VMState.REVERTING
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.row(vm).run_id == cloud.driver.machine(vm.id).run_id != before
    cloud.live(30)
    drop_due(cloud)
    assert on_host(cloud, vm).keys() == {made.id}
    assert rows(cloud) == {}
    assert [charge for charge in cloud.charges(vm) if charge.kind == "minimum"] == []
    cloud.assert_sound()


def test_what_ran_runs_again_and_what_was_off_is_off_again(cloud, alice, vm):
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.vms.snapshots.take(vm.id, {"name": "off"}, actor=acting(alice))
    cloud.worker.work()
    (off,) = cloud.vms.snapshots.list(vm.id, actor=acting(alice))
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    revert(cloud, alice, vm, off)
    assert cloud.vm(vm).state == VMState.STOPPED
    cloud.set_wallet(alice, 0)
    with pytest.raises(InsufficientCreditsError):
        cloud.vms.snapshots.request_back(vm.id, actor=acting(alice))
    cloud.set_wallet(alice, 1_000_000)
    cloud.live(5)
    unrevert(cloud, alice, vm)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.hold(vm) is not None
    cloud.live(5)
    cloud.assert_sound()


def test_it_stands_where_it_stood(cloud, alice, vm, made):
    cloud.vms.snapshots.take(vm.id, {"name": "second"}, actor=acting(alice))
    cloud.worker.work()
    second = cloud.row(vm).snapshot_id
    revert(cloud, alice, vm, made)
    assert cloud.row(vm).snapshot_id == made.id
    cloud.vms.snapshots.delete(vm.id, second, actor=acting(alice))
    cloud.worker.work()
    unrevert(cloud, alice, vm)
    assert cloud.row(vm).snapshot_id == made.id  # the second is gone: what that stood on


def test_after_an_hour_it_is_gone(cloud, alice, vm, made):
    revert(cloud, alice, vm, made)
    cloud.clock.advance(3600)
    with pytest.raises(ConflictError, match="not kept any more"):
        cloud.vms.snapshots.request_back(vm.id, actor=acting(alice))
    drop_due(cloud)
    assert on_host(cloud, vm) == {made.id: True}
    assert rows(cloud) == {}
    cloud.assert_sound()


def test_the_next_revert_takes_its_place(cloud, alice, vm, made):
    first = revert(cloud, alice, vm, made)
    second = revert(cloud, alice, vm, made)
    drop_due(cloud)
    assert on_host(cloud, vm).keys() == {made.id, second}
    assert first not in rows(cloud)


def test_with_all_snapshots_gone_it_can_be_rebuilt_and_resized(cloud, alice, vm, made):
    revert(cloud, alice, vm, made)
    cloud.vms.snapshots.delete(vm.id, made.id, actor=acting(alice))
    cloud.worker.work()
    cloud.vms.resize_vm(vm.id, "size_small", actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(vm).size_name == "small"
    assert on_host(cloud, vm) == {}
    assert rows(cloud) == {}


def test_it_need_not_be_kept(cloud, alice, vm, made):
    revert(cloud, alice, vm, made, keeps=False)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert on_host(cloud, vm) == {made.id: True}
    assert cloud.vms.undo.find_offer(vm.id, actor=acting(alice)) == ""


def test_without_room_for_it_nothing_is_changed(cloud, alice, vm, made):
    run_id = cloud.driver.machine(vm.id).run_id
    cloud.control.fault("snapshot", "refuse", vm.id, message="There is no room on the host.")
    revert(cloud, alice, vm, made)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert "no room" in cloud.vm(vm).state_reason
    assert cloud.driver.machine(vm.id).run_id == run_id
    assert (on_host(cloud, vm), rows(cloud)) == ({made.id: True}, {})
    cloud.assert_sound()


def test_a_revert_that_is_refused_leaves_nothing_aside(cloud, alice, vm, made):
    cloud.control.fault("revert", "refuse", vm.id)
    revert(cloud, alice, vm, made)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert (on_host(cloud, vm).keys(), rows(cloud)) == ({made.id}, {})
    with pytest.raises(ConflictError):
        cloud.vms.snapshots.request_back(vm.id, actor=acting(alice))
    assert cloud.vms.undo.find_offer(vm.id, actor=acting(alice)) == ""


@pytest.mark.parametrize("step", ["revert.claimed", "revert.kept", "revert.done"])
def test_a_worker_killed_in_a_revert_keeps_one(cloud, alice, vm, made, step):
    cloud.live(30)
    done = cloud.vms.snapshots.revert(vm.id, made.id, actor=acting(alice))
    _kill_at(cloud, step)
    assert on_host(cloud, vm).keys() == {made.id, aside_name(done.id)}
    assert cloud.vm(vm).state == VMState.RUNNING
    unrevert(cloud, alice, vm)
    drop_due(cloud)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert (on_host(cloud, vm).keys(), rows(cloud)) == ({made.id}, {})
    cloud.assert_sound()


@pytest.mark.parametrize("step", ["unrevert.claimed", "unrevert.done"])
def test_a_worker_killed_while_it_undoes_one_does_it_once(cloud, alice, vm, made, step):
    revert(cloud, alice, vm, made)
    cloud.live(30)
    cloud.vms.snapshots.request_back(vm.id, actor=acting(alice))
    runs = []
    _kill_at(cloud, step, lambda: runs.append(cloud.driver.machine(vm.id).run_id))
    if step == "unrevert.done":
        assert cloud.driver.machine(vm.id).run_id == runs[0]
    assert cloud.vm(vm).state == VMState.RUNNING
    drop_due(cloud)
    assert (on_host(cloud, vm).keys(), rows(cloud)) == ({made.id}, {})
    cloud.assert_sound()


def test_deleted_for_good_nothing_of_it_is_left(cloud, alice, vm, made):
    cloud.keep_deleted(0)
    revert(cloud, alice, vm, made)
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()
    assert cloud.driver.machine(vm.id) is None
    assert rows(cloud) == {}


def _kill_at(cloud, step, then=lambda: None):
    cloud.kill_at(step)
    then()
    cloud.restart_worker()
    cloud.clock.advance(31)
    cloud.worker.work()
    cloud.live(30)
