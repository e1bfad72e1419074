"""Snapshots on the simulator: taken, reverted to, deleted, paid for to the second, gone with their machine."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.services.people import acting
from tests.services.vm_world import RUNNING
from zentry_web.domain.projects.quota import Resource
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.snapshot import SnapshotState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbSnapshot, DbStored, DbUsageInterval
from zentry_web.services.errors import (
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    ValidationError,
)

pytestmark = pytest.mark.integration

NAMED = {"name": "before the upgrade", "note": "works"}


def take(cloud, alice, vm, **changes):
    cloud.vms.snapshots.take(vm.id, NAMED | changes, actor=acting(alice))
    cloud.worker.work()
    return cloud.vms.snapshots.list(vm.id, actor=acting(alice))[-1]


def spans(cloud, snapshot):
    columns = DbUsageInterval.start_at, DbUsageInterval.end_at
    query = select(*columns).where(DbUsageInterval.stored_id == snapshot.id).order_by(DbUsageInterval.start_at)
    with cloud.container.database.reading() as session:
        return [tuple(row) for row in session.execute(query)]


def test_one_of_a_machine_that_runs_is_paid_from_when_it_is_there(cloud, alice, vm):
    operation = cloud.vms.snapshots.take(vm.id, NAMED, actor=acting(alice))
    assert cloud.vm(vm).state == VMState.SNAPSHOT
    assert cloud.vm(vm).is_on
    assert operation.kind == "snapshot"
    cloud.worker.work()
    (made,) = cloud.vms.snapshots.list(vm.id, actor=acting(alice))
    assert (made.name, made.note, made.state, made.has_memory) == (NAMED["name"], "works", SnapshotState.READY, True)
    assert (made.gib, made.is_current) == (1, True)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.row(vm).run_id == cloud.driver.machine(vm.id).run_id
    assert [span[1] for span in spans(cloud, made)] == [None]
    cloud.live(60)
    assert len(cloud.run_seconds(vm)) == 1  # the machine's own bill knows nothing of it
    cloud.assert_sound()


def test_a_tree_grows_from_what_the_machine_goes_on_from(cloud, alice, vm):
    first = take(cloud, alice, vm, name="first")
    second = take(cloud, alice, vm, name="second")
    cloud.vms.snapshots.revert(vm.id, first.id, actor=acting(alice))
    cloud.worker.work()
    take(cloud, alice, vm, name="third")
    found = cloud.vms.snapshots.list(vm.id, actor=acting(alice))
    assert [(each.name, each.level, each.is_current) for each in found] == [
        ("first", 0, False), ("second", 1, False), ("third", 1, True),
    ]  # fmt: skip
    cloud.vms.snapshots.delete(vm.id, first.id, actor=acting(alice))
    cloud.worker.work()
    found = cloud.vms.snapshots.list(vm.id, actor=acting(alice))
    assert [(each.name, each.level) for each in found] == [("second", 0), ("third", 0)]
    assert second.parent_id == first.id


def test_reverting_a_machine_that_runs_is_another_run_of_the_same_bill(cloud, alice, vm):
    made = take(cloud, alice, vm)
    before = cloud.row(vm).run_id
    cloud.live(90)
    cloud.vms.snapshots.revert(vm.id, made.id, actor=acting(alice))
    assert cloud.vm(vm).state == VMState.REVERTING
    cloud.worker.work()
    cloud.live(30)
    row = cloud.row(vm)
    assert row.state == VMState.RUNNING
    assert row.run_id != before
    assert row.run_id == cloud.driver.machine(vm.id).run_id
    (_, first_end), (second_start, second_end) = cloud.run_seconds(vm)
    assert first_end == second_start  # no second is missing, none paid twice
    assert second_end is None
    assert cloud.hold(vm) is not None
    assert [charge for charge in cloud.charges(vm) if charge.kind == "minimum"] == []
    cloud.assert_sound()


def test_reverting_to_what_was_off_ends_the_run(cloud, alice, vm):
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    made = take(cloud, alice, vm)
    assert not made.has_memory
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.live(90)
    cloud.vms.snapshots.revert(vm.id, made.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.STOPPED
    assert cloud.hold(vm) is None
    cloud.live(30)
    assert cloud.run_seconds(vm)[-1][1] is not None
    cloud.assert_sound()


def test_what_comes_back_running_is_held_as_a_start_is(cloud, alice, vm):
    made = take(cloud, alice, vm)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.set_wallet(alice, 0)
    with pytest.raises(InsufficientCreditsError):
        cloud.vms.snapshots.revert(vm.id, made.id, actor=acting(alice))
    cloud.set_wallet(alice, 1_000_000)
    cloud.vms.snapshots.revert(vm.id, made.id, actor=acting(alice))
    assert cloud.hold(vm) is not None
    cloud.worker.work()
    cloud.live(5)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.intervals(vm)[-1].state in (RUNNING, "snapshot")
    cloud.assert_sound()


def test_deleted_it_is_paid_up_to_then(cloud, alice, vm):
    made = take(cloud, alice, vm)
    cloud.live(60)
    cloud.vms.snapshots.delete(vm.id, made.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vms.snapshots.list(vm.id, actor=acting(alice)) == []
    assert cloud.driver.snapshots.list(vm.id) == []
    ((start, end),) = spans(cloud, made)
    assert timedelta(seconds=59) <= end - start <= timedelta(seconds=66)
    cloud.assert_sound()


def test_with_snapshots_the_size_stays(cloud, alice, vm):
    take(cloud, alice, vm)
    with pytest.raises(ConflictError, match="snapshots"):
        cloud.vms.resize_vm(vm.id, "size_micro", actor=acting(alice))


def test_they_wait_in_the_bin_for_nothing_and_go_for_good_with_the_machine(cloud, alice, vm):
    cloud.keep_deleted(7)
    made = take(cloud, alice, vm)
    cloud.live(60)
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()
    assert [end is None for _, end in spans(cloud, made)] == [False]
    cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))
    assert [end is None for _, end in spans(cloud, made)] == [False, True]
    cloud.keep_deleted(0)
    cloud.live(30)
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()
    assert [end is None for _, end in spans(cloud, made)] == [False, False]
    with cloud.container.database.reading() as session:
        assert session.scalars(select(DbSnapshot)).all() == []
        assert [row.ended_at is not None for row in session.scalars(select(DbStored))] == [True]
    cloud.assert_sound()


@pytest.mark.parametrize("step", ["snapshot.claimed", "snapshot.made", "snapshot.seen"])
def test_a_worker_killed_while_it_takes_one_leaves_one(cloud, alice, vm, step):
    cloud.vms.snapshots.take(vm.id, NAMED, actor=acting(alice))
    _kill_at(cloud, step)
    assert [each.state for each in cloud.vms.snapshots.list(vm.id, actor=acting(alice))] == [SnapshotState.READY]
    assert [each.name for each in cloud.driver.snapshots.list(vm.id)] == [
        each.id for each in cloud.vms.snapshots.list(vm.id, actor=acting(alice))
    ]
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.assert_sound()


@pytest.mark.parametrize("step", ["revert.claimed", "revert.done"])
def test_a_worker_killed_while_it_reverts_does_it_once(cloud, alice, vm, step):
    made = take(cloud, alice, vm)
    cloud.live(30)
    cloud.vms.snapshots.revert(vm.id, made.id, actor=acting(alice))
    runs = []
    _kill_at(cloud, step, lambda: runs.append(cloud.driver.machine(vm.id).run_id))
    if step == "revert.done":  # what the guest has written since the revert is not thrown away
        assert cloud.driver.machine(vm.id).run_id == runs[0]
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.row(vm).run_id == cloud.driver.machine(vm.id).run_id
    cloud.assert_sound()


@pytest.mark.parametrize("step", ["discard.claimed", "discard.gone"])
def test_a_worker_killed_while_it_deletes_one_leaves_none(cloud, alice, vm, step):
    made = take(cloud, alice, vm)
    cloud.vms.snapshots.delete(vm.id, made.id, actor=acting(alice))
    _kill_at(cloud, step)
    assert cloud.vms.snapshots.list(vm.id, actor=acting(alice)) == []
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.assert_sound()


def _kill_at(cloud, step, then=lambda: None):
    cloud.kill_at(step)
    then()
    cloud.restart_worker()
    cloud.clock.advance(31)
    cloud.worker.work()
    cloud.live(30)


@pytest.mark.parametrize("fault", ["refuse", "timeout-after"])
def test_one_that_fails_leaves_nothing_and_one_that_worked_without_an_answer_counts(cloud, alice, vm, fault):
    cloud.control.fault("snapshot", fault, vm.id)
    cloud.vms.snapshots.take(vm.id, NAMED, actor=acting(alice))
    cloud.worker.work()
    cloud.live(10)
    there = [] if fault == "refuse" else [SnapshotState.READY]
    assert [each.state for each in cloud.vms.snapshots.list(vm.id, actor=acting(alice))] == there
    assert len(cloud.driver.snapshots.list(vm.id)) == len(there)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert ("simulated fault" in cloud.vm(vm).state_reason) is not bool(there)
    cloud.assert_sound()


def test_a_revert_that_is_refused_leaves_the_machine_running(cloud, alice, vm):
    made = take(cloud, alice, vm)
    cloud.control.fault("revert", "refuse", vm.id)
    cloud.vms.snapshots.revert(vm.id, made.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING
    assert len(cloud.run_seconds(vm)) == 1
    cloud.assert_sound()


def test_one_that_cannot_be_deleted_is_there_as_before(cloud, alice, vm):
    made = take(cloud, alice, vm)
    cloud.control.fault("discard", "refuse", vm.id)
    cloud.vms.snapshots.delete(vm.id, made.id, actor=acting(alice))
    cloud.worker.work()
    assert [each.state for each in cloud.vms.snapshots.list(vm.id, actor=acting(alice))] == [SnapshotState.READY]
    cloud.assert_sound()


def test_what_others_made_is_not_trampled(cloud, alice, vm):
    cloud.control.snapshot(vm.id)
    cloud.vms.snapshots.take(vm.id, NAMED, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vms.snapshots.list(vm.id, actor=acting(alice)) == []
    assert "somebody made a snapshot" in cloud.vm(vm).state_reason
    assert [each.is_ours for each in cloud.driver.snapshots.list(vm.id)] == [False]


def test_quota_and_credits_are_asked_first(cloud, alice, vm):
    cloud.vms.quotas.set_limits(alice.id, {Resource.STORED: "1"}, actor=SYSTEM)
    with pytest.raises(QuotaExceededError, match="1 GiB stored"):
        cloud.vms.snapshots.take(vm.id, NAMED, actor=acting(alice))
    cloud.vms.quotas.set_limits(alice.id, {Resource.STORED: "2"}, actor=SYSTEM)
    cloud.set_wallet(alice, 0)
    with pytest.raises(InsufficientCreditsError):
        cloud.vms.snapshots.take(vm.id, NAMED, actor=acting(alice))
    assert cloud.vms.snapshots.list(vm.id, actor=acting(alice)) == []


def test_what_is_typed_must_do(cloud, alice, vm):
    for wrong in ({"name": ""}, {"name": "x" * 61}, {"name": "a\x00"}, {"note": "x" * 501}):
        with pytest.raises(ValidationError):
            cloud.vms.snapshots.take(vm.id, NAMED | wrong, actor=acting(alice))


def test_only_who_may_change_a_machine_may(cloud, alice, charlie, vm):
    made = take(cloud, alice, vm)
    for call in (
        lambda: cloud.vms.snapshots.list(vm.id, actor=acting(charlie)),
        lambda: cloud.vms.snapshots.take(vm.id, NAMED, actor=acting(charlie)),
        lambda: cloud.vms.snapshots.revert(vm.id, made.id, actor=acting(charlie)),
        lambda: cloud.vms.snapshots.delete(vm.id, made.id, actor=acting(charlie)),
    ):
        with pytest.raises((NotFoundError, PermissionDeniedError)):
            call()
    with pytest.raises(NotFoundError):
        cloud.vms.snapshots.revert(vm.id, "snap_other", actor=acting(alice))


def test_nothing_of_it_while_something_is_under_way(cloud, alice, vm):
    cloud.vms.snapshots.take(vm.id, NAMED, actor=acting(alice))
    with pytest.raises(ConflictError, match="busy with a snapshot"):
        cloud.vms.snapshots.take(vm.id, NAMED, actor=acting(alice))


@pytest.mark.parametrize("step", ["snapshot.claimed", "snapshot.made", "snapshot.seen"])
def test_one_that_a_deletion_overtakes_is_gone_when_the_machine_comes_back(cloud, alice, vm, step):
    cloud.keep_deleted(7)
    cloud.vms.snapshots.take(vm.id, NAMED, actor=acting(alice))

    def delete(reached):
        if reached == step:
            cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))

    cloud.worker.checkpoint = delete
    cloud.worker.work()
    assert cloud.row(vm).state == VMState.BINNED
    cloud.purge()
    cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))
    assert cloud.vms.snapshots.list(vm.id, actor=acting(alice)) == []
    assert cloud.driver.snapshots.list(vm.id) == []
    cloud.assert_sound()


def test_the_host_that_could_not_forget_one_forgets_it_later(cloud, alice, vm):
    cloud.control.fault("snapshot", "timeout", times=None)
    cloud.control.fault("discard", "unavailable", times=None)
    cloud.vms.snapshots.take(vm.id, NAMED, actor=acting(alice))
    for _ in range(20):
        cloud.worker.work()
        cloud.round(61)
    (left,) = cloud.vms.snapshots.list(vm.id, actor=acting(alice))
    assert (left.state, cloud.vm(vm).state) == (SnapshotState.MAKING, VMState.RUNNING)
    cloud.control.clear()
    cloud.purge()
    assert cloud.vms.snapshots.list(vm.id, actor=acting(alice)) == []


def test_after_credits_came_back_they_are_paid_for_again(cloud, alice, vm):
    made = take(cloud, alice, vm)
    cloud.set_wallet(alice, 0)
    while cloud.vm(vm).state != VMState.STOPPED:
        step = cloud.stride(vm, 5)
        cloud.live(step, step=step)
    assert [end for _, end in spans(cloud, made)] != [None], "its disk is kept for nothing, and what lies in it"
    cloud.set_wallet(alice, 5_000_000)
    cloud.land()
    assert cloud.vm(vm).state == VMState.RUNNING
    assert [end for _, end in spans(cloud, made)][-1] is None
    cloud.live(120)
    cloud.assert_sound()


def test_they_are_gone_with_a_machine_that_somebody_undefined_on_the_host(cloud, alice, vm):
    take(cloud, alice, vm)
    cloud.control.destroy(vm.id)
    cloud.round()
    assert cloud.vm(vm).state == VMState.ERROR
    cloud.purge()
    assert cloud.vms.snapshots.list(vm.id, actor=acting(alice)) == []
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.live(60)
    with cloud.container.database.reading() as session:
        assert session.scalars(select(DbStored.ended_at)).one() is not None
    cloud.assert_sound()
