"""The disk of a guest that is on, copied by libvirt's backup job: as it was at one moment, and no overlay is left."""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt

from zentry_web.adapters.compute import host
from zentry_web.adapters.compute.base import ComputeError, ComputeRefused, ComputeUnavailable, MachineMissing
from zentry_web.adapters.compute.libvirt.backup_jobs import (
    end_job,
    freeze,
    has_agent,
    job_part,
    job_succeeded,
    job_xml,
    read_job,
    thaw,
)
from zentry_web.adapters.compute.libvirt.connection import LibvirtConnection
from zentry_web.adapters.compute.libvirt.copying import Copying
from zentry_web.adapters.compute.libvirt.disks import run_tool
from zentry_web.adapters.compute.libvirt.domains import LibvirtDomains
from zentry_web.adapters.compute.libvirt.files import stay_readable
from zentry_web.adapters.compute.libvirt.storage import MachineStorage
from zentry_web.domain.language import kept

JOB_LOOK_SECONDS = 0.5
CLOSE_LOOKS = 60
JOB_PART = 0.6  # of all that is done for a copy


class GuestCopies:
    """Copies of guests that are on, each into a folder ``fresh`` that is nobody else's."""

    def __init__(self, connection: LibvirtConnection, domains: LibvirtDomains, storage: MachineStorage) -> None:
        self._connection, self._domains, self._storage = connection, domains, storage

    def copy(self, copying: Copying, domain: Any, vm_id: str, fresh: Path, raw: Path) -> bool:
        """The disk in ``raw``, of the hypervisor's user; whether its file systems were held still at that moment.

        Raises Stopped, ComputeRefused, ComputeUnavailable (it went off meanwhile: begin again).
        """
        try:
            frozen = self._run_job(copying, domain, vm_id, fresh, raw)
        except ComputeRefused as error:
            found = self.find(vm_id)
            if found is not None and not self.ask(lambda: found.isActive()):
                # Begun again, it is copied as one that is off.
                raise ComputeUnavailable(kept("The machine went off while it was copied.")) from error
            raise
        _wait_closed(copying, raw)
        return frozen

    def end(self, domain: Any, fresh: Path) -> None:
        """End the job that copies into that folder, if there is one."""
        if self._has_job(domain, fresh):
            self.ask(lambda: end_job(domain))

    def find(self, vm_id: str) -> Any:
        return self._connection.call(lambda connection: self._domains.find(connection, vm_id))

    def need(self, vm_id: str) -> Any:
        """Raises MachineMissing."""
        domain = self.find(vm_id)
        if domain is None:
            raise MachineMissing(kept("The machine does not exist on the host."))
        return domain

    def ask(self, function: Callable[[], Any]) -> Any:
        return self._connection.call(lambda _: function(), 40.0)

    def _run_job(self, copying: Copying, domain: Any, vm_id: str, fresh: Path, raw: Path) -> bool:
        frozen = False
        if not self._has_job(domain, fresh):  # else a worker that was killed since has begun it
            make_fresh(fresh)
            size = int(self._storage.notes(vm_id)["disk_gib"]) * host.GIB
            run_tool(["qemu-img", "create", "-q", "-f", "qcow2", str(raw), str(size)])
            stay_readable(raw)
            with self._held_still(domain) as frozen:
                flags = libvirt.VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL
                self.ask(lambda: domain.backupBegin(job_xml(domain, raw), None, flags))
            (fresh / "frozen").write_text(str(int(frozen)))
        while self._has_job(domain, fresh):
            copying.pause(JOB_LOOK_SECONDS)
            copying.part = JOB_PART * self.ask(lambda: job_part(domain))
        if not self.ask(lambda: job_succeeded(domain)):
            raise ComputeRefused(kept("The copy was ended on the host before it was whole."))
        return frozen or (fresh / "frozen").read_text() == "1"

    @contextlib.contextmanager
    def _held_still(self, domain: Any) -> Iterator[bool]:
        """While this lasts the guest writes nothing, if its agent answers. It is let go whatever happens."""
        if not self.ask(lambda: has_agent(domain)):
            yield False
            return
        self._let_go(domain)  # a worker that was killed may have left it so
        try:
            frozen = self.ask(lambda: freeze(domain))
            yield frozen
        finally:
            self._let_go(domain)

    def _let_go(self, domain: Any) -> None:
        with contextlib.suppress(ComputeError):
            self.ask(lambda: thaw(domain))

    def _has_job(self, domain: Any, fresh: Path) -> bool:
        return bool(self.ask(lambda: str(fresh) in read_job(domain)))


def make_fresh(fresh: Path) -> None:
    """An empty folder, which the hypervisor's user can go through."""
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    fresh.chmod(0o711)


def _wait_closed(copying: Copying, raw: Path) -> None:
    """Until the hypervisor has let go of the copy: what it still holds of it is written when it closes it, which may be
    a moment after its job has ended."""
    for _ in range(CLOSE_LOOKS):
        if run_tool(["qemu-img", "info", "-f", "qcow2", str(raw)], fine=(0, 1)).returncode == 0:
            return
        copying.pause(JOB_LOOK_SECONDS)
    raise ComputeUnavailable(kept("The hypervisor does not let go of the copy."))
