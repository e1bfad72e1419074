"""What every compute driver must do about the agents in guests."""

import pytest

from tests.compute_contract.rig import ComputeRig, wait_for
from zentry_web.adapters.compute.base import ComputeRefused, MachineMissing, PowerState

# Of the password "let me in".
HASH = "$6$saltsaltsalt$OmgSvXAZHAe.G8X14QXM9W/bfSX5hB3aZyLtLFGMd.TrWCWujBFnKnwT126j/LKA5HKhS7NhHCO7Jj6Ee63pC0"


class AgentContract:
    """One that listens sets passwords; who asks where there is none is told."""

    def test_it_is_seen_and_sets_a_password_that_outlives_a_restart(self, rig: ComputeRig) -> None:
        vm_id = rig.created()
        assert not rig.get(vm_id).agent
        with pytest.raises(ComputeRefused, match="off"):
            rig.driver.agents.set_password(vm_id, "root", HASH)
        rig.driver.start(vm_id)
        rig.wait_answered(vm_id)
        wait_for(lambda: rig.get(vm_id).agent, rig.answer_seconds, "the agent")
        assert [each.agent for each in rig.driver.machines() if each.vm_id == vm_id] == [True]
        seen = rig.another_sees(vm_id)
        assert seen is not None
        assert seen.agent
        for _ in range(2):  # again: it is that already
            rig.driver.agents.set_password(vm_id, "root", HASH)
        assert rig.shadow(vm_id) == HASH
        with pytest.raises(ComputeRefused, match="no such user"):
            rig.driver.agents.set_password(vm_id, "stranger", HASH)

        rig.driver.shutdown(vm_id)
        rig.wait_power(vm_id, PowerState.OFF)
        assert not rig.get(vm_id).agent
        rig.driver.start(vm_id)
        rig.wait_answered(vm_id)
        wait_for(lambda: rig.get(vm_id).agent, rig.answer_seconds, "the agent")
        assert rig.shadow(vm_id) == HASH
        rig.driver.delete(vm_id)

    def test_nothing_that_is_not_there_gets_a_password(self, rig: ComputeRig) -> None:
        with pytest.raises(MachineMissing):
            rig.driver.agents.set_password("vm_NONE", "root", HASH)
