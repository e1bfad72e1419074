"""The disk of the machines is really full: what finds no room is told, and leaves all as it was; guests go on."""

import pytest
from sqlalchemy import select

from tests.compute_contract import wait_for
from tests.disks import fill, small_disk
from tests.real.test_kill_guests import answered
from tests.real.worker_process import Rig, guest_rig_on, libvirt_config
from zentry_web.adapters.compute.base import ComputeRefused, PowerState
from zentry_web.adapters.compute.copies import DiskSource
from zentry_web.adapters.compute.host import GIB
from zentry_web.adapters.compute.words import NO_ROOM_SNAPSHOT
from zentry_web.domain.vms.backup import BackupState
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbOperation

pytestmark = [pytest.mark.real, pytest.mark.error, pytest.mark.timeout(600)]


@pytest.fixture
def rig(tmp_path):
    """Machines on a small disk, the books and the backups on another."""
    config = libvirt_config(tmp_path, has_backups=True)
    with (
        small_disk(config.data / "machines", 5 * GIB),
        guest_rig_on(config) as rig,
    ):
        yield rig


def end(rig, operation, seconds=120):
    """How it ended, and why; the worker that lives does it."""

    def row():
        return rig.rows(select(DbOperation).where(DbOperation.id == operation.id))[0]

    over = (OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED)
    rig.worker.wait_for(lambda: row().state in over, seconds, f"the end of {operation.kind}")
    return row().state, row().error


def files(rig, vm):
    """What lies on the machines’ disk, without what is noted of the guest's run."""
    folder = rig.config.data / "machines"
    found = [path.name for each in (folder, folder / vm.id) for path in each.iterdir()]
    return sorted(name for name in found if name not in ("answered", "resumed"))


def test_what_finds_no_room_is_told_and_leaves_all_as_it_was(rig: Rig, monkeypatch):
    vm = rig.launch("web")
    rig.worker.start()
    rig.worker.wait_for(answered(rig, vm), 180, "the guest's answer")
    rig.worker.wait_for(rig.is_settled, 60, "everything to settle")
    done = (OperationState.SUCCEEDED, "")
    assert end(rig, rig.vms.snapshots.take(vm.id, {"name": "before", "note": ""}, actor=rig.me)) == done
    assert end(rig, rig.vms.backups.take(vm.id, {"name": "before", "note": ""}, actor=rig.me)) == done
    (snapshot,) = rig.vms.snapshots.list(vm.id, actor=rig.me)
    (backup,) = rig.vms.backups.list(vm.id, actor=rig.me)
    before = rig.driver.machine(vm.id)
    filler = fill(rig.config.data / "machines")
    there = files(rig, vm)

    revert = end(rig, rig.vms.snapshots.revert(vm.id, snapshot.id, actor=rig.me))
    assert revert == (OperationState.FAILED, NO_ROOM_SNAPSHOT)
    state, error = end(rig, rig.vms.machine_images.make(vm.id, {"name": "of-web", "note": ""}, actor=rig.me))
    assert (state, "no room for a copy" in error) == (OperationState.FAILED, True)
    assert rig.vms.machine_images.list(rig.project.id, actor=rig.me) == []
    assert rig.driver.machine(vm.id) == before
    assert files(rig, vm) == there
    # Backups are on another disk.
    assert end(rig, rig.vms.backups.take(vm.id, {"name": "after", "note": ""}, actor=rig.me)) == done
    assert {each.state for each in rig.vms.backups.list(vm.id, actor=rig.me)} == {BackupState.READY}
    assert rig.driver.machine(vm.id) == before
    assert files(rig, vm) == there

    # Nor does going back take room, where nothing is kept.
    assert end(rig, rig.vms.snapshots.revert(vm.id, snapshot.id, actor=rig.me, keeps=False)) == done
    rig.worker.wait_for(rig.is_settled, 60, "everything to settle")
    assert rig.driver.machine(vm.id).run_id != before.run_id
    assert files(rig, vm) == there

    assert end(rig, rig.vms.snapshots.delete(vm.id, snapshot.id, actor=rig.me)) == done
    state, error = end(rig, rig.vms.recovering.request(vm.id, backup.id, vm.name, actor=rig.me))
    assert (state, "no room for a disk" in error) == (OperationState.FAILED, True)
    rig.settle()
    assert rig.state(vm) == VMState.RUNNING, "its own disk, and on again"
    assert files(rig, vm) == there

    rig.driver.force_off(vm.id)
    filler.unlink()
    others_are_quicker(rig, vm, backup, monkeypatch)


def others_are_quicker(rig, vm, backup, monkeypatch):
    """There was room when it was looked at, and none when it was wanted."""
    monkeypatch.setattr(rig.driver._storage, "free_bytes", lambda **_but: 100 * GIB)
    monkeypatch.setattr(rig.driver.copies, "_check_room", lambda *_about: None)
    fill(rig.config.data / "machines", 0)
    there = files(rig, vm)
    rig.driver.backups.restore(vm.id, backup.id, "op_full")
    assert "No space left" in refusal(lambda: rig.driver.backups.restoring(vm.id, "op_full"))
    assert files(rig, vm) == there
    rig.driver.copies.begin("op_full", DiskSource(vm.id))
    assert "No space left" in refusal(lambda: rig.driver.copies.progress("op_full"))
    assert files(rig, vm) == there
    assert rig.driver.machine(vm.id).power is PowerState.OFF
    rig.driver.delete(vm.id)
    assert sorted(path.name for path in (rig.config.data / "machines").iterdir()) == ["filler"], "room is made by that"


def refusal(question):
    def ask():
        try:
            question()
        except ComputeRefused as error:
            return str(error)
        return ""

    return wait_for(ask, 60, "a refusal")
