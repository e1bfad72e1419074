"""What the protocol shows of a simulated machine at a given moment."""

from datetime import datetime

from zentry_web.adapters.compute import simulator_console, simulator_load
from zentry_web.adapters.compute.base import Machine, MachineStatistics, PowerState
from zentry_web.adapters.compute.simulator_store import SimulatedMachine

MIB = 1024 * 1024


def machine_view(machine: SimulatedMachine, now: float) -> Machine:
    """The machine as a listing at ``now`` (seconds since the epoch) shows it."""
    if machine.lost:
        return Machine(machine.vm_id, PowerState.UNKNOWN)
    if machine.fault:
        return Machine(machine.vm_id, PowerState.FAILED, fault=machine.fault)
    if now < machine.built_at:
        return Machine(machine.vm_id, PowerState.BUILDING)
    if not machine.is_on(now):
        return Machine(machine.vm_id, PowerState.OFF)
    answered = machine.has_answered(now)
    addresses = (machine.address,) if answered else ()
    return Machine(machine.vm_id, PowerState.RUNNING, machine.run_id, addresses, answered)


def statistics_view(seed: int, machine: SimulatedMachine, now: float, at: datetime) -> MachineStatistics:
    """Counters of a running machine; ``at`` is ``now`` as a datetime, made once for all machines."""
    started = machine.run_from or now
    load = simulator_load.counters(seed, machine.vm_id, machine.vcpus, machine.memory_mib * MIB, started, now)
    return MachineStatistics(
        vm_id=machine.vm_id,
        at=at,
        run_id=machine.run_id or "",
        vcpus=machine.vcpus,
        cpu_time_ns=load.cpu_time_ns,
        memory_total_bytes=machine.memory_mib * MIB,
        memory_used_bytes=load.memory_used_bytes if machine.has_answered(now) else None,
        disk_read_bytes=load.disk_read_bytes,
        disk_write_bytes=load.disk_write_bytes,
        net_rx_bytes=load.net_rx_bytes,
        net_tx_bytes=load.net_tx_bytes,
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
    }
    until = now if machine.stop_at is None else min(now, machine.stop_at)
    again = machine.boot_from > machine.run_from
    head = simulator_console.boot_line("restart" if again else "power on", machine.boot_from)
    boot = machine.boot_seconds or 0.0
    return head + simulator_console.boot_text(facts, machine.vm_id, machine.boot_from, boot, until)
