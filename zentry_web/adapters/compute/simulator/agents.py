"""Agents in the guests of simulated machines."""

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.simulator.part import MachinePart
from zentry_web.adapters.compute.words import AGENT_REFUSED, AGENT_SILENT, NO_AGENT, OFF_NO_AGENT

NOBODY = "stranger"  # a user that no simulated guest has


class SimulatorAgents(MachinePart):
    """See Agents."""

    def set_password(self, vm_id: str, user: str, password_hash: str) -> None:
        """See Agents.set_password. A simulated guest keeps one password for all its users."""
        late = self._faults.before(vm_id, "set_password")
        machine = self._get(vm_id)
        if not machine.is_on(self._now()):
            raise ComputeRefused(OFF_NO_AGENT)
        if not machine.has_agent(self._now()):
            raise ComputeRefused(NO_AGENT)
        if machine.agent == "silent":
            raise ComputeRefused(AGENT_SILENT)
        if machine.agent == "refuses" or user == NOBODY:
            raise ComputeRefused(AGENT_REFUSED)
        with self._store.write() as connection:
            self._store.update(connection, vm_id, password=password_hash)
        self._faults.after(late)
