"""What happens to simulated machines behind Zentry's back, for ``zentry simulator …``, demos and tests."""

from pathlib import Path

from zentry_web.adapters.clock import Clock, SystemClock
from zentry_web.adapters.compute.base import MachineMissing
from zentry_web.adapters.compute.simulator.faults import ACTIONS, KINDS, PHASES
from zentry_web.adapters.compute.simulator.store import SimulatedMachine, SimulatorStore
from zentry_web.domain.vms.outage import Cause


class SimulatorControl:
    """Changes the simulator's file from outside. ``machine`` is a machine's id or its name."""

    def __init__(self, path: Path | str, clock: Clock | None = None) -> None:
        self._store = SimulatorStore(Path(path))
        self._clock = clock or SystemClock()

    def machines(self) -> list[SimulatedMachine]:
        """Every machine in the file."""
        return self._store.machines()

    def is_on(self, machine: str) -> bool:
        """Whether it runs at this moment."""
        return self._find(machine).is_on(self._clock.now().timestamp())

    def stop(self, machine: str) -> None:
        """The guest switched itself off."""
        self._end(machine, Cause.GUEST)

    def cut(self, machine: str) -> None:
        """Somebody on the host pulled the plug (``virsh destroy``)."""
        self._end(machine, Cause.HAND)

    def crash(self, machine: str) -> None:
        """Its process on the host ended."""
        self._end(machine, Cause.CRASH)

    def reboot_host(self) -> None:
        """The host is switched off and on again: no machine runs."""
        now = self._clock.now().timestamp()
        running = [found.vm_id for found in self._store.machines() if found.is_on(now)]
        for vm_id in running:
            self._end(vm_id, Cause.HOST)
        with self._store.write() as connection:
            self._store.boot_anew(connection)

    def fail(self, machine: str, reason: str) -> None:
        """The machine cannot run any more, until it is started again."""
        self._end(machine, Cause.CRASH, fault=reason)

    def pause(self, machine: str, why: str = "paused") -> None:
        """It stands still: 'paused' (``virsh suspend``), 'sleeping' (by the guest itself), 'full' (the host's disk); ''
        lets it go on (``virsh resume``)."""
        found = self._find(machine)
        with self._store.write() as connection:
            self._store.update(connection, found.vm_id, pause=why)
            kind = "paused" if why else "resumed"
            self._store.add_event(connection, found.vm_id, kind, self._clock.now().timestamp())

    def save(self, machine: str) -> None:
        """Its memory is kept on the host, and it is off (``virsh managedsave``)."""
        self._end(machine, Cause.HAND)
        with self._store.write() as connection:
            self._store.update(connection, self._find(machine).vm_id, saved=1)

    def agent(self, machine: str, how: str) -> None:
        """How the agent in its guest answers from now on: '' as it should, 'none' is there, 'silent', 'refuses'."""
        with self._store.write() as connection:
            self._store.update(connection, self._find(machine).vm_id, agent=how)

    def password(self, machine: str) -> str:
        """The hash of its root's password; '' when none was set."""
        return self._find(machine).password

    def snapshot(self, machine: str, *, there: bool = True) -> None:
        """Somebody makes a snapshot of it, or takes it away again."""
        with self._store.write() as connection:
            self._store.update(connection, self._find(machine).vm_id, snapshot=int(there))

    def destroy(self, machine: str) -> None:
        """The machine is gone with everything it had (``virsh destroy`` and ``virsh undefine``)."""
        found = self._find(machine)
        with self._store.write() as connection:
            self._store.delete(connection, found, self._clock.now().timestamp())

    def lose(self, machine: str, *, lost: bool = True) -> None:
        """Its host does not answer: listed as 'unknown' until ``lost=False``."""
        found = self._find(machine)
        with self._store.write() as connection:
            self._store.update(connection, found.vm_id, lost=int(lost))

    def fault(self, action: str, kind: str, machine: str = "*", *, message: str = "", times: int | None = 1) -> None:
        """Let the next ``times`` calls of ``action`` fail (None: until cleared). Raises ValueError on unknown words."""
        if action not in ("*", *ACTIONS):
            raise ValueError(f"unknown action {action!r}; known: {', '.join(ACTIONS)}")
        if kind not in KINDS or kind == "delay":
            raise ValueError(f"unknown fault {kind!r}; known: {', '.join(k for k in KINDS if k != 'delay')}")
        self._store.add_fault(self._id(machine), action, kind, message, 0.0, times)

    def delay(self, action: str, seconds: float, machine: str = "*", *, times: int | None = 1) -> None:
        """Let the next ``times`` calls (or phases: build, power_on, boot, power_off) take ``seconds``."""
        if action not in ("*", *ACTIONS, *PHASES):
            raise ValueError(f"unknown action {action!r}; known: {', '.join((*ACTIONS, *PHASES))}")
        self._store.add_fault(self._id(machine), action, "delay", "", seconds, times)

    def clear(self, machine: str | None = None) -> int:
        """Take back faults and delays of one machine, or all; returns how many there were."""
        return self._store.clear_faults(None if machine is None else self._id(machine))

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def _end(self, machine: str, ended: Cause, fault: str = "") -> None:
        found = self._find(machine)
        now = self._clock.now().timestamp()
        with self._store.write() as connection:
            if found.is_on(now):
                self._store.update(connection, found.vm_id, stop_at=now, ended=ended)
                self._store.add_event(connection, found.vm_id, "stopped", now)
            self._store.update(connection, found.vm_id, fault=fault)

    def _find(self, machine: str) -> SimulatedMachine:
        found = self._store.find(machine)
        if found is None:
            named = [m for m in self._store.machines() if m.name == machine]
            if len(named) > 1:
                raise MachineMissing(f"{len(named)} machines are called {machine}; give the id.")
            found = named[0] if named else None
        if found is None:
            raise MachineMissing(f"There is no simulated machine {machine}.")
        return found

    def _id(self, machine: str) -> str:
        # A fault may be ordered for a machine that is not there yet, so its id need not be known.
        if machine == "*":
            return machine
        try:
            return self._find(machine).vm_id
        except MachineMissing:
            return machine
