"""Reading libvirt's domains: which are ours, in what state, in which run, with what counters."""

import logging
import threading
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import libvirt

from zentry_web.adapters.compute import host
from zentry_web.adapters.compute.base import Machine, MachineStatistics, PowerState
from zentry_web.adapters.compute.libvirt.disks.storage import MachineStorage
from zentry_web.adapters.compute.libvirt.guests.agents import AgentWatch
from zentry_web.adapters.compute.libvirt.guests.console import has_ready_line
from zentry_web.adapters.compute.libvirt.guests.pauses import find_pause
from zentry_web.adapters.compute.libvirt.network.addresses import Lease
from zentry_web.adapters.compute.libvirt.xml import (
    ZENTRY_NS,
    MachineFacts,
    domain_uuid,
    mac_address,
    name_prefix,
    read_metadata,
)
from zentry_web.adapters.compute.words import CRASHED, SAVED
from zentry_web.domain.vms.outage import Cause

logger = logging.getLogger(__name__)

_STATISTICS = (
    libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
    | libvirt.VIR_DOMAIN_STATS_BALLOON
    | libvirt.VIR_DOMAIN_STATS_INTERFACE
    | libvirt.VIR_DOMAIN_STATS_BLOCK
)
_OFF = {libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_NOSTATE}
_FAULTS = {
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_CRASHED): "The guest crashed.",
    (libvirt.VIR_DOMAIN_CRASHED, libvirt.VIR_DOMAIN_CRASHED_PANICKED): "The guest crashed.",
}
# Of the run before, its memory is there: saved by `virsh managedsave` or in a snapshot.
_RESUMED = {
    (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_RESTORED),
    (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_FROM_SNAPSHOT),
}
_NOTES = ("answered", "resumed")
# Why a domain is off. libvirt forgets it when it is started again itself: then the host, or it, was away.
_ENDINGS = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: Cause.GUEST,
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: Cause.HAND,
    libvirt.VIR_DOMAIN_SHUTOFF_SAVED: Cause.HAND,
    libvirt.VIR_DOMAIN_SHUTOFF_FROM_SNAPSHOT: Cause.HAND,
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: Cause.CRASH,
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: Cause.CRASH,
    libvirt.VIR_DOMAIN_SHUTOFF_UNKNOWN: Cause.HOST,
    libvirt.VIR_DOMAIN_SHUTOFF_DAEMON: Cause.HOST,
}


class LibvirtDomains:
    """Knows the domains of one namespace by their metadata. Methods that take domains may raise libvirtError."""

    def __init__(self, namespace: str, storage: MachineStorage) -> None:
        self._namespace = namespace
        self._storage = storage
        self.agents = AgentWatch()
        self._prefix = name_prefix(namespace)
        self._lock = threading.Lock()
        # Metadata does not change during a run, so a look-up per domain and run is enough.
        self._facts: dict[tuple[str, int], MachineFacts] = {}
        self._processes: dict[str, tuple[int, host.GuestProcess]] = {}
        self._notes: dict[tuple[str, str], str] = {}
        self._boot = host.boot_id()[:8]

    def find(self, connection: Any, vm_id: str) -> Any:
        """The domain of a machine, or None."""
        domain = look_up(connection, self._namespace, vm_id)
        facts = None if domain is None else self.facts(domain)
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
        self.agents.forget(uuid)
        with self._lock:
            self._facts = {key: facts for key, facts in self._facts.items() if key[0] != uuid}
            self._processes.pop(uuid, None)
            for name in _NOTES:
                self._notes.pop((vm_id, name), None)

    def begin_anew(self, vm_id: str) -> None:
        """It is about to be powered on with nothing of the run before in its memory."""
        for name in _NOTES:
            self._notes.pop((vm_id, name), None)
            (self._storage.folder(vm_id) / name).unlink(missing_ok=True)

    def identify(self, name: str, uuid: str) -> str | None:
        """vm_id of a domain seen before, None if unknown; raises LookupError for one with a foreign name."""
        if not name.startswith(self._prefix):
            raise LookupError(name)
        for (known, _), facts in list(self._facts.items()):
            if known == uuid:
                return facts.vm_id
        return None

    def machine(
        self, domain: Any, state: int, reason: int, leases: dict[str, Lease], saved: Collection[str]
    ) -> Machine | None:
        """The protocol's view of a domain, ``saved`` being the uuids of those whose memory is saved; None if it is not
        ours. UNKNOWN if what there is of it cannot be read: one machine's files and words must not hide the others."""
        facts = self.facts(domain)
        if facts is None:
            return None
        try:
            return self._read(facts, domain, state, reason, leases, saved)
        except (OSError, ValueError, ArithmeticError, LookupError, TypeError) as error:
            logger.warning("%s cannot be read: %s: %s", facts.vm_id, type(error).__name__, error)
            return Machine(facts.vm_id, PowerState.UNKNOWN)

    def _read(
        self,
        facts: MachineFacts,
        domain: Any,
        state: int,
        reason: int,
        leases: dict[str, Lease],
        saved: Collection[str],
    ) -> Machine:
        if state in _OFF:
            ended = _ENDINGS.get(reason)
            fault = CRASHED if ended == Cause.CRASH else ""
            if domain.UUIDString() in saved:
                fault = SAVED
            return Machine(facts.vm_id, PowerState.OFF, fault=fault, ended=ended)
        run_id, started = self._run(domain)
        lease = leases.get(facts.mac or mac_address(self._namespace, facts.vm_id))
        if (state, reason) in _RESUMED:
            self._note(facts.vm_id, "resumed", run_id)
        resumed = self._noted(facts.vm_id, "resumed") == run_id
        # A lease outlives a stop. Both clocks are the host's; leases are kept in whole seconds. A guest that goes on
        # from saved memory goes on with its lease, and by a clock that stood still.
        in_this_run = lease is not None and (resumed or lease.taken >= int(started))
        answered = in_this_run or self._has_answered(facts.vm_id, run_id, 0.0 if resumed else started, resumed)
        if in_this_run:
            self._note(facts.vm_id, "answered", run_id)
        fault = _FAULTS.get((state, reason), "")
        power = PowerState.FAILED if fault else PowerState.RUNNING
        if pause := find_pause(domain, state, reason):
            power, fault = pause
        return Machine(
            facts.vm_id,
            power,
            run_id,
            (lease.address,) if lease is not None and in_this_run else (),
            answered,
            reach=f"ssh -p {facts.ssh_port} root@127.0.0.1" if facts.ssh_port else "",
            fault=fault,
            agent=self.agents.listens(domain),
            ended=Cause.CRASH if power == PowerState.FAILED else None,
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
                try:
                    self._storage.note_disk(facts.vm_id, values.get("block.0.path", ""))
                    found.append(read_statistics(facts, self._run(domain)[0], values, datetime.now(UTC)))
                except (OSError, ValueError, ArithmeticError, LookupError, TypeError) as error:
                    logger.warning("No figures of %s: %s: %s", facts.vm_id, type(error).__name__, error)
        return found

    def _run(self, domain: Any) -> tuple[str, float]:
        """Id of the present run and when it began. The process, not libvirt's number, tells runs apart: libvirt
        counts from the start again after a restart of its own. Raises LookupError where the run has just ended."""
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
                # Listed as running, and ended since: to name this another run would bill one that never was.
                if (known is not None and known[0] == number) or not _is_active(domain):
                    raise LookupError("its process has just ended")
                return f"{self._boot}-n{number}", 0.0
            with self._lock:
                self._processes[uuid] = (number, process)
        return f"{self._boot}-{process.pid}-{process.start_ticks}", process.started

    def _has_answered(self, vm_id: str, run_id: str, started: float, resumed: bool) -> bool:
        noted = self._noted(vm_id, "answered")
        if noted == run_id:
            return True
        if (resumed and noted) or has_ready_line(self._storage.console(vm_id), vm_id, started):
            self._note(vm_id, "answered", run_id)
            return True
        return False

    def _noted(self, vm_id: str, name: str) -> str:
        if (vm_id, name) not in self._notes:
            try:
                self._notes[vm_id, name] = (self._storage.folder(vm_id) / name).read_text()
            except OSError:
                return ""
        return self._notes[vm_id, name]

    def _note(self, vm_id: str, name: str, run_id: str) -> None:
        """Remember beyond this process: the ready line may be trimmed away, the lease may end, and the reason for
        which libvirt says it runs changes with each pause."""
        if self._notes.get((vm_id, name)) == run_id:
            return
        self._notes[vm_id, name] = run_id
        folder = self._storage.folder(vm_id)
        if folder.is_dir():
            fresh = folder / f"{name}.new"
            try:
                fresh.write_text(run_id)
                fresh.replace(folder / name)
            except OSError as error:  # no room: this process knows it all the same
                logger.warning("%s of %s is not noted: %s", name, vm_id, error)
                fresh.unlink(missing_ok=True)


def look_up(connection: Any, namespace: str, key: str) -> Any:
    """The domain that has the id of this machine, or of whatever else ``key`` names; None if there is none. Whether it
    is ours is another matter. May raise libvirtError."""
    try:
        return connection.lookupByUUIDString(domain_uuid(namespace, key))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _is_active(domain: Any) -> bool:
    try:
        return bool(domain.isActive())
    except libvirt.libvirtError:
        return False


def read_statistics(facts: MachineFacts, run_id: str, values: dict[str, Any], at: datetime) -> MachineStatistics:
    """One row of libvirt's statistics in the protocol's words (libvirt counts memory in KiB)."""
    total = facts.memory_mib * host.MIB
    used = None
    if "balloon.available" in values:
        free = values.get("balloon.usable", values.get("balloon.unused"))
        if free is not None:  # both are the guest's own words: it may say what it likes, but not use more than it has
            used = min(max(0, values["balloon.available"] - free) * 1024, total)
    return MachineStatistics(
        vm_id=facts.vm_id,
        at=at,
        run_id=run_id,
        vcpus=facts.vcpus,
        cpu_time_ns=values["cpu.time"],
        memory_total_bytes=total,
        memory_used_bytes=used,
        disk_read_bytes=_total(values, "block", "rd.bytes"),
        disk_write_bytes=_total(values, "block", "wr.bytes"),
        net_rx_bytes=_total(values, "net", "rx.bytes"),
        net_tx_bytes=_total(values, "net", "tx.bytes"),
    )


def _total(values: dict[str, Any], group: str, name: str) -> int:
    return sum(int(values.get(f"{group}.{i}.{name}", 0)) for i in range(int(values.get(f"{group}.count", 0))))
