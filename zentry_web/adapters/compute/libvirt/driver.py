"""The real driver: QEMU guests under libvirt on this machine."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt

from zentry_web.adapters.compute import host
from zentry_web.adapters.compute.base import (
    Capacity,
    ComputeError,
    ComputeRefused,
    ConsoleLog,
    Health,
    Machine,
    MachineEvent,
    MachineMissing,
    MachineSpec,
    MachineStatistics,
)
from zentry_web.adapters.compute.libvirt.accelerator import Emulator, find_emulator, known_accelerator
from zentry_web.adapters.compute.libvirt.connection import LibvirtConnection
from zentry_web.adapters.compute.libvirt.copies.backups import NOWHERE, BackupPlace, LibvirtBackups
from zentry_web.adapters.compute.libvirt.copies.disk_copies import LibvirtDiskCopies
from zentry_web.adapters.compute.libvirt.copies.guest_copies import GuestCopies
from zentry_web.adapters.compute.libvirt.copies.proofs import LibvirtProofs
from zentry_web.adapters.compute.libvirt.definitions import LibvirtDefinitions
from zentry_web.adapters.compute.libvirt.disks.files import fetch_log, stay_readable
from zentry_web.adapters.compute.libvirt.disks.storage import MachineStorage
from zentry_web.adapters.compute.libvirt.domains import LibvirtDomains
from zentry_web.adapters.compute.libvirt.guests.agents import LibvirtAgents
from zentry_web.adapters.compute.libvirt.guests.console import mark_power_on, read_log, trim
from zentry_web.adapters.compute.libvirt.guests.consoles import LibvirtConsoles
from zentry_web.adapters.compute.libvirt.guests.events import LibvirtEvents
from zentry_web.adapters.compute.libvirt.guests.pauses import go_on, stand_still
from zentry_web.adapters.compute.libvirt.identity import LibvirtIdentities
from zentry_web.adapters.compute.libvirt.images.images import LibvirtImages
from zentry_web.adapters.compute.libvirt.network.filter import NO_FILTERS, filters_are_missing
from zentry_web.adapters.compute.libvirt.network.network import LibvirtNetwork
from zentry_web.adapters.compute.libvirt.rebuilds import LibvirtRebuilds
from zentry_web.adapters.compute.libvirt.rescues import LibvirtRescues
from zentry_web.adapters.compute.libvirt.snapshots import LibvirtSnapshots
from zentry_web.adapters.compute.libvirt.xml import translation_cache_mib
from zentry_web.adapters.compute.words import OFF_NO_RESET
from zentry_web.domain.language import kept

logger = logging.getLogger(__name__)

HOST_RESERVE_MIB = 256
HEALTH_SECONDS = 4.0
_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)


def answers(uri: str, seconds: float = 5.0) -> bool:
    """Whether a libvirt daemon answers at ``uri`` within ``seconds``."""
    connection = LibvirtConnection(uri)
    try:
        connection.ensure(seconds)
    except ComputeError:
        return False
    finally:
        connection.close()
    return True


class LibvirtCompute:
    """A ``ComputeDriver`` for libvirt at ``uri``.

    ``data_dir`` is Zentry's data folder (disks go to its ``machines``), ``image_dir`` holds the guest images, and
    ``namespace`` (up to 12 hex digits, the data folder's id) parts this Zentry's domains, network and bridge from
    all others on the machine. With a ``/session`` uri, or ``user_network``, guests get QEMU's user-mode network
    with a forwarded SSH port; libvirt counts no traffic there. Nothing is opened before the first call.
    """

    name = "libvirt"
    simulated = False

    def __init__(
        self,
        uri: str,
        data_dir: Path | str,
        namespace: str,
        image_dir: Path | str,
        *,
        user_network: bool | None = None,
        backup_place: BackupPlace = NOWHERE,
    ) -> None:
        self.uri = uri
        # libvirt wants absolute paths.
        self._data_dir = Path(data_dir).absolute()
        self._image_dir = Path(image_dir).absolute()
        self._namespace = namespace
        if user_network is None:
            user_network = uri.partition("?")[0].endswith("/session")
        self._has_network = not user_network
        self._storage = MachineStorage(self._data_dir / "machines")
        self.images = LibvirtImages(self._image_dir, self._storage)
        self._domains = LibvirtDomains(namespace, self._storage)
        self._network = LibvirtNetwork(namespace, self._data_dir)
        self._events = LibvirtEvents(self._domains.identify)
        self._connection = LibvirtConnection(uri, on_open=self._listen)
        self.consoles = LibvirtConsoles(self._connection, self._need)
        self.agents = LibvirtAgents(self._connection, self._need)
        self.identity = LibvirtIdentities(self._connection, self._storage, self._need)
        self.snapshots = LibvirtSnapshots(self._connection, self._storage, self._need)
        self._definitions = LibvirtDefinitions(
            namespace,
            self._image_dir,
            self._storage,
            self._domains,
            self._connection,
            self._network if self._has_network else None,
            Emulator(find_emulator(), self._data_dir),
        )
        guests = GuestCopies(self._connection, self._domains, self._storage)
        self.backups = LibvirtBackups(backup_place, guests, self._storage, self._definitions)
        self.copies = LibvirtDiskCopies(guests, self._storage, self._image_dir, self.backups)
        self.proofs = LibvirtProofs(
            self._data_dir / "proofs",
            namespace,
            self._connection,
            self._definitions,
            self.backups,
            self._check_memory,
        )
        self.rebuilds = LibvirtRebuilds(self._connection, self._storage, self._definitions, self._need)
        self.rescues = LibvirtRescues(self._connection, self._storage, self._definitions, self._need)

    def create(self, spec: MachineSpec) -> None:
        self._definitions.create(spec)

    def start(self, vm_id: str) -> None:
        domain = self._get(vm_id)
        if self._connection.call(lambda _: domain.isActive()):
            self.resume(vm_id)
            return
        spec = self._definitions.ordered(vm_id)
        self._check_memory(spec.memory_mib)
        is_saved = bool(self._connection.call(lambda _: domain.hasManagedSaveImage(0)))
        if is_saved:  # its memory fits the definition it was saved with
            self._definitions.prepare(vm_id)
        else:
            self._definitions.renew(domain, spec)
            self._domains.begin_anew(vm_id)
        console = self._storage.console(vm_id)
        stay_readable(console)
        stay_readable(self._storage.disk(vm_id))  # what its snapshots hold is read while it runs
        trim(console)
        mark_power_on(console, time.time(), resumes=is_saved)
        self._connection.call(lambda c: _power_on(self._need(c, vm_id)), 60.0, changes=True, about=vm_id)

    def resume(self, vm_id: str) -> None:
        self._act(vm_id, lambda domain: _tolerating_wrong_state(lambda: go_on(domain, self._storage.folder(vm_id))))

    def suspend(self, vm_id: str) -> None:
        self._act(vm_id, stand_still)

    def shutdown(self, vm_id: str) -> None:
        flag = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
        self._act(vm_id, lambda domain: _tolerating_wrong_state(lambda: domain.shutdownFlags(flag)))

    def force_off(self, vm_id: str) -> None:
        ends = f"end of {vm_id}"  # ends a guest, too, that another call waits for
        self._act(vm_id, lambda domain: _tolerating_wrong_state(domain.destroy), ends)

    def reboot(self, vm_id: str) -> None:
        button = libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN
        refusal = kept("The machine is off, so it cannot be restarted.")
        self._act_while_on(vm_id, lambda domain: domain.reboot(button), refusal)

    def reset(self, vm_id: str) -> None:
        self._act_while_on(vm_id, lambda domain: domain.reset(0), OFF_NO_RESET)

    def check_resize(self, vm_id: str) -> None:
        self._definitions.check_resize(self._get(vm_id), vm_id)

    def resize(self, vm_id: str, *, vcpus: int, memory_mib: int, disk_gib: int) -> None:
        domain = self._get(vm_id)
        spec = self._definitions.ordered(vm_id)
        disk_gib = max(disk_gib, spec.disk_gib)
        wanted = replace(spec, vcpus=vcpus, memory_mib=memory_mib, disk_gib=disk_gib)
        if wanted == spec and self._definitions.is_defined_as(domain, wanted):
            return
        if self._connection.call(lambda _: domain.isActive()):
            raise ComputeRefused(kept("The machine is running, so its size cannot change."))
        self._definitions.check_resize(domain, vm_id)
        self._storage.resize(wanted)
        self._definitions.define_again(wanted)

    def delete(self, vm_id: str) -> None:
        def remove(connection: Any) -> None:
            domain = self._domains.find(connection, vm_id)
            if domain is None:
                return
            if domain.isActive():
                _tolerating_wrong_state(domain.destroy)
            # A domain that somebody undefined while it ran is gone with its process.
            _tolerating_wrong_state(lambda: domain.undefineFlags(_UNDEFINE))

        self._connection.call(remove, 60.0, changes=True, about=f"end of {vm_id}")
        if self._has_network:
            self._connection.call(lambda c: self._network.release(c, vm_id), 30.0, changes=True)
        self._storage.delete(vm_id)
        self._domains.forget(vm_id)

    def machines(self) -> list[Machine]:
        def read(connection: Any) -> list[Machine]:
            states = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
            leases = self._network.leases(connection) if self._has_network else {}
            with_memory = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
            saved = {domain.UUIDString() for domain in with_memory}
            found = (
                self._domains.machine(domain, values["state.state"], values["state.reason"], leases, saved)
                for domain, values in states
                if "state.state" in values
            )
            return [machine for machine in found if machine is not None]

        return self._connection.call(read, 20.0)

    def machine(self, vm_id: str) -> Machine | None:
        def read(connection: Any) -> Machine | None:
            domain = self._domains.find(connection, vm_id)
            if domain is None:
                return None
            try:
                state, reason = domain.state()
                saved = {domain.UUIDString()} if domain.hasManagedSaveImage(0) else set()
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    return None
                raise
            leases = self._network.leases(connection) if self._has_network else {}
            return self._domains.machine(domain, state, reason, leases, saved)

        return self._connection.call(read)

    def note(self, vm_id: str) -> MachineSpec | None:
        return self._storage.spec(vm_id)

    def statistics(self) -> list[MachineStatistics]:
        return self._connection.call(self._domains.statistics, 20.0)

    def console_log(self, vm_id: str, max_bytes: int = 65536) -> ConsoleLog:
        self._get(vm_id)
        path = self._storage.console(vm_id)
        trim(path)
        try:
            return read_log(path, max_bytes)
        except PermissionError:
            return self._connection.call(lambda c: fetch_log(c, path, max_bytes))

    def subscribe(self, callback: Callable[[MachineEvent], None]) -> None:
        self._events.subscribe(callback, self._connection)

    def capacity(self) -> Capacity:
        self._data_dir.mkdir(parents=True, exist_ok=True)
        disk_total, _ = host.disk_bytes(self._data_dir)
        return Capacity(
            vcpus=host.cpu_count(),
            memory_mib=host.memory_mib()[0],
            memory_free_mib=self._free_memory_mib(),
            disk_gib=disk_total // host.GIB,
            disk_free_gib=self._storage.free_bytes() // host.GIB,
        )

    def health(self) -> Health:
        facts = {"driver": self.name, "uri": self.uri, "accelerator": known_accelerator(self._data_dir) or "not tried"}
        facts["boot"] = host.boot_id()
        try:
            self._connection.ensure(HEALTH_SECONDS / 2)
            versions = self._connection.call(lambda c: (c.getLibVersion(), c.getVersion()), HEALTH_SECONDS / 2)
            unfiltered = self._has_network and self._connection.call(filters_are_missing, HEALTH_SECONDS / 2)
            names = self.images.names()
        except (ComputeError, OSError) as error:
            return Health(ok=False, detail=str(error), facts=facts)
        facts |= {"libvirt": _version(versions[0]), "qemu": _version(versions[1]), "images": ", ".join(names)}
        if not names:
            return Health(ok=False, detail=f"There is no guest image in {self._image_dir}.", facts=facts)
        if unfiltered:
            return Health(ok=False, detail=NO_FILTERS, facts=facts)
        detail = f"libvirt {facts['libvirt']} with QEMU {facts['qemu']} answers at {self.uri}."
        return Health(ok=True, detail=detail, facts=facts)

    def close(self) -> None:
        self.backups.close()
        self.copies.close()
        self.proofs.close()
        self._events.close()
        self._connection.close()

    def remove_everything(self) -> None:
        """Delete all machines of this Zentry and its network: for tests and for taking a Zentry off a host."""
        for backup_id in self.proofs.stored():
            self.proofs.end(backup_id)
        for machine in self.machines():
            self.delete(machine.vm_id)
        if self._has_network:
            self._connection.call(self._network.remove, 30.0, changes=True)

    # How

    def _listen(self, connection: Any) -> None:
        self._events.register(connection)
        self._domains.agents.begin(connection)

    def _act(self, vm_id: str, action: Callable[[Any], None], about: str = "") -> None:
        self._connection.call(lambda c: action(self._need(c, vm_id)), 40.0, changes=True, about=about or vm_id)

    def _act_while_on(self, vm_id: str, action: Callable[[Any], None], refusal: str) -> None:
        def act(domain: Any) -> None:
            if not domain.isActive():
                raise ComputeRefused(refusal)
            action(domain)

        self._act(vm_id, act)

    def _get(self, vm_id: str) -> Any:
        return self._connection.call(lambda c: self._need(c, vm_id))

    def _need(self, connection: Any, vm_id: str) -> Any:
        domain = self._domains.find(connection, vm_id)
        if domain is None:
            raise MachineMissing(kept("The machine does not exist on the host."))
        return domain

    def _free_memory_mib(self) -> int:
        """Memory for further guests. A young guest has not touched all of its own yet, so it is counted in full."""
        total, available = host.memory_mib()

        def promised(connection: Any) -> int:
            running = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            ours = [facts for facts in map(self._domains.facts, running) if facts is not None]
            return sum(facts.memory_mib + _overhead_mib(facts.memory_mib) for facts in ours)

        return max(0, min(available, total - self._connection.call(promised)) - HOST_RESERVE_MIB)

    def _check_memory(self, memory_mib: int) -> None:
        if memory_mib + _overhead_mib(memory_mib) > self._free_memory_mib():
            raise ComputeRefused(kept("The host has not enough free memory to start this machine."))


def _overhead_mib(memory_mib: int) -> int:
    """What QEMU takes besides the guest's memory: its own, and the translator's cache."""
    return 70 + translation_cache_mib(memory_mib)


def _tolerating_wrong_state(action: Callable[[], Any]) -> None:
    """Starting what runs and stopping what is off is success; so is a domain that went away meanwhile."""
    try:
        action()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_OPERATION_INVALID, libvirt.VIR_ERR_NO_DOMAIN):
            raise


def _power_on(domain: Any) -> None:
    try:
        domain.create()
    except libvirt.libvirtError:
        # Somebody else was quicker: just as well. (The error is the same as for a network that is off.)
        if not domain.isActive():
            raise


def _version(number: int) -> str:
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"
