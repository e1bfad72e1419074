"""The real driver: QEMU guests under libvirt on this machine."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import libvirt

from zentry_web.adapters.compute import host
from zentry_web.adapters.compute.accelerator import Accelerator, known_accelerator
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
from zentry_web.adapters.compute.images import list_images
from zentry_web.adapters.compute.libvirt_connection import LibvirtConnection
from zentry_web.adapters.compute.libvirt_console import mark_power_on, read_log, trim
from zentry_web.adapters.compute.libvirt_definitions import LibvirtDefinitions
from zentry_web.adapters.compute.libvirt_domains import LibvirtDomains
from zentry_web.adapters.compute.libvirt_events import LibvirtEvents
from zentry_web.adapters.compute.libvirt_network import LibvirtNetwork
from zentry_web.adapters.compute.libvirt_storage import MachineStorage
from zentry_web.adapters.compute.libvirt_xml import translation_cache_mib

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
    with a forwarded SSH port; libvirt counts no traffic there. ``accelerator`` is found by a probe when not given.
    Nothing is opened before the first call.
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
        accelerator: Accelerator | None = None,
        emulator: str | None = None,
        user_network: bool | None = None,
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
        self._domains = LibvirtDomains(namespace, self._storage)
        self._network = LibvirtNetwork(namespace, self._data_dir)
        self._events = LibvirtEvents(self._domains.identify)
        self._connection = LibvirtConnection(uri, on_open=self._events.register)
        self._definitions = LibvirtDefinitions(
            namespace,
            self._data_dir,
            self._image_dir,
            self._storage,
            self._domains,
            self._connection,
            accelerator=accelerator,
            emulator=emulator,
            has_network=self._has_network,
        )

    def images(self) -> tuple[str, ...]:
        return tuple(image.name for image in list_images(self._image_dir))

    def create(self, spec: MachineSpec) -> None:
        self._definitions.create(spec)

    def start(self, vm_id: str) -> None:
        domain = self._get(vm_id)
        if self._connection.call(lambda _: domain.isActive()):
            return
        spec = self._definitions.ordered(vm_id)
        self._check_memory(spec.memory_mib)
        self._definitions.renew(domain, spec)
        if self._has_network:
            self._connection.call(self._network.ensure, 30.0, changes=True)
        console = self._storage.console(vm_id)
        trim(console)
        mark_power_on(console, time.time())
        self._connection.call(lambda c: _power_on(self._need(c, vm_id)), 60.0, changes=True)

    def shutdown(self, vm_id: str) -> None:
        flag = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
        self._act(vm_id, lambda domain: _tolerating_wrong_state(lambda: domain.shutdownFlags(flag)))

    def force_off(self, vm_id: str) -> None:
        self._act(vm_id, lambda domain: _tolerating_wrong_state(domain.destroy))

    def reboot(self, vm_id: str) -> None:
        def reboot(domain: Any) -> None:
            if not domain.isActive():
                raise ComputeRefused("The machine is off, so it cannot be restarted.")
            domain.reboot(libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN)

        self._act(vm_id, reboot)

    def resize(self, vm_id: str, *, vcpus: int, memory_mib: int, disk_gib: int) -> None:
        domain = self._get(vm_id)
        spec = self._definitions.ordered(vm_id)
        disk_gib = max(disk_gib, spec.disk_gib)
        wanted = replace(spec, vcpus=vcpus, memory_mib=memory_mib, disk_gib=disk_gib)
        if wanted == spec and self._definitions.is_defined_as(domain, wanted):
            return
        if self._connection.call(lambda _: domain.isActive()):
            raise ComputeRefused("The machine is running, so its size cannot change.")
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

        self._connection.call(remove, 60.0, changes=True)
        self._storage.delete(vm_id)
        self._domains.forget(vm_id)

    def machines(self) -> list[Machine]:
        def read(connection: Any) -> list[Machine]:
            states = connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE)
            leases = self._network.leases(connection) if self._has_network else {}
            found = (
                self._domains.machine(domain, values["state.state"], values["state.reason"], leases)
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
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    return None
                raise
            leases = self._network.leases(connection) if self._has_network else {}
            return self._domains.machine(domain, state, reason, leases)

        return self._connection.call(read)

    def statistics(self) -> list[MachineStatistics]:
        return self._connection.call(self._domains.statistics, 20.0)

    def console_log(self, vm_id: str, max_bytes: int = 65536) -> ConsoleLog:
        self._get(vm_id)
        path = self._storage.console(vm_id)
        trim(path)
        return read_log(path, max_bytes)

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
        try:
            self._connection.ensure(HEALTH_SECONDS / 2)
            versions = self._connection.call(lambda c: (c.getLibVersion(), c.getVersion()), HEALTH_SECONDS / 2)
            names = self.images()
        except (ComputeError, OSError) as error:
            return Health(ok=False, detail=str(error), facts=facts)
        facts |= {"libvirt": _version(versions[0]), "qemu": _version(versions[1]), "images": ", ".join(names)}
        if not names:
            return Health(ok=False, detail=f"There is no guest image in {self._image_dir}.", facts=facts)
        detail = f"libvirt {facts['libvirt']} with QEMU {facts['qemu']} answers at {self.uri}."
        return Health(ok=True, detail=detail, facts=facts)

    def close(self) -> None:
        self._events.close()
        self._connection.close()

    def remove_everything(self) -> None:
        """Delete all machines of this Zentry and its network: for tests and for taking a Zentry off a host."""
        for machine in self.machines():
            self.delete(machine.vm_id)
        if self._has_network:
            self._connection.call(self._network.remove, 30.0, changes=True)

    # How

    def _act(self, vm_id: str, action: Callable[[Any], None]) -> None:
        self._connection.call(lambda c: action(self._need(c, vm_id)), 40.0, changes=True)

    def _get(self, vm_id: str) -> Any:
        return self._connection.call(lambda c: self._need(c, vm_id))

    def _need(self, connection: Any, vm_id: str) -> Any:
        domain = self._domains.find(connection, vm_id)
        if domain is None:
            raise MachineMissing("The machine does not exist on the host.")
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
            raise ComputeRefused("The host has not enough free memory to start this machine.")


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
