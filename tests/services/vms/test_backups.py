"""Backups on the simulator: made, restored, deleted, paid for to the second; killed and failed at each step."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.services.people import acting
from tests.services.vm_world import Killed
from zentry_web.adapters.compute.words import SAME_DISK
from zentry_web.domain.projects.quota import Resource
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.backup import BackupState
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbBackup, DbDiskAside, DbNotice, DbStored, DbUsageInterval
from zentry_web.services.errors import (
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    PlanChangedError,
    QuotaExceededError,
    ValidationError,
)
from zentry_web.worker.backups import BackupKeeper

pytestmark = pytest.mark.integration

NAMED = {"name": "before the upgrade", "note": "works"}


def ask(cloud, alice, vm, **changes):
    return cloud.vms.backups.take(vm.id, NAMED | changes, actor=acting(alice))


def take(cloud, alice, vm, **changes):
    ask(cloud, alice, vm, **changes)
    cloud.worker.work()
    return listed(cloud, vm)[0]


def recover(cloud, alice, vm, backup, **more):
    return cloud.vms.recovering.request(vm.id, backup.id, vm.name, actor=acting(alice), **more)


def abort_at(cloud, alice, operation, step):
    """As soon as that step is reached."""
    cloud.meanwhile = lambda: (
        cloud.vms.work.get(operation.id, actor=acting(alice)).operation.step == step
        and cloud.vms.work.abort(operation.id, actor=acting(alice))
    )
    cloud.worker.work()
    cloud.meanwhile = lambda: None
    cloud.worker.work()


def listed(cloud, vm):
    return cloud.vms.backups.list(vm.id, actor=SYSTEM)


def keep(cloud, checkpoint=lambda name: None):
    BackupKeeper(cloud.vms, cloud.driver, checkpoint).run()


def rows(cloud, query):
    with cloud.container.database.reading() as session:
        return list(session.scalars(query))


def spans(cloud, backup):
    query = select(DbUsageInterval).where(DbUsageInterval.stored_id == backup.id).order_by(DbUsageInterval.start_at)
    return [(row.start_at, row.end_at) for row in rows(cloud, query)]


def test_one_of_a_machine_that_runs_is_paid_from_when_it_is_whole(cloud, alice, vm):
    run = cloud.row(vm).run_id
    operation = ask(cloud, alice, vm)
    assert operation.kind == "backup"
    assert cloud.vm(vm).state == VMState.BACKUP
    assert cloud.vm(vm).is_on
    assert [each.state for each in listed(cloud, vm)] == [BackupState.MAKING]
    cloud.worker.work()
    (made,) = listed(cloud, vm)
    assert (made.name, made.note, made.state, made.was_on) == (NAMED["name"], "works", BackupState.READY, True)
    assert (made.gib, made.image_name, len(made.sha256)) == (1, vm.image_name, 64)
    assert made.made_at is not None
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.row(vm).run_id == run
    assert [span[1] for span in spans(cloud, made)] == [None]
    cloud.live(60)
    assert len(cloud.run_seconds(vm)) == 1  # the machine's own bill knows nothing of it
    cloud.assert_sound()


def test_how_far_it_is_stands_with_the_operation(cloud, alice, vm):
    operation = ask(cloud, alice, vm)
    seen = []
    cloud.meanwhile = lambda: seen.append(cloud.vms.work.get(operation.id, actor=acting(alice)).operation.percent)
    cloud.worker.work()
    assert [percent for percent in seen if percent], seen


def test_one_of_a_stopped_machine_leaves_it_stopped(cloud, alice, vm):
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    made = take(cloud, alice, vm)
    assert (made.state, made.was_on) == (BackupState.READY, False)
    assert cloud.vm(vm).state == VMState.STOPPED
    cloud.assert_sound()


def test_restored_a_machine_that_ran_runs_again_and_its_disk_is_kept_aside(cloud, alice, vm):
    made = take(cloud, alice, vm)
    cloud.live(90)
    recover(cloud, alice, vm, made)
    assert cloud.vm(vm).state == VMState.RECOVERING
    cloud.worker.work()
    cloud.live(30)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.row(vm).run_id == cloud.driver.machine(vm.id).run_id
    assert len(cloud.run_seconds(vm)) == 2
    assert [charge for charge in cloud.charges(vm) if charge.kind == "minimum"] == []
    assert cloud.vms.rebuilding.find_aside(vm.id, actor=acting(alice)) is not None
    cloud.assert_sound()


def test_a_restore_is_undone_within_the_hour(cloud, alice, vm):
    made = take(cloud, alice, vm)
    recover(cloud, alice, vm, made)
    cloud.worker.work()
    cloud.live(10)
    undo = cloud.vms.undo.find_offer(vm.id, actor=acting(alice))
    assert undo
    cloud.vms.undo.undo(undo, actor=acting(alice))
    cloud.worker.work()
    cloud.live(10)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert rows(cloud, select(DbDiskAside)) == []
    cloud.assert_sound()


def test_a_stopped_machine_stays_stopped_when_it_is_restored(cloud, alice, vm):
    made = take(cloud, alice, vm)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    recover(cloud, alice, vm, made)
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.STOPPED
    cloud.assert_sound()


def test_a_restore_is_what_was_confirmed(cloud, alice, vm):
    made = take(cloud, alice, vm)
    with pytest.raises(ValidationError):
        cloud.vms.recovering.request(vm.id, made.id, "other", actor=acting(alice))
    with pytest.raises(PlanChangedError):
        recover(cloud, alice, vm, made, plan={"name": vm.name})
    cloud.vms.bin.set_protection(vm.id, True, actor=acting(alice))
    with pytest.raises(ConflictError, match="protected"):
        recover(cloud, alice, vm, made)
    cloud.vms.bin.set_protection(vm.id, False, actor=acting(alice))
    cloud.vms.snapshots.take(vm.id, NAMED, actor=acting(alice))
    cloud.worker.work()
    with pytest.raises(ConflictError, match="snapshots"):
        recover(cloud, alice, vm, made)


def test_deleted_it_is_paid_up_to_then_and_then_removed(cloud, alice, vm):
    made = take(cloud, alice, vm)
    cloud.live(60)
    cloud.vms.backups.delete(vm.id, made.id, actor=acting(alice))
    assert listed(cloud, vm) == []
    ((start, end),) = spans(cloud, made)
    assert timedelta(seconds=59) <= end - start <= timedelta(seconds=66)
    keep(cloud)
    assert cloud.driver.backups.stored() == ()
    assert rows(cloud, select(DbBackup)) == []
    cloud.assert_sound()


def test_what_is_needed_is_not_deleted(cloud, alice, vm):
    ask(cloud, alice, vm)
    with pytest.raises(ConflictError, match="needed"):
        cloud.vms.backups.delete(vm.id, listed(cloud, vm)[0].id, actor=acting(alice))
    cloud.worker.work()
    made = listed(cloud, vm)[0]
    recover(cloud, alice, vm, made)
    with pytest.raises(ConflictError, match="needed"):
        cloud.vms.backups.delete(vm.id, made.id, actor=acting(alice))


def test_they_wait_in_the_bin_for_nothing_and_go_for_good_with_the_machine(cloud, alice, vm):
    cloud.keep_deleted(7)
    made = take(cloud, alice, vm)
    cloud.live(60)
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()
    assert [end is None for _, end in spans(cloud, made)] == [False]
    keep(cloud)
    assert cloud.driver.backups.stored() == (made.id,)
    cloud.vms.bin.restore(vm.id, vm.name, actor=acting(alice))
    assert [end is None for _, end in spans(cloud, made)] == [False, True]
    cloud.keep_deleted(0)
    cloud.live(30)
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()
    keep(cloud)
    assert [end is None for _, end in spans(cloud, made)] == [False, False]
    assert cloud.driver.backups.stored() == ()
    assert rows(cloud, select(DbBackup)) == []
    assert [row.ended_at is not None for row in rows(cloud, select(DbStored))] == [True]
    cloud.assert_sound()


def test_a_machine_that_is_gone_from_the_host_leaves_them_paid_for(cloud, alice, vm):
    made = take(cloud, alice, vm)
    cloud.driver.delete(vm.id)
    cloud.live(30)
    assert cloud.vm(vm).state == VMState.ERROR
    assert [end is None for _, end in spans(cloud, made)] == [True]
    cloud.assert_sound()


def test_they_follow_their_machine_into_another_project(cloud, alice, vm):
    made = take(cloud, alice, vm)
    other = cloud.project(alice, "other")
    cloud.vms.moving.move(vm.id, other.id, actor=acting(alice))
    (stored,) = rows(cloud, select(DbStored).where(DbStored.id == made.id))
    assert stored.project_id == other.id
    cloud.assert_sound()


def _kill_at(cloud, step):
    cloud.kill_at(step)
    cloud.restart_worker()
    cloud.clock.advance(31)
    cloud.worker.work()
    cloud.live(30)


@pytest.mark.parametrize("step", ["backup.claimed", "backup.begun", "backup.whole"])
def test_a_worker_killed_while_it_makes_one_leaves_one(cloud, alice, vm, step):
    ask(cloud, alice, vm)
    _kill_at(cloud, step)
    assert [each.state for each in listed(cloud, vm)] == [BackupState.READY]
    assert cloud.driver.backups.stored() == (listed(cloud, vm)[0].id,)
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.assert_sound()


@pytest.mark.parametrize("step", ["recover.claimed", "recover.recorded", "recover.begun", "recover.changed"])
def test_a_worker_killed_while_it_restores_does_it_once(cloud, alice, vm, step):
    made = take(cloud, alice, vm)
    operation = recover(cloud, alice, vm, made)
    _kill_at(cloud, step)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert [row.operation_id for row in rows(cloud, select(DbDiskAside))] == [operation.id]
    assert cloud.store.find(vm.id).replaced == operation.id
    assert cloud.row(vm).run_id == cloud.driver.machine(vm.id).run_id
    cloud.assert_sound()


def test_a_worker_killed_while_it_removes_one_leaves_none(cloud, alice, vm):
    made = take(cloud, alice, vm)
    cloud.vms.backups.delete(vm.id, made.id, actor=acting(alice))

    def kill(name):
        raise Killed(name)

    with pytest.raises(Killed):
        keep(cloud, kill)
    keep(cloud)
    assert rows(cloud, select(DbBackup)) == []


@pytest.mark.parametrize(
    ("fault", "left"), [("refuse", BackupState.FAILED), ("timeout", BackupState.READY), ("timeout-after", "ready")]
)
def test_one_that_fails_says_why_and_one_that_worked_without_an_answer_counts(cloud, alice, vm, fault, left):
    cloud.control.fault("backup", fault, vm.id)
    ask(cloud, alice, vm)
    cloud.worker.work()
    cloud.live(20)
    (found,) = listed(cloud, vm)
    assert found.state == left
    assert ("simulated fault" in found.error) is (left == BackupState.FAILED)
    assert len(cloud.driver.backups.stored()) == (left != BackupState.FAILED)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert len(rows(cloud, select(DbStored))) == (left != BackupState.FAILED)
    cloud.assert_sound()


def test_one_that_fails_on_the_way_leaves_nothing(cloud, alice, vm):
    cloud.control.fault("backup_progress", "refuse", vm.id)
    ask(cloud, alice, vm)
    cloud.worker.work()
    assert [each.state for each in listed(cloud, vm)] == [BackupState.FAILED]
    assert cloud.driver.backups.stored() == ()
    take(cloud, alice, vm)
    assert [each.state for each in listed(cloud, vm)] == [BackupState.READY]  # nobody needs to know any more
    cloud.assert_sound()


def test_a_failed_one_is_deleted_as_any_other(cloud, alice, vm):
    cloud.control.fault("backup", "refuse", vm.id)
    failed = take(cloud, alice, vm)
    cloud.vms.backups.delete(vm.id, failed.id, actor=acting(alice))
    keep(cloud)
    assert rows(cloud, select(DbBackup)) == []


def test_a_restore_that_is_refused_leaves_the_machine_running_with_its_disk(cloud, alice, vm):
    made = take(cloud, alice, vm)
    cloud.control.fault("restore", "refuse", vm.id)
    recover(cloud, alice, vm, made)
    cloud.worker.work()
    cloud.live(10)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.store.find(vm.id).replaced == ""
    assert rows(cloud, select(DbDiskAside)) == []
    assert cloud.vms.rebuilding.find_aside(vm.id, actor=acting(alice)) is None
    assert cloud.vms.undo.find_offer(vm.id, actor=acting(alice)) == ""
    cloud.assert_sound()


def test_aborted_nothing_of_it_is_left(cloud, alice, vm):
    operation = ask(cloud, alice, vm)
    abort_at(cloud, alice, operation, "backup")
    assert cloud.operations(vm)[-1].state == OperationState.CANCELLED
    assert listed(cloud, vm) == []
    assert cloud.driver.backups.stored() == ()
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.assert_sound()


def test_aborted_a_restore_leaves_the_disk_that_was(cloud, alice, vm):
    made = take(cloud, alice, vm)
    operation = recover(cloud, alice, vm, made)
    abort_at(cloud, alice, operation, "recover")
    cloud.live(10)
    assert cloud.operations(vm)[-1].state == OperationState.CANCELLED
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.store.find(vm.id).replaced == ""
    assert rows(cloud, select(DbDiskAside)) == []
    cloud.assert_sound()


def test_one_that_a_deletion_overtakes_goes_with_the_machine(cloud, alice, vm):
    ask(cloud, alice, vm)
    cloud.kill_at("backup.begun")
    cloud.restart_worker()
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.clock.advance(31)
    cloud.worker.work()
    keep(cloud)
    assert cloud.driver.backups.stored() == ()
    assert rows(cloud, select(DbBackup)) == []
    cloud.assert_sound()


def test_quota_and_credits_are_asked_first(cloud, alice, vm):
    cloud.vms.quotas.set_limits(alice.id, {Resource.STORED: "0"}, actor=SYSTEM)
    with pytest.raises(QuotaExceededError):
        ask(cloud, alice, vm)
    cloud.vms.quotas.set_limits(alice.id, {Resource.STORED: "20"}, actor=SYSTEM)
    cloud.set_wallet(alice, 0)
    with pytest.raises(InsufficientCreditsError):
        ask(cloud, alice, vm)
    assert listed(cloud, vm) == []


def test_without_a_place_none_is_begun(cloud, alice, vm, monkeypatch):
    monkeypatch.setattr(type(cloud.driver.backups), "trouble", lambda self: SAME_DISK)
    cloud.clock.advance(3600)
    cloud.worker.reconciler.run()
    with pytest.raises(ConflictError, match="same disk"):
        ask(cloud, alice, vm)


def test_what_is_typed_must_do(cloud, alice, vm):
    for wrong in ({"name": ""}, {"name": "x" * 61}, {"name": "a\x00"}, {"note": "x" * 501}):
        with pytest.raises(ValidationError):
            ask(cloud, alice, vm, **wrong)


def test_only_who_may_change_a_machine_may(cloud, alice, charlie, vm):
    made = take(cloud, alice, vm)
    for call in (
        lambda: cloud.vms.backups.list(vm.id, actor=acting(charlie)),
        lambda: cloud.vms.backups.take(vm.id, NAMED, actor=acting(charlie)),
        lambda: cloud.vms.backups.delete(vm.id, made.id, actor=acting(charlie)),
        lambda: cloud.vms.recovering.get(vm.id, made.id, actor=acting(charlie)),
        lambda: cloud.vms.recovering.request(vm.id, made.id, vm.name, actor=acting(charlie)),
    ):
        with pytest.raises((NotFoundError, PermissionDeniedError)):
            call()
    with pytest.raises(NotFoundError):
        recover(cloud, alice, vm, type("Other", (), {"id": "bak_other"}))


def test_nothing_of_it_while_something_is_under_way(cloud, alice, vm):
    ask(cloud, alice, vm)
    with pytest.raises(ConflictError, match="being backed up"):
        ask(cloud, alice, vm)


def test_a_schedule_makes_them_and_keeps_the_last(cloud, alice, vm):
    cloud.vms.backup_schedules.set(vm.id, {"every": "hour", "hour": "0", "keep": "2"}, actor=acting(alice))
    assert cloud.vms.snapshot_schedules.find(vm.id, actor=acting(alice)) is None
    own = take(cloud, alice, vm, name="mine")
    for _ in range(4):
        cloud.live(3600, step=120)
        keep(cloud)
        cloud.worker.work()
    keep(cloud)
    keep(cloud)
    found = listed(cloud, vm)
    assert len([each for each in found if each.is_scheduled]) == 2
    assert own.id in [each.id for each in found]
    assert cloud.vms.backup_schedules.find(vm.id, actor=acting(alice)).last_error == ""
    cloud.assert_sound()


def test_the_owner_hears_of_one_by_schedule_that_failed(cloud, alice, vm):
    cloud.vms.backup_schedules.set(vm.id, {"every": "hour", "hour": "0", "keep": "2"}, actor=acting(alice))
    cloud.control.fault("backup", "refuse", vm.id)
    cloud.live(3600, step=300)
    keep(cloud)
    cloud.worker.work()
    assert [each.state for each in listed(cloud, vm)] == [BackupState.FAILED]
    told = [each.title for each in rows(cloud, select(DbNotice)) if each.kind == "failed"]
    assert len(told) == 1


def test_what_nobody_pays_for_is_deleted_when_its_grace_is_over(cloud, alice, vm):
    made = take(cloud, alice, vm)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.billing.stored_grace.list_over = lambda kind: [(vm.id, made.id)] if kind == "backup" else []
    keep(cloud)
    assert listed(cloud, vm) == []
    assert cloud.driver.backups.stored() == ()
