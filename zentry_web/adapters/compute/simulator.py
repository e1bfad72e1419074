"""The twin: a hypervisor that exists only in a file. For tests, demos and load; pages say 'simulated'."""

import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from zentry_web.adapters.clock import Clock, SystemClock
from zentry_web.adapters.compute import simulator_load
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
from zentry_web.adapters.compute.simulator_events import SimulatorEvents
from zentry_web.adapters.compute.simulator_faults import SimulatorFaults
from zentry_web.adapters.compute.simulator_store import SimulatedMachine, SimulatorStore
from zentry_web.adapters.compute.simulator_view import MIB, console_text, machine_view, statistics_view


class SimulatorCompute:
    """A ``ComputeDriver`` whose machines are rows of the SQLite file at ``path``.

    ``boot_seconds`` is the time from power on to the ready line, ``shutdown_seconds`` from the power button to off.
    ``vcpus``, ``memory_mib`` and ``disk_gib`` are the make-believe host: what does not fit is refused.
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
        vcpus: int = 512,
        memory_mib: int = 4_194_304,
        disk_gib: int = 65_536,
    ) -> None:
        self._store = SimulatorStore(Path(path))
        self._faults = SimulatorFaults(self._store)
        self._events = SimulatorEvents(self._store, self._now)
        self._clock = clock or SystemClock()
        self._seed = seed
        self._boot_seconds = boot_seconds
        self._shutdown_seconds = shutdown_seconds
        self._images = images
        self._host = (vcpus, memory_mib, disk_gib)

    def images(self) -> tuple[str, ...]:
        self._faults.before("*", "images")
        return self._images

    def create(self, spec: MachineSpec) -> None:
        late = self._faults.before(spec.vm_id, "create")
        if self._store.find(spec.vm_id) is None:
            if spec.image not in self._images:
                raise ComputeRefused(f"The image “{spec.image}” is not on this host.")
            if spec.disk_gib > self._free()[1]:
                raise ComputeRefused("The host has no room for a disk of this size.")
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
                raise ComputeRefused("The host has not enough free memory to start this machine.")
            self._power_on(machine, now)
        self._faults.after(late)

    def shutdown(self, vm_id: str) -> None:
        late = self._faults.before(vm_id, "shutdown")
        machine = self._get(vm_id)
        now = self._now()
        if machine.is_on(now) and machine.stop_at is None and "ignore" not in late:
            stop_at = now + self._faults.phase(vm_id, "power_off", self._shutdown_seconds)
            with self._store.write() as connection:
                self._store.update(connection, vm_id, stop_at=stop_at)
                self._store.add_event(connection, vm_id, "stopped", stop_at)
        self._faults.after(late)

    def force_off(self, vm_id: str) -> None:
        late = self._faults.before(vm_id, "force_off")
        machine = self._get(vm_id)
        now = self._now()
        already_off = machine.run_from is None or (machine.stop_at is not None and machine.stop_at <= now)
        if not already_off:
            with self._store.write() as connection:
                self._store.update(connection, vm_id, stop_at=now)
                self._store.add_event(connection, vm_id, "stopped", now)
        self._faults.after(late)

    def reboot(self, vm_id: str) -> None:
        late = self._faults.before(vm_id, "reboot")
        machine = self._get(vm_id)
        now = self._now()
        if not machine.is_on(now):
            raise ComputeRefused("The machine is off, so it cannot be restarted.")
        boot = self._faults.phase(vm_id, "boot", self._boot_seconds)
        with self._store.write() as connection:
            self._store.append_log(connection, vm_id, console_text(machine, now) + "\n")
            self._store.update(connection, vm_id, boot_from=now, boot_seconds=boot)
            self._store.add_event(connection, vm_id, "rebooted", now)
        self._faults.after(late)

    def resize(self, vm_id: str, *, vcpus: int, memory_mib: int, disk_gib: int) -> None:
        late = self._faults.before(vm_id, "resize")
        machine = self._get(vm_id)
        disk = max(disk_gib, machine.disk_gib)
        if (machine.vcpus, machine.memory_mib, machine.disk_gib) != (vcpus, memory_mib, disk):
            if machine.is_on(self._now()):
                raise ComputeRefused("The machine is running, so its size cannot change.")
            if disk - machine.disk_gib > self._free()[1]:
                raise ComputeRefused("The host has no room for a disk of this size.")
            with self._store.write() as connection:
                self._store.update(connection, vm_id, vcpus=vcpus, memory_mib=memory_mib, disk_gib=disk)
        self._faults.after(late)

    def delete(self, vm_id: str) -> None:
        late = self._faults.before(vm_id, "delete")
        with self._store.write() as connection:
            if self._store.delete(connection, vm_id):
                self._store.add_event(connection, vm_id, "deleted", self._now())
        self._faults.after(late)

    def machines(self) -> list[Machine]:
        self._faults.before("*", "machines")
        now = self._now()
        return [machine_view(machine, now) for machine in self._store.machines()]

    def machine(self, vm_id: str) -> Machine | None:
        self._faults.before(vm_id, "machine")
        found = self._store.find(vm_id)
        return machine_view(found, self._now()) if found else None

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
        vcpus, memory_mib, disk_gib = self._host
        memory_free, disk_free = self._free()
        return Capacity(
            vcpus=vcpus,
            memory_mib=memory_mib,
            memory_free_mib=memory_free,
            disk_gib=disk_gib,
            disk_free_gib=disk_free,
        )

    def health(self) -> Health:
        facts = {"driver": self.name, "accelerator": "none"}
        try:
            count = len(self.machines())
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

    def counters_at(self, spec: MachineSpec, started_at: datetime, at: datetime) -> simulator_load.Counters:
        """The counters this machine would show at ``at`` in a run begun at ``started_at``: for made-up history."""
        began, then = started_at.timestamp(), at.timestamp()
        return simulator_load.counters(self._seed, spec.vm_id, spec.vcpus, spec.memory_mib * MIB, began, then)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _get(self, vm_id: str) -> SimulatedMachine:
        machine = self._store.find(vm_id)
        if machine is None:
            raise MachineMissing("The machine does not exist on the host.")
        return machine

    def _free(self) -> tuple[int, int]:
        """Free memory in MiB and free disk in GiB."""
        now = self._now()
        machines = self._store.machines()
        memory = self._host[1] - sum(machine.memory_mib for machine in machines if machine.is_on(now))
        return memory, self._host[2] - sum(machine.disk_gib for machine in machines)

    def _power_on(self, machine: SimulatedMachine, now: float) -> None:
        run_from = now + self._faults.phase(machine.vm_id, "power_on", 0.0)
        boot = self._faults.phase(machine.vm_id, "boot", self._boot_seconds)
        with self._store.write() as connection:
            before = console_text(machine, now)
            self._store.append_log(connection, machine.vm_id, f"{before}\n" if before else "")
            self._store.update(connection, machine.vm_id, **_run(run_from, boot))
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
    }
