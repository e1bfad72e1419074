"""The twin: a hypervisor that exists only in a file. For tests, demos and load; pages say 'simulated'."""

import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from zentry_web.adapters.clock import Clock, SystemClock
from zentry_web.adapters.compute.base import (
    Capacity,
    ComputeRefused,
    ComputeUnavailable,
    ConsoleLog,
    Health,
    Machine,
    MachineEvent,
    MachineMissing,
    MachineSpec,
    MachineStatistics,
)
from zentry_web.adapters.compute.simulator import load
from zentry_web.adapters.compute.simulator.agents import SimulatorAgents
from zentry_web.adapters.compute.simulator.backups import SimulatorBackups
from zentry_web.adapters.compute.simulator.consoles import SimulatorConsoles
from zentry_web.adapters.compute.simulator.copies import SimulatorCopies
from zentry_web.adapters.compute.simulator.events import SimulatorEvents
from zentry_web.adapters.compute.simulator.faults import SimulatorFaults
from zentry_web.adapters.compute.simulator.identity import SimulatorIdentities
from zentry_web.adapters.compute.simulator.images import SimulatorImages
from zentry_web.adapters.compute.simulator.proofs import SimulatorProofs
from zentry_web.adapters.compute.simulator.rebuilds import SimulatorRebuilds
from zentry_web.adapters.compute.simulator.rescues import SimulatorRescues
from zentry_web.adapters.compute.simulator.snapshots import SimulatorSnapshots
from zentry_web.adapters.compute.simulator.store import SimulatedMachine, SimulatorStore
from zentry_web.adapters.compute.simulator.view import MIB, console_text, machine_view, statistics_view
from zentry_web.adapters.compute.words import OFF_NO_RESET, OFF_NO_SUSPEND, OFF_NOT_PAUSED, SAVED_FIRST, SNAPSHOT
from zentry_web.domain.language import kept
from zentry_web.domain.vms.outage import Cause

HOST_VCPUS, HOST_MEMORY_MIB, HOST_DISK_GIB = 512, 4_194_304, 65_536  # make-believe: what does not fit is refused


class SimulatorCompute:
    """A ``ComputeDriver`` whose machines are rows of the SQLite file at ``path``.

    ``boot_seconds`` is the time from power on to the ready line, ``shutdown_seconds`` from the power button to off.
    """

    name = "simulator"
    simulated = True

    def __init__(
        self,
        path: Path | str,
        clock: Clock | None = None,
        *,
        seed: int = 1,
        boot_seconds: float = 2.0,
        shutdown_seconds: float = 0.5,
        images: tuple[str, ...] = ("tiny",),
        image_seconds: float = 0.0,
    ) -> None:
        self._store = SimulatorStore(Path(path))
        self._faults = SimulatorFaults(self._store)
        self._events = SimulatorEvents(self._store, self._now)
        self._clock = clock or SystemClock()
        self._seed = seed
        self._boot_seconds = boot_seconds
        self._shutdown_seconds = shutdown_seconds
        self.consoles = SimulatorConsoles(self._look, lambda vm_id: self._get(vm_id).name)
        self.agents = SimulatorAgents(self._store, self._faults, self._get, self._now)
        self.identity = SimulatorIdentities(self._store, self._faults, self._get)
        self.snapshots = SimulatorSnapshots(self._store, self._faults, self._get, self._now)
        self.copies = SimulatorCopies(self._store, self._faults, self._get, self._now)
        self.images = SimulatorImages(self._store, self._faults, self.copies, images, image_seconds)
        self.backups = SimulatorBackups(self._store, self._faults, self._now)
        self.proofs = SimulatorProofs(self._store, self._faults, self.images.names, self._now)
        self.rescues = SimulatorRescues(self._store, self._faults, self._untouched)
        self.rebuilds = SimulatorRebuilds(self._store, self._faults, self._untouched, self.images.names)

    def create(self, spec: MachineSpec) -> None:
        late = self._faults.before(spec.vm_id, "create")
        if self._store.find(spec.vm_id) is None:
            if spec.image not in self.images.names():
                raise ComputeRefused(f"The image “{spec.image}” is not on this host.")
            if spec.disk_gib > self._free()[1]:
                raise ComputeRefused(kept("The host has no room for a disk of this size."))
            if spec.copy and (least := self.copies.whole(spec.copy)) > spec.disk_gib:
                raise ComputeRefused(f"This image needs a disk of at least {least} GiB.")
            build = self._faults.phase(spec.vm_id, "build", 0.0)
            self._store.insert([_row(spec, self._now() + build)])
        self._faults.after(late)

    def start(self, vm_id: str) -> None:
        late = self._faults.before(vm_id, "start")
        machine = self._get(vm_id)
        now = self._now()
        if now < machine.built_at:
            raise ComputeUnavailable("The machine is still being built.")
        coming_up = machine.run_from is not None and now < machine.run_from and machine.stop_at is None
        if not machine.is_on(now) and not coming_up:
            if machine.memory_mib > self._free()[0]:
                raise ComputeRefused(kept("The host has not enough free memory to start this machine."))
            self._power_on(machine, now)
        elif machine.pause:
            self.resume(vm_id)
        self._faults.after(late)

    def resume(self, vm_id: str) -> None:
        late = self._faults.before(vm_id, "resume")
        machine = self._get(vm_id)
        if not machine.is_on(self._now()):
            raise ComputeRefused(OFF_NOT_PAUSED)
        if machine.pause:
            with self._store.write() as connection:
                self._store.update(connection, vm_id, pause="")
                self._store.add_event(connection, vm_id, "resumed", self._now())
        self._faults.after(late)

    def suspend(self, vm_id: str) -> None:
        late = self._faults.before(vm_id, "suspend")
        machine = self._get(vm_id)
        if not machine.is_on(self._now()):
            raise ComputeRefused(OFF_NO_SUSPEND)
        if not machine.pause:
            with self._store.write() as connection:
                self._store.update(connection, vm_id, pause="paused")
                self._store.add_event(connection, vm_id, "paused", self._now())
        self._faults.after(late)

    def shutdown(self, vm_id: str) -> None:
        late = self._faults.before(vm_id, "shutdown")
        machine = self._get(vm_id)
        now = self._now()
        if machine.is_on(now) and machine.stop_at is None and not machine.pause and "ignore" not in late:
            stop_at = now + self._faults.phase(vm_id, "power_off", self._shutdown_seconds)
            with self._store.write() as connection:
                self._store.update(connection, vm_id, stop_at=stop_at, ended=Cause.GUEST)
                self._store.add_event(connection, vm_id, "stopped", stop_at)
        self._faults.after(late)

    def force_off(self, vm_id: str) -> None:
        late = self._faults.before(vm_id, "force_off")
        machine = self._get(vm_id)
        now = self._now()
        already_off = machine.run_from is None or (machine.stop_at is not None and machine.stop_at <= now)
        if not already_off:
            with self._store.write() as connection:
                self._store.update(connection, vm_id, stop_at=now, ended=Cause.HAND)
                self._store.add_event(connection, vm_id, "stopped", now)
        self._faults.after(late)

    def reboot(self, vm_id: str) -> None:
        self._boot_anew(vm_id, "reboot", kept("The machine is off, so it cannot be restarted."))

    def reset(self, vm_id: str) -> None:
        self._boot_anew(vm_id, "reset", OFF_NO_RESET)

    def _boot_anew(self, vm_id: str, action: str, refusal: str) -> None:
        late = self._faults.before(vm_id, action)
        machine = self._get(vm_id)
        now = self._now()
        if not machine.is_on(now):
            raise ComputeRefused(refusal)
        boot = self._faults.phase(vm_id, "boot", self._boot_seconds)
        with self._store.write() as connection:
            self._store.append_log(connection, vm_id, console_text(machine, now) + "\n")
            self._store.update(connection, vm_id, boot_from=now, boot_seconds=boot)
            self._store.add_event(connection, vm_id, "rebooted", now)
        self._faults.after(late)

    def check_resize(self, vm_id: str) -> None:
        late = self._faults.before(vm_id, "check_resize")
        self._untouched(vm_id)
        self._faults.after(late)

    def _untouched(self, vm_id: str) -> tuple[SimulatedMachine, bool]:
        """A machine whose disk nobody else counts on as it is, and whether it is off."""
        machine = self._get(vm_id)
        if machine.saved:
            raise ComputeRefused(SAVED_FIRST)
        if machine.snapshot or self.snapshots.list(vm_id):
            raise ComputeRefused(SNAPSHOT)
        return machine, not machine.is_on(self._now())

    def resize(self, vm_id: str, *, vcpus: int, memory_mib: int, disk_gib: int) -> None:
        late = self._faults.before(vm_id, "resize")
        machine = self._get(vm_id)
        disk = max(disk_gib, machine.disk_gib)
        if (machine.vcpus, machine.memory_mib, machine.disk_gib) != (vcpus, memory_mib, disk):
            if machine.is_on(self._now()):
                raise ComputeRefused(kept("The machine is running, so its size cannot change."))
            self.check_resize(vm_id)
            if disk - machine.disk_gib > self._free()[1]:
                raise ComputeRefused(kept("The host has no room for a disk of this size."))
            with self._store.write() as connection:
                self._store.update(connection, vm_id, vcpus=vcpus, memory_mib=memory_mib, disk_gib=disk)
        self._faults.after(late)

    def delete(self, vm_id: str) -> None:
        late = self._faults.before(vm_id, "delete")
        found = self._store.find(vm_id)
        if found is not None:
            with self._store.write() as connection:
                self._store.delete(connection, found, self._now())
        self._faults.after(late)

    def machines(self) -> list[Machine]:
        self._faults.before("*", "machines")
        now = self._now()
        return [machine_view(machine, now) for machine in self._store.machines()]

    def machine(self, vm_id: str) -> Machine | None:
        self._faults.before(vm_id, "machine")
        found = self._store.find(vm_id)
        return machine_view(found, self._now()) if found else None

    def note(self, vm_id: str) -> MachineSpec | None:
        self._faults.before(vm_id, "note")
        found = self._store.find(vm_id)
        if found is None:
            return None
        return MachineSpec(vm_id, found.name, found.vcpus, found.memory_mib, found.disk_gib, found.image)

    def statistics(self) -> list[MachineStatistics]:
        self._faults.before("*", "statistics")
        now = self._now()
        at = datetime.fromtimestamp(now, UTC)
        return [
            statistics_view(self._seed, machine, now, at)
            for machine in self._store.machines()
            if machine.is_on(now) and not machine.lost
        ]

    def console_log(self, vm_id: str, max_bytes: int = 65536) -> ConsoleLog:
        self._faults.before(vm_id, "console_log")
        machine = self._get(vm_id)
        stored, dropped = self._store.log(vm_id)
        text = (stored + console_text(machine, self._now())).encode()
        return ConsoleLog(text=text[-max_bytes:].decode(errors="ignore"), size=dropped + len(text))

    def subscribe(self, callback: Callable[[MachineEvent], None]) -> None:
        self._events.subscribe(callback)

    def capacity(self) -> Capacity:
        self._faults.before("*", "capacity")
        memory_free, disk_free = self._free()
        return Capacity(
            vcpus=HOST_VCPUS,
            memory_mib=HOST_MEMORY_MIB,
            memory_free_mib=memory_free,
            disk_gib=HOST_DISK_GIB,
            disk_free_gib=disk_free,
        )

    def health(self) -> Health:
        facts = {"driver": self.name, "accelerator": "none"}
        try:
            count, facts["boot"] = len(self.machines()), str(self._store.boot())
        except Exception as error:  # a health check never raises
            return Health(ok=False, detail=str(error), facts=facts)
        return Health(ok=True, detail=f"The simulator answers with {count} machines; no real guest runs.", facts=facts)

    def close(self) -> None:
        self._events.close()
        self._store.close()

    def adopt(self, specs: Iterable[MachineSpec], *, started_at: datetime | None = None) -> None:
        """Make many machines in one transaction; with ``started_at`` they run since then and have answered.

        For demo data and benchmarks; machines that are there already stay as they are.
        """
        now = self._now()
        rows = [_row(spec, now) for spec in specs]
        if started_at is not None:
            since = started_at.timestamp()
            rows = [row | _run(since, self._boot_seconds) for row in rows]
        self._store.insert(rows)

    def counters_at(self, spec: MachineSpec, started_at: datetime, at: datetime) -> load.RunCounters:
        """The counters this machine would show at ``at`` in a run begun at ``started_at``: for made-up history."""
        began, then = started_at.timestamp(), at.timestamp()
        return load.counters(self._seed, spec.vm_id, spec.vcpus, spec.memory_mib * MIB, began, then)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _get(self, vm_id: str) -> SimulatedMachine:
        machine = self._store.find(vm_id)
        if machine is None:
            raise MachineMissing(kept("The machine does not exist on the host."))
        return machine

    def _look(self, vm_id: str, action: str) -> bool:
        """Whether it is on, for its consoles; ``action`` names the call that a fault may hit."""
        if action:
            self._faults.before(vm_id, action)
        return self._get(vm_id).is_on(self._now())

    def _free(self) -> tuple[int, int]:
        """Free memory in MiB and free disk in GiB."""
        now = self._now()
        machines = self._store.machines()
        memory = HOST_MEMORY_MIB - sum(machine.memory_mib for machine in machines if machine.is_on(now))
        return memory, HOST_DISK_GIB - sum(machine.disk_gib for machine in machines)

    def _power_on(self, machine: SimulatedMachine, now: float) -> None:
        run_from = now + self._faults.phase(machine.vm_id, "power_on", 0.0)
        boot = self._faults.phase(machine.vm_id, "boot", self._boot_seconds)
        with self._store.write() as connection:
            values = _resumed(machine, run_from)
            if not values:
                before = console_text(machine, now)
                self._store.append_log(connection, machine.vm_id, f"{before}\n" if before else "")
                values = _run(run_from, boot)
            self._store.update(connection, machine.vm_id, **values)
            self._store.add_event(connection, machine.vm_id, "started", run_from)


def _row(spec: MachineSpec, built_at: float) -> dict[str, object]:
    return {
        "vm_id": spec.vm_id,
        "name": spec.name,
        "vcpus": spec.vcpus,
        "memory_mib": spec.memory_mib,
        "disk_gib": spec.disk_gib,
        "image": spec.image,
        "keys": len(spec.ssh_keys),
        "script": int(spec.user_data.startswith("#!")),
        "built_at": built_at,
    }


def _run(run_from: float, boot_seconds: float) -> dict[str, object]:
    return {
        "run_id": secrets.token_hex(6),
        "run_from": run_from,
        "boot_from": run_from,
        "boot_seconds": boot_seconds,
        "answer_at": run_from + boot_seconds,
        "stop_at": None,
        "fault": "",
        "pause": "",
        "saved": 0,
        "ended": "",
    }


def _resumed(machine: SimulatedMachine, run_from: float) -> dict[str, object]:
    """A run that goes on where saved memory left off; empty when nothing is saved."""
    if not machine.saved or machine.stop_at is None or machine.boot_from is None or machine.answer_at is None:
        return {}
    later = run_from - machine.stop_at
    return {
        "run_id": secrets.token_hex(6),
        "run_from": run_from,
        "boot_from": machine.boot_from + later,
        "answer_at": machine.answer_at + later,
        "stop_at": None,
        "pause": "",
        "saved": 0,
        "ended": "",
    }
