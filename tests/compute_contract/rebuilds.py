"""What every compute driver must do about machines made anew."""

from dataclasses import replace

import pytest

from tests.compute_contract.rig import ComputeRig
from zentry_web.adapters.compute.base import ComputeRefused, MachineMissing, PowerState


class RebuildContract:
    """Another disk, and the one that was."""

    def test_a_rebuilt_machine_keeps_its_address_and_can_have_its_disk_back(self, rig: ComputeRig) -> None:
        spec = rig.spec(name="before")
        rig.driver.create(spec)
        rig.driver.start(spec.vm_id)
        address = rig.wait_answered(spec.vm_id).addresses
        self._off(rig, spec.vm_id)
        new = replace(spec, name="after", user_data="")
        rig.driver.rebuilds.rebuild(new, "op_1")
        assert rig.get(spec.vm_id).power is PowerState.OFF
        assert self._name(rig, spec.vm_id) == "after"
        rig.driver.rebuilds.rebuild(new, "op_1")  # again: nothing to do
        rig.driver.start(spec.vm_id)
        assert rig.wait_answered(spec.vm_id).addresses == address
        assert "name: after" in rig.driver.console_log(spec.vm_id).text

        self._off(rig, spec.vm_id)
        rig.driver.rebuilds.bring_back(spec.vm_id, "op_1")
        rig.driver.rebuilds.bring_back(spec.vm_id, "op_1")  # again: nothing to do
        assert self._name(rig, spec.vm_id) == "before"
        rig.driver.start(spec.vm_id)
        assert rig.wait_answered(spec.vm_id).addresses == address
        rig.driver.delete(spec.vm_id)

    def test_only_the_last_disk_is_kept_and_only_until_it_is_dropped(self, rig: ComputeRig) -> None:
        spec = rig.spec()
        rig.driver.create(spec)
        for name in ("op_1", "op_2"):
            rig.driver.rebuilds.rebuild(spec, name)
        rig.driver.rebuilds.drop(spec.vm_id, "op_1")  # gone already
        rig.driver.rebuilds.bring_back(spec.vm_id, "op_1")  # nothing of that name has its place
        rig.driver.rebuilds.drop(spec.vm_id, "op_2")
        with pytest.raises(ComputeRefused, match="no longer there"):
            rig.driver.rebuilds.bring_back(spec.vm_id, "op_2")
        rig.driver.delete(spec.vm_id)
        rig.driver.rebuilds.drop(spec.vm_id, "op_2")

    def test_what_cannot_be_rebuilt_stays_as_it_is(self, rig: ComputeRig) -> None:
        spec = rig.spec(name="as-it-was")
        with pytest.raises(MachineMissing):
            rig.driver.rebuilds.rebuild(spec, "op_1")
        rig.driver.create(spec)
        new = replace(spec, name="other")
        with pytest.raises(ComputeRefused, match="no-such-image"):
            rig.driver.rebuilds.rebuild(replace(new, image="no-such-image"), "op_1")
        rig.driver.start(spec.vm_id)
        for order in (
            lambda: rig.driver.rebuilds.rebuild(new, "op_1"),
            lambda: rig.driver.rebuilds.bring_back(spec.vm_id, "op_1"),
        ):
            with pytest.raises(ComputeRefused, match="running"):
                order()
        self._off(rig, spec.vm_id)
        rig.snapshot(spec.vm_id)
        with pytest.raises(ComputeRefused, match="snapshot"):
            rig.driver.rebuilds.rebuild(new, "op_1")
        assert self._name(rig, spec.vm_id) == "as-it-was"
        rig.driver.delete(spec.vm_id)

    def _off(self, rig: ComputeRig, vm_id: str) -> None:
        rig.driver.force_off(vm_id)
        rig.wait_power(vm_id, PowerState.OFF)

    def _name(self, rig: ComputeRig, vm_id: str) -> str:
        noted = rig.driver.note(vm_id)
        assert noted is not None
        return noted.name
