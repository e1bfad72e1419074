"""Machines launched from a snapshot, on the simulator: a copy of the disk first; the whole is there or nothing."""

import threading

import pytest

from tests.services.people import acting
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.launch_source import SourceKind
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import ConflictError, NotFoundError, ValidationError
from zentry_web.worker.copies import CopyKeeper
from zentry_web.worker.images import ImageMaker

pytestmark = pytest.mark.integration


@pytest.fixture
def snapshot(cloud, alice, vm):
    cloud.vms.snapshots.take(vm.id, {"name": "good", "note": ""}, actor=acting(alice))
    cloud.worker.work()
    return cloud.vms.snapshots.list(vm.id, actor=acting(alice))[0]


@pytest.fixture
def order(cloud, alice, project, snapshot):
    def ask(name="copy", size="size_nano", **more):
        data = {"project_id": project.id, "name": name, "size_id": size, "image_id": "img_tiny"}
        data |= {"snapshot_id": snapshot.id} | more
        return cloud.vms.create_vms(data, alice, actor=acting(alice))

    return ask


def tidy(cloud):
    CopyKeeper(cloud.vms, cloud.driver).run()
    ImageMaker(cloud.vms, cloud.monitoring, cloud.driver, threading.Event()).run()


def test_it_comes_up_as_any_other_and_the_machine_itself_goes_on(cloud, vm, order):
    run = cloud.row(vm).run_id
    (copy,) = order()
    assert cloud.vm(copy).state == VMState.CREATING
    cloud.worker.work()
    cloud.round(3)
    assert cloud.vm(copy).state == VMState.RUNNING
    assert cloud.vm(copy).image_name == cloud.vm(vm).image_name
    assert cloud.driver.copies.stored() == ()
    assert cloud.row(vm).run_id == run
    cloud.live(60)
    cloud.assert_sound()


def test_several_at_once_each_have_their_own_copy(cloud, order):
    copies = order(count="3")
    cloud.worker.work()
    cloud.round(3)
    assert {cloud.vm(each).state for each in copies} == {VMState.RUNNING}
    assert cloud.driver.copies.stored() == ()


def test_what_cannot_be_is_refused(cloud, alice, bob, vm, order, snapshot, project):
    big = cloud.launch(alice, project, "big", size="size_small")
    cloud.vms.snapshots.take(big.id, {"name": "big", "note": ""}, actor=acting(alice))
    cloud.worker.work()
    large = cloud.vms.snapshots.list(big.id, actor=acting(alice))[0]
    with pytest.raises(ValidationError) as refused:
        order(snapshot_id=large.id)
    assert "needs a disk of at least" in refused.value.details["size_id"]
    with pytest.raises(NotFoundError):
        order(snapshot_id="snap_none")
    mine = cloud.project(bob, "mine")
    data = {"project_id": mine.id, "name": "theft", "size_id": "size_nano", "image_id": "img_tiny"}
    with pytest.raises(NotFoundError):
        cloud.vms.create_vms(data | {"snapshot_id": snapshot.id}, bob, actor=acting(bob))
    with pytest.raises(NotFoundError):
        cloud.vms.launching.sources.get(SourceKind.SNAPSHOT, snapshot.id, actor=acting(bob))
    cloud.vms.snapshots.delete(vm.id, snapshot.id, actor=acting(alice))
    with pytest.raises(ConflictError):
        order()


def test_the_snapshot_stays_while_it_is_copied(cloud, alice, vm, order, snapshot):
    order()
    with pytest.raises(ConflictError, match="being made from this snapshot"):
        cloud.vms.snapshots.delete(vm.id, snapshot.id, actor=acting(alice))
    cloud.vms.snapshot_schedules._delete(vm.id, snapshot.id)  # what a schedule does: later, then
    cloud.worker.work()
    cloud.round(3)
    cloud.vms.snapshots.delete(vm.id, snapshot.id, actor=SYSTEM)
    cloud.worker.work()
    assert cloud.vms.snapshots.list(vm.id, actor=acting(alice)) == []
    cloud.assert_sound()


@pytest.mark.parametrize("step", ["claimed", "begun", "copied", "adopted", "disk", "boot", "running"])
def test_killed_anywhere_the_next_worker_ends_it(cloud, order, step):
    (copy,) = order()
    cloud.kill_at(f"create.{step}")
    cloud.restart_worker()
    cloud.clock.advance(31)
    cloud.live(30)
    tidy(cloud)
    assert cloud.vm(copy).state == VMState.RUNNING
    assert cloud.driver.copies.stored() == ()
    assert len(cloud.run_seconds(copy)) == 1
    cloud.assert_sound()


@pytest.mark.parametrize("action", ["copy_disk", "copy_progress", "create", "start"])
def test_one_that_fails_leaves_nothing_and_trying_again_copies_again(cloud, alice, order, action):
    (copy,) = order()
    cloud.control.fault(action, "refuse", "*")
    cloud.worker.work()
    cloud.round(3)
    tidy(cloud)
    assert cloud.vm(copy).state == VMState.ERROR
    assert cloud.driver.machine(copy.id) is None
    assert cloud.driver.copies.stored() == ()
    assert cloud.intervals(copy) == []
    begun = []
    begin = cloud.driver.copies.begin
    cloud.driver.copies.begin = lambda key, source, **more: (begun.append(source.snapshot), begin(key, source, **more))
    cloud.vms.start_vm(copy.id, actor=acting(alice))
    cloud.worker.work()
    cloud.round(3)
    del cloud.driver.copies.begin
    assert begun, "not made of its image"
    assert cloud.vm(copy).state == VMState.RUNNING
    assert cloud.driver.copies.stored() == ()
    cloud.assert_sound()


def test_aborted_while_it_is_copied_it_leaves_nothing(cloud, alice, vm, order):
    cloud.control.delay("copy", 600, vm.id)
    (copy,) = order()
    cloud.kill_at("create.begun")
    cloud.restart_worker()
    operation = cloud.operations(copy)[-1]
    assert operation.kind == OperationKind.CREATE
    cloud.vms.work.abort(operation.id, actor=acting(alice))
    cloud.clock.advance(31)
    cloud.worker.work()
    tidy(cloud)
    assert cloud.driver.machine(copy.id) is None
    assert cloud.driver.copies.stored() == ()
    assert cloud.intervals(copy) == []
    cloud.assert_sound()


def test_one_that_ran_once_is_never_copied_again(cloud, alice, order):
    (copy,) = order()
    cloud.worker.work()
    cloud.round(3)
    cloud.control.destroy(copy.id)
    cloud.live(30)
    assert cloud.vms.records.find_origin(copy.id) is None
    cloud.assert_sound()
