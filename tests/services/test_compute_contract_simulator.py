"""The simulator keeps the contract of every compute driver."""

from collections.abc import Iterator

import pytest

from tests.compute_contract import ComputeContract, ComputeRig
from zentry_web.adapters.compute.simulator import SimulatorCompute
from zentry_web.adapters.compute.simulator_control import SimulatorControl


class TestSimulator(ComputeContract):
    @pytest.fixture(scope="class")
    @classmethod
    def rig(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComputeRig]:
        path = tmp_path_factory.mktemp("simulator") / "simulator.sqlite"

        def driver() -> SimulatorCompute:
            return SimulatorCompute(path, boot_seconds=0.3, shutdown_seconds=0.1)

        control = SimulatorControl(path)
        rig = ComputeRig(driver(), driver, control.stop, control.destroy, answer_seconds=5)
        yield rig
        rig.driver.close()
        control.close()
