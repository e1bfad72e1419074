"""Backups: copies of disks that are made, given back and removed."""

import secrets

import pytest

from tests.compute_contract.copies import make_copy
from tests.compute_contract.rig import ComputeRig, wait_for
from zentry_web.adapters.compute.backups import BackupProgress
from zentry_web.adapters.compute.base import ComputeRefused, MachineMissing, PowerState
from zentry_web.adapters.compute.copies import DiskSource


def make_backup(rig: ComputeRig, vm_id: str, seconds: float = 60) -> str:
    """A whole backup of the machine as it is now; its id."""
    backup_id = f"bak_{secrets.token_hex(10)}"
    rig.driver.backups.begin(vm_id, backup_id)
    wait_for(lambda: whole(rig, backup_id), seconds, "a whole backup")
    return backup_id


def whole(rig: ComputeRig, backup_id: str) -> BackupProgress | None:
    found = rig.driver.backups.progress(backup_id)
    assert found is not None, "nobody makes it"
    return found if found.whole else None


def restore(rig: ComputeRig, vm_id: str, backup_id: str, seconds: float = 60) -> str:
    """Its disk is that of the backup; under which name the one that was lies aside."""
    key = secrets.token_hex(10)
    rig.driver.backups.restore(vm_id, backup_id, key)
    wait_for(lambda: (found := rig.driver.backups.restoring(vm_id, key)) and found.whole, seconds, "the disk is back")
    return key


class BackupContract:
    """The tests of backups."""

    def test_a_machine_that_is_off_is_copied_and_gets_its_disk_back(self, rig: ComputeRig) -> None:
        spec = rig.spec(disk_gib=2)
        rig.driver.create(spec)
        backup_id = make_backup(rig, spec.vm_id)
        found = whole(rig, backup_id)
        assert found is not None
        assert (found.part, found.disk_gib, found.frozen, len(found.sha256)) == (1.0, 2, False, 64)
        assert found.size_bytes > 0
        rig.driver.backups.begin(spec.vm_id, backup_id)  # again: nothing changes
        assert whole(rig, backup_id) == found
        assert backup_id in rig.driver.backups.stored()
        restore(rig, spec.vm_id, backup_id)
        assert rig.get(spec.vm_id).power is PowerState.OFF
        rig.driver.delete(spec.vm_id)
        assert backup_id in rig.driver.backups.stored(), "it outlives the machine"
        rig.driver.backups.delete(backup_id)
        rig.driver.backups.delete(backup_id)
        assert backup_id not in rig.driver.backups.stored()
        assert rig.driver.backups.progress(backup_id) is None

    def test_a_running_machine_is_copied_and_goes_on(self, rig: ComputeRig) -> None:
        vm_id = rig.booted()
        run = rig.get(vm_id).run_id
        backup_id = make_backup(rig, vm_id)
        assert (rig.get(vm_id).run_id, rig.get(vm_id).power) == (run, PowerState.RUNNING)
        with pytest.raises(ComputeRefused, match="Stop it first"):
            rig.driver.backups.restore(vm_id, backup_id, "while-it-runs")
        rig.driver.force_off(vm_id)
        restore(rig, vm_id, backup_id)
        rig.driver.start(vm_id)
        rig.wait_answered(vm_id)
        rig.driver.delete(vm_id)
        rig.driver.backups.delete(backup_id)

    def test_the_disk_that_was_is_put_aside_and_can_be_brought_back(self, rig: ComputeRig) -> None:
        spec = rig.spec()
        rig.driver.create(spec)
        backup_id = make_backup(rig, spec.vm_id)
        key = restore(rig, spec.vm_id, backup_id)
        rig.driver.backups.restore(spec.vm_id, backup_id, key)  # again: nothing changes
        rig.driver.rebuilds.bring_back(spec.vm_id, key)
        rig.driver.rebuilds.bring_back(spec.vm_id, key)
        rig.driver.rebuilds.drop(spec.vm_id, key)
        rig.driver.start(spec.vm_id)
        rig.wait_answered(spec.vm_id)
        rig.driver.delete(spec.vm_id)
        rig.driver.backups.delete(backup_id)

    def test_a_return_that_is_given_up_leaves_the_disk_that_was(self, rig: ComputeRig) -> None:
        spec = rig.spec()
        rig.driver.create(spec)
        backup_id = make_backup(rig, spec.vm_id)
        rig.driver.backups.restore(spec.vm_id, backup_id, "given-up")
        rig.driver.backups.abandon(spec.vm_id, "given-up")
        rig.driver.backups.abandon(spec.vm_id, "given-up")
        rig.driver.rebuilds.bring_back(spec.vm_id, "given-up")  # it may have been quicker
        assert rig.driver.backups.restoring(spec.vm_id, "given-up") is None
        rig.driver.start(spec.vm_id)
        rig.wait_answered(spec.vm_id)
        rig.driver.delete(spec.vm_id)
        rig.driver.backups.delete(backup_id)

    def test_a_machine_begins_as_a_backup_of_one_that_is_gone(self, rig: ComputeRig) -> None:
        vm_id = rig.created()
        backup_id = make_backup(rig, vm_id)
        rig.driver.delete(vm_id)
        key = make_copy(rig, vm_id, backup=backup_id)
        spec = rig.spec(copy=key, disk_gib=2)
        rig.driver.create(spec)
        rig.driver.copies.drop(key)
        assert backup_id in rig.driver.backups.stored(), "it stays"
        rig.driver.backups.delete(backup_id)
        with pytest.raises(ComputeRefused, match="no longer there"):
            rig.driver.copies.begin("op_none", DiskSource(vm_id, backup=backup_id))
        rig.driver.start(spec.vm_id)
        rig.wait_answered(spec.vm_id)
        rig.driver.delete(spec.vm_id)

    def test_the_room_for_them_can_be_asked(self, rig: ComputeRig) -> None:
        size, free = rig.driver.backups.room()
        assert 0 < free <= size

    def test_one_that_is_aborted_leaves_nothing(self, rig: ComputeRig) -> None:
        spec = rig.spec()
        rig.driver.create(spec)
        backup_id = f"bak_{secrets.token_hex(10)}"
        rig.driver.backups.begin(spec.vm_id, backup_id)
        rig.driver.backups.abort(spec.vm_id, backup_id)
        if rig.driver.backups.progress(backup_id) is not None:  # it was quicker: then it stays
            assert backup_id in rig.driver.backups.stored()
            rig.driver.backups.delete(backup_id)
        assert backup_id not in rig.driver.backups.stored()
        rig.driver.delete(spec.vm_id)

    def test_what_is_not_there_is_said(self, rig: ComputeRig) -> None:
        spec = rig.spec()
        rig.driver.create(spec)
        assert rig.driver.backups.trouble() == ""
        assert rig.driver.backups.progress("bak_none") is None
        assert rig.driver.backups.restoring(spec.vm_id, "none") is None
        rig.driver.backups.abort(spec.vm_id, "bak_none")
        with pytest.raises(MachineMissing):
            rig.driver.backups.begin("vm_none", "bak_none")
        with pytest.raises(ComputeRefused, match="no longer there"):
            rig.driver.backups.restore(spec.vm_id, "bak_none", "key")
        rig.driver.delete(spec.vm_id)

    def test_a_larger_disk_does_not_come_back_into_a_smaller_one(self, rig: ComputeRig) -> None:
        large, small = rig.spec(disk_gib=2), rig.spec()
        for spec in (large, small):
            rig.driver.create(spec)
        backup_id = make_backup(rig, large.vm_id)
        with pytest.raises(ComputeRefused, match="2 GiB"):
            rig.driver.backups.restore(small.vm_id, backup_id, "too-small")
        for spec in (large, small):
            rig.driver.delete(spec.vm_id)
        rig.driver.backups.delete(backup_id)

    def test_a_machine_with_a_snapshot_of_others_keeps_its_disk(self, rig: ComputeRig, created: str) -> None:
        backup_id = make_backup(rig, created)
        rig.snapshot(created)
        with pytest.raises(ComputeRefused):
            rig.driver.backups.restore(created, backup_id, "snapshot")
        rig.driver.backups.delete(backup_id)
