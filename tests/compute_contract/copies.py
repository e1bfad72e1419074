"""Copies of disks: images and other machines are made of them."""

import secrets

import pytest

from tests.compute_contract.images import WATCH
from tests.compute_contract.rig import ComputeRig, wait_for
from zentry_web.adapters.compute.base import ComputeRefused, MachineMissing, PowerState
from zentry_web.adapters.compute.copies import CopyProgress, DiskSource
from zentry_web.adapters.compute.images import ImageOrder
from zentry_web.domain.vms.image import ImageSource

GIB = 1024**3


def make_copy(rig: ComputeRig, vm_id: str, snapshot: str = "", backup: str = "") -> str:
    """A whole copy of a machine's disk; its key."""
    key = f"op_{secrets.token_hex(10)}"
    rig.driver.copies.begin(key, DiskSource(vm_id, snapshot, backup))
    wait_for(lambda: whole(rig, key), 60, "a whole copy")
    return key


def whole(rig: ComputeRig, key: str) -> CopyProgress | None:
    found = rig.driver.copies.progress(key)
    assert found is not None, "nobody makes it"
    return found if found.whole else None


class CopiesContract:
    """The tests."""

    def test_an_image_of_a_machine_that_is_off_outlives_it(self, rig: ComputeRig) -> None:
        spec = rig.spec(disk_gib=2)
        rig.driver.create(spec)
        key = make_copy(rig, spec.vm_id)
        rig.driver.copies.begin(key, DiskSource(spec.vm_id))  # again: nothing to do
        assert whole(rig, key) is not None
        assert key in rig.driver.copies.stored()
        order = ImageOrder("of-machine", ImageSource.MACHINE, key)
        facts = rig.driver.images.make(order, WATCH)
        assert (len(facts.sha256), facts.disk_bytes) == (64, 2 * GIB)
        assert facts.size_bytes > 0
        rig.driver.copies.drop(key)
        rig.driver.copies.drop(key)
        assert key not in rig.driver.copies.stored()
        assert rig.driver.copies.progress(key) is None
        assert rig.driver.images.make(order, WATCH) == facts, "what is there is not made again"
        rig.driver.delete(spec.vm_id)
        small = rig.spec(image="of-machine", disk_gib=1)
        if not rig.driver.simulated:  # whose disks hold nothing
            with pytest.raises(ComputeRefused, match="at least 2 GiB"):
                rig.driver.create(small)
        vm_id = rig.booted(image="of-machine", disk_gib=3)
        assert rig.driver.images.remove("of-machine") is False, "a machine is based on it"
        rig.driver.delete(vm_id)
        assert rig.driver.images.remove("of-machine") is True

    def test_a_machine_that_runs_is_copied_and_goes_on(self, rig: ComputeRig) -> None:
        vm_id = rig.booted()
        run = rig.get(vm_id).run_id
        key = make_copy(rig, vm_id)
        assert (rig.get(vm_id).run_id, rig.get(vm_id).power) == (run, PowerState.RUNNING)
        rig.driver.images.make(ImageOrder("of-running", ImageSource.MACHINE, key), WATCH)
        rig.driver.copies.drop(key)
        rig.driver.delete(vm_id)
        assert rig.driver.images.remove("of-running") is True

    def test_a_machine_begins_as_another_was(self, rig: ComputeRig) -> None:
        vm_id = rig.booted()
        rig.driver.snapshots.create(vm_id, "snap_a")
        key = make_copy(rig, vm_id, "snap_a")
        assert rig.get(vm_id).power is PowerState.RUNNING
        spec = rig.spec(copy=key, disk_gib=2)
        rig.driver.create(spec)
        rig.driver.create(spec)
        rig.driver.copies.drop(key)
        rig.driver.create(spec)  # again, the copy being gone: it is there
        rig.driver.delete(vm_id)
        rig.driver.start(spec.vm_id)
        rig.wait_answered(spec.vm_id)
        note = rig.driver.note(spec.vm_id)
        assert note is not None
        assert (note.image, note.disk_gib) == ("tiny", 2)
        rig.driver.delete(spec.vm_id)

    def test_one_that_nobody_wants_any_more_leaves_nothing(self, rig: ComputeRig) -> None:
        vm_id = rig.booted()
        rig.driver.copies.begin("op_unwanted", DiskSource(vm_id))
        rig.driver.copies.drop("op_unwanted")
        assert rig.driver.copies.progress("op_unwanted") is None
        assert "op_unwanted" not in rig.driver.copies.stored()
        assert rig.get(vm_id).power is PowerState.RUNNING
        rig.driver.delete(vm_id)

    def test_what_cannot_be_copied_is_refused(self, rig: ComputeRig) -> None:
        with pytest.raises(MachineMissing):
            rig.driver.copies.begin("op_none", DiskSource("vm_none"))
        vm_id = rig.created()
        with pytest.raises(ComputeRefused, match="no longer has this snapshot"):
            rig.driver.copies.begin("op_none", DiskSource(vm_id, "snap_none"))
        spec = rig.spec(copy="op_none")
        with pytest.raises(ComputeRefused, match="copy of the disk is not on the host"):
            rig.driver.create(spec)
        assert rig.driver.machine(spec.vm_id) is None
        with pytest.raises(ComputeRefused, match="copy of the disk is not on the host"):
            rig.driver.images.make(ImageOrder("of-none", ImageSource.MACHINE, "op_none"), WATCH)
        assert "of-none" not in rig.driver.images.names()
        rig.driver.delete(vm_id)
