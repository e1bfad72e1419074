"""The disk of a guest that is on, copied as it was at one moment by libvirt's backup job; no overlay is left behind.

The job serves the disk on a socket, and qemu-img reads it from there into its place: one pass. What the guest
overwrites meanwhile is kept aside until then. Socket and that are in ``MACHINES/.nbd-…``, where only the
hypervisor's user and our own account get in. Where that cannot be (AppArmor, a file system without access lists, a
path too long for a socket, little room), the job writes a copy, and qemu-img reads that.
"""

import contextlib
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import libvirt

from zentry_web.adapters.compute import host
from zentry_web.adapters.compute.base import ComputeError, ComputeRefused, ComputeUnavailable, MachineMissing
from zentry_web.adapters.compute.libvirt.connection import LibvirtConnection
from zentry_web.adapters.compute.libvirt.copies.backup_jobs import (
    DISK,
    end_job,
    freeze,
    job_part,
    job_succeeded,
    pull_xml,
    push_xml,
    read_job,
    thaw,
)
from zentry_web.adapters.compute.libvirt.copies.copying import Copying
from zentry_web.adapters.compute.libvirt.disks.disks import run_tool, used_bytes
from zentry_web.adapters.compute.libvirt.disks.files import stay_readable
from zentry_web.adapters.compute.libvirt.disks.storage import MachineStorage
from zentry_web.adapters.compute.libvirt.domains import LibvirtDomains
from zentry_web.adapters.compute.libvirt.guests.agents import has_agent
from zentry_web.domain.language import kept

logger = logging.getLogger(__name__)

JOB_LOOK_SECONDS = 0.5
END_LOOK_SECONDS = 0.05
END_LOOKS = 600
CLOSE_LOOKS = 60
OFF_LOOK_SECONDS = 0.25
OFF_LOOKS = 12
JOB_PART = 0.6  # of all that is done for a copy
COPIED = 0.9  # of all that is done; then it is checked and summed
SCRATCH_BYTES = 2 * host.GIB  # free on the machines' disk, so that a guest is served from there
LEAST_BYTES = host.GIB  # with less left it is served no longer: guests' own writes come first
SOCKET = "s"
HELD = "held"  # beside a copy that is being made: its guest's file systems may be held still
ENDED = kept("The copy was ended on the host before it was whole.")
NEARLY_FULL = kept("The host’s disk became nearly full, so the copy was given up.")


class GuestCopies:
    """Copies of guests that are on, each into a folder ``fresh`` that is nobody else's."""

    def __init__(self, connection: LibvirtConnection, domains: LibvirtDomains, storage: MachineStorage) -> None:
        self._connection, self._domains, self._storage = connection, domains, storage

    def prepare(self, copying: Copying, domain: Any, vm_id: str, fresh: Path) -> None:
        """An empty folder ``fresh``, and nothing of an earlier copy of this machine: a worker that was killed may have
        left a job. ``domain``: None for a machine that is off."""
        served = self._storage.served(vm_id)
        if domain is not None:
            job = self.ask(lambda: read_job(domain))
            if str(served) in job or fresh.name in job:
                self._end(copying, domain)
            self._try_to_let_go(domain, fresh)
        is_held = domain is not None and (fresh / HELD).exists()
        shutil.rmtree(served, ignore_errors=True)
        make_fresh(fresh)
        if is_held:
            (fresh / HELD).touch()

    def copy(self, copying: Copying, domain: Any, vm_id: str, target: Path, options: list[str]) -> bool:
        """The disk in ``target``, which is made with these options of qemu-img's, in the folder that was prepared;
        whether its file systems were held still at that moment.

        Raises Stopped, ComputeRefused, ComputeUnavailable (it went off meanwhile, among others: begin again).
        """
        try:
            frozen = self._serve(domain, vm_id, target)
            if frozen is None:
                frozen = self._push(copying, domain, vm_id, target, options)
            else:
                self._pull(copying, domain, vm_id, target, options)
            self._try_to_let_go(domain, target.parent)  # an agent that did not answer then may do so now
            (target.parent / HELD).unlink(missing_ok=True)
            return frozen
        except ComputeRefused as error:
            if self._goes_off(copying, vm_id):  # begun again, it is copied as one that is off
                raise ComputeUnavailable(kept("The machine went off while it was copied.")) from error
            raise

    def _goes_off(self, copying: Copying, vm_id: str) -> bool:
        """Whether that is why a copy failed: qemu-img may hear of it a moment before libvirt does."""
        for _ in range(OFF_LOOKS):
            found = self.find(vm_id)
            if found is None or not self.ask(found.isActive):
                return found is not None
            copying.pause(OFF_LOOK_SECONDS)
        return False

    def end(self, domain: Any, vm_id: str, fresh: Path) -> None:
        """End the job that copies into that folder, if there is one, let its guest write again, and remove what was
        kept. Raises ComputeError when it has to be ended once more: until then the folder must stay."""
        try:
            self._let_go(domain, fresh)
        finally:
            self._end_job(domain, vm_id, fresh)

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

    # How: in one pass

    def _serve(self, domain: Any, vm_id: str, target: Path) -> bool | None:
        """Serve the disk, and say whether its file systems were held still; None: it cannot be served here."""
        served = self._storage.served(vm_id)
        if host.disk_bytes(self._storage.machines_dir)[1] < SCRATCH_BYTES:
            return None
        scratch = served / f"{target.parent.name}.qcow2"  # the job's definition says with it what it is for
        try:
            _make_served(served, self.ask(domain.UUIDString))
            self._make_disk(vm_id, scratch)
            frozen = self._begin(domain, target.parent, pull_xml(domain, served / SOCKET, scratch))
            if os.access(served / SOCKET, os.R_OK | os.W_OK):
                return frozen
            reason = "its socket is not for us"
        except (ComputeRefused, OSError) as error:
            reason = str(error)
        logger.warning("The disk of %s is not served, and copied in two passes: %s", vm_id, reason)
        self._end_job(domain, vm_id, target.parent)
        return None

    def _pull(self, copying: Copying, domain: Any, vm_id: str, target: Path, options: list[str]) -> None:
        served = self._storage.served(vm_id)
        source = f"nbd+unix:///{DISK}?socket={quote(str(served / SOCKET))}"
        copying.convert(["-f", "raw", *options, source, str(target)], 0.0, COPIED, self._check_room)
        # Without its job nothing has kept what the guest overwrote.
        if target.parent.name not in self.ask(lambda: read_job(domain)):
            raise ComputeRefused(ENDED)
        self._end(copying, domain)
        shutil.rmtree(served, ignore_errors=True)

    def _check_room(self) -> None:
        if host.disk_bytes(self._storage.machines_dir)[1] < LEAST_BYTES:
            raise ComputeUnavailable(NEARLY_FULL)

    # How: in two

    def _push(self, copying: Copying, domain: Any, vm_id: str, target: Path, options: list[str]) -> bool:
        fresh, copy = target.parent, target.with_name("copy.qcow2")
        if 2 * used_bytes(self._storage.disk(vm_id)) > host.disk_bytes(fresh)[1] - LEAST_BYTES:
            raise ComputeRefused(kept("There is no room to copy the disk of a machine that is on. Stop it first."))
        self._make_disk(vm_id, copy)
        stay_readable(copy)
        frozen = self._begin(domain, fresh, push_xml(domain, copy))
        while fresh.name in self.ask(lambda: read_job(domain)):
            copying.pause(JOB_LOOK_SECONDS)
            copying.part = JOB_PART * self.ask(lambda: job_part(domain))
        if not self.ask(lambda: job_succeeded(domain)):
            raise ComputeRefused(ENDED)
        _wait_closed(copying, copy)
        copying.convert(["-f", "qcow2", *options, str(copy), str(target)], JOB_PART, COPIED)
        copy.unlink()
        return frozen

    # How: shared

    def _make_disk(self, vm_id: str, path: Path) -> None:
        size = int(self._storage.notes(vm_id)["disk_gib"]) * host.GIB
        run_tool(["qemu-img", "create", "-q", "-f", "qcow2", str(path), str(size)])

    def _begin(self, domain: Any, fresh: Path, job: str) -> bool:
        with self._held_still(domain, fresh) as frozen:
            self.ask(lambda: domain.backupBegin(job, None, libvirt.VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL))
        return frozen

    def _end_job(self, domain: Any, vm_id: str, fresh: Path) -> None:
        job = self.ask(lambda: read_job(domain))
        if fresh.name in job:
            self.ask(lambda: end_job(domain))
        if fresh.name in job or not job:
            shutil.rmtree(self._storage.served(vm_id), ignore_errors=True)

    def _end(self, copying: Copying, domain: Any) -> None:
        """End its job, and wait until it has ended."""
        self.ask(lambda: end_job(domain))
        for _ in range(END_LOOKS):
            if not self.ask(lambda: read_job(domain)):
                return
            copying.pause(END_LOOK_SECONDS)
        raise ComputeUnavailable(kept("The hypervisor does not let go of the copy."))

    @contextlib.contextmanager
    def _held_still(self, domain: Any, fresh: Path) -> Iterator[bool]:
        """While this lasts the guest writes nothing, if its agent answers. It is let go whatever happens: should we be
        killed, by who goes on with the copy or ends it: a note of it is in that folder."""
        if not self.ask(lambda: has_agent(domain)):
            yield False
            return
        (fresh / HELD).touch()
        self._try_to_let_go(domain, fresh)  # something else may have left it so
        (fresh / HELD).touch()
        try:
            frozen = self.ask(lambda: freeze(domain))
            yield frozen
        finally:
            self._try_to_let_go(domain, fresh)

    def _try_to_let_go(self, domain: Any, fresh: Path) -> None:
        try:
            self._let_go(domain, fresh)
        except ComputeError as error:
            logger.warning("The guest’s agent has not let its file systems go on: %s", error)

    def _let_go(self, domain: Any, fresh: Path) -> None:
        """Let the guest write again, if a copy into that folder may have held it still. Raises ComputeTimeout and
        ComputeUnavailable when it may yet be so; an agent that refuses holds nothing."""
        held = fresh / HELD
        if not held.exists():
            return
        with contextlib.suppress(ComputeRefused, MachineMissing):
            if self.ask(lambda: has_agent(domain)):
                self.ask(lambda: thaw(domain))
        held.unlink(missing_ok=True)


def make_fresh(fresh: Path) -> None:
    """An empty folder, which the hypervisor's user can go through."""
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    fresh.chmod(0o711)


def _make_served(folder: Path, uuid: str) -> None:
    """An empty folder in which the guest's process may make a socket that is for us, too. Raises ComputeRefused,
    OSError."""
    process = host.find_guest_process(uuid)
    if process is None:
        raise ComputeRefused("the guest's process is not to be seen")
    user = Path(f"/proc/{process.pid}").stat().st_uid
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    run_tool(["setfacl", "--modify", f"u:{user}:rwx,d:u:{os.geteuid()}:rw", str(folder)])


def _wait_closed(copying: Copying, copy: Path) -> None:
    """Until the hypervisor has let go of the copy: what it still holds of it is written when it closes it, which may be
    a moment after its job has ended."""
    for _ in range(CLOSE_LOOKS):
        if run_tool(["qemu-img", "info", "-f", "qcow2", str(copy)], fine=(0, 1)).returncode == 0:
            return
        copying.pause(JOB_LOOK_SECONDS)
    raise ComputeUnavailable(kept("The hypervisor does not let go of the copy."))
