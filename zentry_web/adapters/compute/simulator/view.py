"""What the protocol shows of a simulated machine at a given moment."""

from datetime import datetime

from zentry_web.adapters.compute.base import Machine, MachineStatistics, PowerState
from zentry_web.adapters.compute.simulator import console, load
from zentry_web.adapters.compute.simulator.store import SimulatedMachine
from zentry_web.adapters.compute.words import DISK_FULL, PAUSED, SAVED, SLEEPING
from zentry_web.domain.vms.outage import Cause

MIB = 1024 * 1024
_PAUSES = {
    "paused": (PowerState.PAUSED, PAUSED),
    "full": (PowerState.PAUSED, DISK_FULL),
    "sleeping": (PowerState.SLEEPING, SLEEPING),
}


def machine_view(machine: SimulatedMachine, now: float) -> Machine:
    """The machine as a listing at ``now`` (seconds since the epoch) shows it."""
    if machine.lost:
        return Machine(machine.vm_id, PowerState.UNKNOWN)
    if machine.fault:
        return Machine(machine.vm_id, PowerState.FAILED, fault=machine.fault, ended=Cause.CRASH)
    if now < machine.built_at:
        return Machine(machine.vm_id, PowerState.BUILDING)
    if not machine.is_on(now):
        ended = Cause(machine.ended) if machine.ended else None
        return Machine(machine.vm_id, PowerState.OFF, fault=SAVED if machine.saved else "", ended=ended)
    answered = machine.has_answered(now)
    addresses = (machine.address,) if answered else ()
    power, fault = _PAUSES.get(machine.pause, (PowerState.RUNNING, ""))
    return Machine(machine.vm_id, power, machine.run_id, addresses, answered, fault=fault, agent=machine.has_agent(now))


def statistics_view(seed: int, machine: SimulatedMachine, now: float, at: datetime) -> MachineStatistics:
    """Counters of a running machine; ``at`` is ``now`` as a datetime, made once for all machines."""
    started = machine.run_from or now
    counted = load.counters(seed, machine.vm_id, machine.vcpus, machine.memory_mib * MIB, started, now)
    return MachineStatistics(
        vm_id=machine.vm_id,
        at=at,
        run_id=machine.run_id or "",
        vcpus=machine.vcpus,
        cpu_time_ns=counted.cpu_time_ns,
        memory_total_bytes=machine.memory_mib * MIB,
        memory_used_bytes=counted.memory_used_bytes if machine.has_answered(now) else None,
        disk_read_bytes=counted.disk_read_bytes,
        disk_write_bytes=counted.disk_write_bytes,
        net_rx_bytes=counted.net_rx_bytes,
        net_tx_bytes=counted.net_tx_bytes,
    )


def console_text(machine: SimulatedMachine, now: float) -> str:
    """What the present (or last) boot has printed by ``now``."""
    if machine.run_from is None or machine.boot_from is None or now < machine.run_from:
        return ""
    facts = {
        "vcpus": machine.vcpus,
        "memory_mib": machine.memory_mib,
        "disk_gib": machine.disk_gib,
        "name": machine.name,
        "keys": machine.keys,
        "address": machine.address,
        "script": machine.script,
        "rescue": machine.rescue,
    }
    until = now if machine.stop_at is None else min(now, machine.stop_at)
    again = machine.boot_from > machine.run_from
    head = console.boot_line("restart" if again else "power on", machine.boot_from)
    boot = machine.boot_seconds or 0.0
    return head + console.boot_text(facts, machine.vm_id, machine.boot_from, boot, until)
