"""What every compute driver must do about the rescue system."""

import pytest

from tests.compute_contract.rig import ComputeRig
from zentry_web.adapters.compute.base import ComputeRefused, MachineMissing, PowerState
from zentry_web.adapters.compute.rescues import RescueAccess

# Of the password "rescue me".
HASH = "$6$saltstring$CJu43oTjmbyMSoraXzP0YDl4w7QZWevXdfE9MxnhICrq3dmauuscjolZ6KbNYRym1ScB29m2WWdHmCdJ7CJLT0"


class RescueContract:
    """Another system boots, and the own one again."""

    def test_it_boots_the_rescue_system_until_it_leaves(self, rig: ComputeRig) -> None:
        spec = rig.spec(name="saved")
        rig.driver.create(spec)
        rig.driver.start(spec.vm_id)
        address = rig.wait_answered(spec.vm_id).addresses
        access = RescueAccess(HASH, rig.ssh_keys)
        with pytest.raises(ComputeRefused, match="running"):
            rig.driver.rescues.enter(spec.vm_id, access)
        self._off(rig, spec.vm_id)
        assert "rescue:" not in rig.driver.console_log(spec.vm_id).text
        for _ in range(2):  # again: nothing to do
            rig.driver.rescues.enter(spec.vm_id, access)
        rig.driver.start(spec.vm_id)
        assert rig.wait_answered(spec.vm_id).addresses == address
        log = self._last_boot(rig, spec.vm_id)
        assert "rescue: the machine's disk is /dev/vda" in log
        assert "user data: started" not in log, "that is its own system's"

        self._off(rig, spec.vm_id)
        for _ in range(2):
            rig.driver.rescues.leave(spec.vm_id)
        rig.driver.start(spec.vm_id)
        assert rig.wait_answered(spec.vm_id).addresses == address
        assert "rescue:" not in self._last_boot(rig, spec.vm_id)
        rig.driver.delete(spec.vm_id)

    def test_nothing_that_is_not_there_is_rescued(self, rig: ComputeRig) -> None:
        for order in (
            lambda: rig.driver.rescues.enter("vm_NONE", RescueAccess(HASH)),
            lambda: rig.driver.rescues.leave("vm_NONE"),
        ):
            with pytest.raises(MachineMissing):
                order()

    def _last_boot(self, rig: ComputeRig, vm_id: str) -> str:
        return rig.driver.console_log(vm_id).text.rsplit("power on ", 1)[-1]

    def _off(self, rig: ComputeRig, vm_id: str) -> None:
        rig.driver.force_off(vm_id)
        rig.wait_power(vm_id, PowerState.OFF)
