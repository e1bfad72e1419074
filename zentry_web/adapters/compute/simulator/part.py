"""What the simulator's parts that look after machines are given."""

from collections.abc import Callable

from zentry_web.adapters.compute.simulator.faults import SimulatorFaults
from zentry_web.adapters.compute.simulator.store import SimulatedMachine, SimulatorStore


class MachinePart:
    """``get`` looks a machine up, or raises MachineMissing; ``now`` is the time in seconds."""

    def __init__(
        self,
        store: SimulatorStore,
        faults: SimulatorFaults,
        get: Callable[[str], SimulatedMachine],
        now: Callable[[], float],
    ) -> None:
        self._store, self._faults, self._get, self._now = store, faults, get, now
