"""Faults and delays that a test, a demo or ``zentry simulator fault`` has ordered."""

import time

from zentry_web.adapters.compute.base import ComputeError, ComputeRefused, ComputeTimeout, ComputeUnavailable
from zentry_web.adapters.compute.simulator.store import SimulatorStore

# The calls that can be made to fail ("*": all of them) …
ACTIONS = (
    *(
        "images",
        "make_image",
        "forget_image",
        "remove_image",
        "create",
        "start",
        "shutdown",
        "force_off",
        "reboot",
        "check_resize",
        "resize",
    ),
    *("reset", "suspend", "resume", "renew", "delete"),
    *("snapshot", "snapshots", "revert", "discard"),
    *("copy_disk", "copy_progress", "drop_copy"),
    *("backup", "backup_progress", "restore", "prove", "prove_look"),
    *("rebuild", "bring_back", "drop", "rescue", "unrescue", "set_password"),
    *("machines", "machine", "statistics", "console_log", "capacity"),
    *("open_text", "open_screen"),
)
# … and the phases whose length can be ordered.
PHASES = ("build", "power_on", "boot", "power_off", "copy", "proof")
KINDS = {
    "refuse": "the host says no",
    "unavailable": "the host does not answer; nothing is done",
    "timeout": "no answer comes and nothing is done",
    "timeout-after": "it is done, but no answer comes",
    "ignore": "a shutdown is accepted and the guest takes no notice",
    "delay": "the call (or the phase) takes the given number of seconds",
}
_RAISED_BEFORE: dict[str, tuple[type[ComputeError], str]] = {
    "refuse": (ComputeRefused, "The host refused this (simulated fault)."),
    "unavailable": (ComputeUnavailable, "The host does not answer (simulated fault)."),
    "timeout": (ComputeTimeout, "The host gave no answer in time (simulated fault)."),
}


class SimulatorFaults:
    """Applies the ordered faults to calls."""

    def __init__(self, store: SimulatorStore) -> None:
        self._store = store

    def before(self, vm_id: str, action: str) -> frozenset[str]:
        """Delay or fail the call as ordered; returns the kinds that take effect later in it."""
        late = set()
        for fault in self._store.take_faults(vm_id, action):
            if fault.kind == "delay":
                time.sleep(fault.seconds)
            elif fault.kind in _RAISED_BEFORE:
                error, message = _RAISED_BEFORE[fault.kind]
                raise error(fault.message or message)
            else:
                late.add(fault.kind)
        return frozenset(late)

    def after(self, late: frozenset[str]) -> None:
        """Fail the call after its work was done, if that was ordered."""
        if "timeout-after" in late:
            raise ComputeTimeout("The host gave no answer in time (simulated fault).")

    def phase(self, vm_id: str, phase: str, seconds: float) -> float:
        """How long a phase takes: ``seconds``, or what was ordered."""
        for fault in self._store.take_faults(vm_id, phase):
            seconds = fault.seconds
        return seconds
