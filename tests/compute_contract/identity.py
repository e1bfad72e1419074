"""What every compute driver must do about names."""

from dataclasses import replace

import pytest

from tests.compute_contract.rig import ComputeRig, wait_for
from zentry_web.adapters.compute.base import MachineMissing, PowerState


class IdentityContract:
    """Names follow at the next boot."""

    def test_a_guest_takes_its_new_name_when_it_boots_again(self, rig: ComputeRig) -> None:
        spec = rig.spec(name="before")
        rig.driver.create(spec)
        rig.driver.start(spec.vm_id)
        rig.wait_answered(spec.vm_id)
        run_id = rig.get(spec.vm_id).run_id
        rig.driver.identity.renew(replace(spec, name="while-it-runs"))
        rig.driver.identity.renew(replace(spec, name="while-it-runs"))  # again: nothing to do
        rig.driver.reset(spec.vm_id)
        self._wait_called(rig, spec.vm_id, "while-it-runs")
        assert rig.get(spec.vm_id).run_id == run_id

        rig.driver.force_off(spec.vm_id)
        rig.wait_power(spec.vm_id, PowerState.OFF)
        rig.driver.identity.renew(replace(spec, name="while-it-is-off"))
        rig.driver.start(spec.vm_id)
        self._wait_called(rig, spec.vm_id, "while-it-is-off")
        noted = rig.driver.note(spec.vm_id)
        assert noted is not None
        assert noted.name == "while-it-is-off"
        rig.driver.delete(spec.vm_id)

    def test_nothing_is_renamed_that_is_not_there(self, rig: ComputeRig) -> None:
        with pytest.raises(MachineMissing):
            rig.driver.identity.renew(rig.spec())

    def _wait_called(self, rig: ComputeRig, vm_id: str, name: str) -> None:
        def is_called() -> bool:
            return f"name: {name}" in rig.driver.console_log(vm_id).text

        wait_for(is_called, rig.answer_seconds, f"a guest that says its name is {name}")
