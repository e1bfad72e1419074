"""The simulator keeps the contract of every compute driver."""

from collections.abc import Iterator

import pytest

from tests.compute_contract import (
    AgentContract,
    BackupContract,
    ComputeContract,
    ComputeRig,
    ConsoleContract,
    IdentityContract,
    ProofContract,
    RebuildContract,
    RescueContract,
    SnapshotContract,
)
from tests.compute_contract.copies import CopiesContract
from tests.compute_contract.images import ImagesContract, disk
from zentry_web.adapters.compute.simulator.control import SimulatorControl
from zentry_web.adapters.compute.simulator.driver import SimulatorCompute

__all__ = ["disk"]  # a fixture


class TestSimulator(
    AgentContract,
    ComputeContract,
    ConsoleContract,
    IdentityContract,
    RebuildContract,
    RescueContract,
    SnapshotContract,
    BackupContract,
    ProofContract,
    ImagesContract,
    CopiesContract,
):
    @pytest.fixture(scope="class")
    @classmethod
    def rig(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComputeRig]:
        path = tmp_path_factory.mktemp("simulator") / "simulator.sqlite"

        def driver() -> SimulatorCompute:
            return SimulatorCompute(path, boot_seconds=0.3, shutdown_seconds=0.1)

        control = SimulatorControl(path)
        hands = (control.cut, control.destroy, control.save, control.snapshot, control.pause)
        guest = (lambda vm_id: control.pause(vm_id, "sleeping"), control.password)
        rig = ComputeRig(driver(), driver, *hands, *guest, answer_seconds=5)
        yield rig
        rig.driver.close()
        control.close()
