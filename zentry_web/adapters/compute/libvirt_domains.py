"""Reading libvirt's domains: which are ours, in what state, in which run, with what counters."""

import threading
from datetime import UTC, datetime
from typing import Any

import libvirt

from zentry_web.adapters.compute import host
from zentry_web.adapters.compute.base import Machine, MachineStatistics, PowerState
from zentry_web.adapters.compute.libvirt_console import has_ready_line
from zentry_web.adapters.compute.libvirt_network import Lease
from zentry_web.adapters.compute.libvirt_storage import MachineStorage
from zentry_web.adapters.compute.libvirt_xml import (
    ZENTRY_NS,
    MachineFacts,
    domain_uuid,
    mac_address,
    name_prefix,
    read_metadata,
)

_STATISTICS = (
    libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
_OFF = {libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_NOSTATE}
_FAULTS = {
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR): "The host’s disk failed or is full.",
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_CRASHED): "The guest crashed.",
    (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED): "The guest crashed.",
}
_CRASHES = {libvirt.VIR_DOMAIN_SHUTOFF_CRASHED, libvirt.VIR_DOMAIN_SHUTOFF_FAILED}


class LibvirtDomains:
    """Knows the domains of one namespace by their metadata. Methods that take domains may raise libvirtError."""

    def __init__(self, namespace: str, storage: MachineStorage) -> None:
        self._namespace = namespace
        self._storage = storage
        self._prefix = name_prefix(namespace)
        self._lock = threading.Lock()
        # Metadata does not change during a run, so a look-up per domain and run is enough.
        self._facts: dict[tuple[str, int], MachineFacts] = {}
        self._processes: dict[str, tuple[int, host.GuestProcess]] = {}
        self._answered: dict[str, str] = {}
        self._boot = host.boot_id()[:8]

    def find(self, connection: Any, vm_id: str) -> Any:
        """The domain of a machine, or None."""
        try:
            domain = connection.lookupByUUIDString(domain_uuid(self._namespace, vm_id))
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return None
            raise
        facts = self.facts(domain)
        return domain if facts is not None and facts.vm_id == vm_id else None

    def facts(self, domain: Any) -> MachineFacts | None:
        """What our metadata says of a domain; None if it is not ours, whatever its name."""
        if not domain.name().startswith(self._prefix):
            return None
        key = (domain.UUIDString(), domain.ID())
        known = self._facts.get(key)
        if known is not None:
            return known
        try:
            text = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, ZENTRY_NS)
        except libvirt.libvirtError as error:
            if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_DOMAIN):
                return None
            raise
        facts = read_metadata(text)
        if facts is None or facts.namespace != self._namespace:
            return None
        with self._lock:
            # Of earlier runs nothing need be remembered.
            self._facts = {known: found for known, found in self._facts.items() if known[0] != key[0]}
            self._facts[key] = facts
        return facts

    def forget(self, vm_id: str) -> None:
        """Drop what is remembered of a machine (deleted or defined anew)."""
        uuid = domain_uuid(self._namespace, vm_id)
        with self._lock:
            self._facts = {key: facts for key, facts in self._facts.items() if key[0] != uuid}
            self._processes.pop(uuid, None)
            self._answered.pop(vm_id, None)

    def identify(self, name: str, uuid: str) -> str | None:
        """vm_id of a domain seen before, None if unknown; raises LookupError for one with a foreign name."""
        if not name.startswith(self._prefix):
            raise LookupError(name)
        for (known, _), facts in list(self._facts.items()):
            if known == uuid:
                return facts.vm_id
        return None

    def machine(self, domain: Any, state: int, reason: int, leases: dict[str, Lease]) -> Machine | None:
        """The protocol's view of a domain; None if it is not ours."""
        facts = self.facts(domain)
        if facts is None:
            return None
        if state in _OFF:
            fault = "The machine’s process on the host ended unexpectedly." if reason in _CRASHES else ""
            return Machine(facts.vm_id, PowerState.OFF, fault=fault)
        run_id, started = self._run(domain)
        lease = leases.get(mac_address(self._namespace, facts.vm_id))
        # A lease outlives a stop. Both clocks are the host's; leases are kept in whole seconds.
        in_this_run = lease is not None and lease.taken >= int(started)
        answered = in_this_run or self._has_answered(facts.vm_id, run_id, started)
        if in_this_run:
            self._note_answer(facts.vm_id, run_id)
        fault = _FAULTS.get((state, reason), "")
        return Machine(
            facts.vm_id,
            PowerState.FAILED if fault else PowerState.RUNNING,
            run_id,
            (lease.address,) if lease is not None and in_this_run else (),
            answered,
            reach=f"ssh -p {facts.ssh_port} root@127.0.0.1" if facts.ssh_port else "",
            fault=fault,
        )

    def statistics(self, connection: Any) -> list[MachineStatistics]:
        """Counters of the running domains that are ours; others are not asked for."""
        running = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        ours = [domain for domain in running if self.facts(domain) is not None]
        if not ours:
            return []
        flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        found = []
        for domain, values in connection.domainListGetStats(ours, _STATISTICS, flags):
            facts = self.facts(domain)
            # A domain that is just being stopped or is busy has no counters now.
            if facts is not None and "cpu.time" in values:
                found.append(read_statistics(facts, self._run(domain)[0], values, datetime.now(UTC)))
        return found

    def _run(self, domain: Any) -> tuple[str, float]:
        """Id of the present run and when it began. The process, not libvirt's number, tells runs apart: libvirt
        counts from the start again after a restart of its own."""
        uuid, number = domain.UUIDString(), domain.ID()
        known = self._processes.get(uuid)
        process = None
        if known is not None and known[0] == number:
            process = host.read_process(known[1].pid)
            if process is not None and process.start_ticks != known[1].start_ticks:
                process = None
        if process is None:
            process = host.find_guest_process(uuid)
            if process is None:
                return f"{self._boot}-n{number}", 0.0
            with self._lock:
                self._processes[uuid] = (number, process)
        return f"{self._boot}-{process.pid}-{process.start_ticks}", process.started

    def _has_answered(self, vm_id: str, run_id: str, started: float) -> bool:
        if self._answered.get(vm_id) == run_id:
            return True
        note = self._storage.folder(vm_id) / "answered"
        try:
            if note.read_text() == run_id:
                self._answered[vm_id] = run_id
                return True
        except OSError:
            pass
        if has_ready_line(self._storage.console(vm_id), vm_id, started):
            self._note_answer(vm_id, run_id)
            return True
        return False

    def _note_answer(self, vm_id: str, run_id: str) -> None:
        """Remember beyond this process: the ready line may be trimmed away and the lease may end."""
        if self._answered.get(vm_id) == run_id:
            return
        self._answered[vm_id] = run_id
        folder = self._storage.folder(vm_id)
        if folder.is_dir():
            fresh = folder / "answered.new"
            fresh.write_text(run_id)
            fresh.replace(folder / "answered")


def read_statistics(facts: MachineFacts, run_id: str, values: dict[str, Any], at: datetime) -> MachineStatistics:
    """One row of libvirt's statistics in the protocol's words (libvirt counts memory in KiB)."""
    used = None
    if "balloon.available" in values:
        free = values.get("balloon.usable", values.get("balloon.unused"))
        if free is not None:
            used = max(0, values["balloon.available"] - free) * 1024
    return MachineStatistics(
        vm_id=facts.vm_id,
        at=at,
        run_id=run_id,
        vcpus=facts.vcpus,
        cpu_time_ns=values["cpu.time"],
        memory_total_bytes=facts.memory_mib * host.MIB,
        memory_used_bytes=used,
        disk_read_bytes=_total(values, "block", "rd.bytes"),
        disk_write_bytes=_total(values, "block", "wr.bytes"),
        net_rx_bytes=_total(values, "net", "rx.bytes"),
        net_tx_bytes=_total(values, "net", "tx.bytes"),
    )


def _total(values: dict[str, Any], group: str, name: str) -> int:
    return sum(int(values.get(f"{group}.{i}.{name}", 0)) for i in range(int(values.get(f"{group}.count", 0))))
