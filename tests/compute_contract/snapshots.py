"""What every compute driver must do about snapshots."""

import pytest

from tests.compute_contract.rig import ComputeRig
from zentry_web.adapters.compute.base import ComputeRefused, MachineMissing, PowerState


class SnapshotContract:
    """Back to what a machine was, on or off; what others made is left alone."""

    def test_a_snapshot_of_a_machine_that_runs_brings_it_back_running(self, rig: ComputeRig) -> None:
        vm_id = rig.booted()
        snapshots, run_id = rig.driver.snapshots, rig.get(vm_id).run_id
        snapshots.create(vm_id, "snap_a")
        snapshots.create(vm_id, "snap_a")  # again: nothing to do
        assert rig.get(vm_id).run_id == run_id
        assert rig.get(vm_id).power is PowerState.RUNNING
        (made,) = snapshots.list(vm_id)
        assert (made.name, made.has_memory, made.is_current, made.is_ours) == ("snap_a", True, True, True)
        assert made.size_bytes is not None
        assert made.size_bytes > 0
        with pytest.raises(ComputeRefused):
            rig.driver.check_resize(vm_id)  # it would hold the old size
        snapshots.revert(vm_id, "snap_a")
        rig.wait_power(vm_id, PowerState.RUNNING)
        assert rig.get(vm_id).run_id != run_id
        rig.wait_answered(vm_id)
        rig.driver.force_off(vm_id)
        rig.wait_power(vm_id, PowerState.OFF)
        snapshots.create(vm_id, "snap_b")
        assert [(each.name, each.has_memory) for each in snapshots.list(vm_id)] == [("snap_a", True), ("snap_b", False)]
        snapshots.revert(vm_id, "snap_a")
        rig.wait_power(vm_id, PowerState.RUNNING)
        snapshots.revert(vm_id, "snap_b")
        rig.wait_power(vm_id, PowerState.OFF)
        assert [each.name for each in snapshots.list(vm_id) if each.is_current] == ["snap_b"]
        snapshots.delete(vm_id, "snap_a")
        snapshots.delete(vm_id, "snap_a")
        assert [each.name for each in snapshots.list(vm_id)] == ["snap_b"]
        rig.driver.start(vm_id)  # the machine goes on as it is
        rig.wait_power(vm_id, PowerState.RUNNING)
        rig.driver.delete(vm_id)  # with what is left of its snapshots
        assert rig.driver.machine(vm_id) is None
        snapshots.delete(vm_id, "snap_b")

    def test_a_machine_that_is_off_comes_back_off(self, rig: ComputeRig) -> None:
        vm_id = rig.created()
        rig.driver.snapshots.create(vm_id, "snap_off")
        rig.driver.start(vm_id)
        rig.wait_power(vm_id, PowerState.RUNNING)
        rig.driver.snapshots.revert(vm_id, "snap_off")
        rig.wait_power(vm_id, PowerState.OFF)
        rig.driver.snapshots.delete(vm_id, "snap_off")
        rig.driver.check_resize(vm_id)
        rig.driver.delete(vm_id)

    def test_what_others_made_is_listed_and_left(self, rig: ComputeRig) -> None:
        vm_id = rig.created()
        rig.driver.snapshots.create(vm_id, "snap_ours")
        rig.snapshot(vm_id)
        assert sorted(each.is_ours for each in rig.driver.snapshots.list(vm_id)) == [False, True]
        with pytest.raises(ComputeRefused):  # what was written since lies where they put it
            rig.driver.snapshots.create(vm_id, "snap_later")
        assert [each.name for each in rig.driver.snapshots.list(vm_id) if each.is_ours] == ["snap_ours"]
        rig.driver.delete(vm_id)

    def test_nothing_is_reverted_to_that_is_not_there(self, rig: ComputeRig) -> None:
        vm_id = rig.created()
        with pytest.raises(ComputeRefused):
            rig.driver.snapshots.revert(vm_id, "snap_none")
        rig.driver.delete(vm_id)
        for call in (rig.driver.snapshots.create, rig.driver.snapshots.revert):
            with pytest.raises(MachineMissing):
                call(vm_id, "snap_none")
        with pytest.raises(MachineMissing):
            rig.driver.snapshots.list(vm_id)

    def test_what_it_was_before_a_revert_can_be_had_back(self, rig: ComputeRig) -> None:
        """As the worker does it: kept under a name of its own, gone back to, and removed (docs/adr/0043)."""
        vm_id = rig.booted()
        snapshots = rig.driver.snapshots
        snapshots.create(vm_id, "snap_then")
        snapshots.create(vm_id, "snap_op_kept")
        snapshots.revert(vm_id, "snap_then")
        rig.wait_power(vm_id, PowerState.RUNNING)
        assert {each.name: each.is_current for each in snapshots.list(vm_id)} == {
            "snap_then": True,
            "snap_op_kept": False,
        }
        run_id = rig.get(vm_id).run_id
        snapshots.revert(vm_id, "snap_op_kept")
        rig.wait_power(vm_id, PowerState.RUNNING)
        assert rig.get(vm_id).run_id != run_id
        rig.wait_answered(vm_id)
        snapshots.delete(vm_id, "snap_op_kept")  # while it runs on from there
        assert [each.name for each in snapshots.list(vm_id)] == ["snap_then"]
        assert rig.get(vm_id).power is PowerState.RUNNING
        snapshots.revert(vm_id, "snap_then")
        rig.wait_power(vm_id, PowerState.RUNNING)
        snapshots.delete(vm_id, "snap_then")
        rig.driver.force_off(vm_id)
        rig.wait_power(vm_id, PowerState.OFF)
        rig.driver.check_resize(vm_id)  # nothing of either is left in the disk
        rig.driver.delete(vm_id)
