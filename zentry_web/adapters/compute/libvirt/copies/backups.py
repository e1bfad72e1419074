"""Backups on libvirt: ``PLACE/BACKUP_ID/{disk.qcow2,backup.json}``, which appears whole, by one rename, or not at all.

The disk of a guest that is on is copied through libvirt's backup job (guest_copies.py), that of a machine that is off
by qemu-img. Both end as a compressed qcow2 with its digest.
"""

import contextlib
import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zentry_web.adapters.compute import host
from zentry_web.adapters.compute.backups import BackupProgress
from zentry_web.adapters.compute.base import ComputeError, ComputeRefused, ComputeUnavailable, MachineMissing
from zentry_web.adapters.compute.libvirt.copies.copying import Copying, Copyings
from zentry_web.adapters.compute.libvirt.copies.guest_copies import COPIED, GuestCopies
from zentry_web.adapters.compute.libvirt.definitions import LibvirtDefinitions
from zentry_web.adapters.compute.libvirt.disks import foreign_disks
from zentry_web.adapters.compute.libvirt.disks.asides import DiskAsides
from zentry_web.adapters.compute.libvirt.disks.disks import digest, grow_disk, grow_layer, keep, sync, used_bytes
from zentry_web.adapters.compute.libvirt.disks.storage import MachineStorage, open_to_pass
from zentry_web.adapters.compute.libvirt.foreign import check_definition
from zentry_web.adapters.compute.watch import Watch
from zentry_web.adapters.compute.words import BACKUP_CHANGED, NO_PLACE, NO_SUCH_BACKUP, OFF_FIRST, SAME_DISK
from zentry_web.domain.language import kept

PACKED = ["-c", "-o", "compression_type=zstd", "-O", "qcow2"]
AT_ONCE = ["-W", "-m", "8"]  # clusters are packed on several processors, and written in any order


@dataclass(frozen=True, slots=True)
class BackupPlace:
    """Where backups go; None: none are made. ``same_disk``: it may be on the file system of the machines themselves."""

    folder: Path | None = None
    same_disk: bool = False


NOWHERE = BackupPlace()


class LibvirtBackups:
    """A ``BackupDriver`` that keeps backups in ``place``."""

    def __init__(
        self,
        place: BackupPlace,
        guests: GuestCopies,
        storage: MachineStorage,
        definitions: LibvirtDefinitions,
    ) -> None:
        self._place = place.folder
        self._guests = guests
        self._storage = storage
        self._definitions = definitions
        self._same_disk = place.same_disk
        self._copies = Copyings()  # by backup
        self._returns = Copyings()  # by key
        self._asides = DiskAsides(storage)

    def trouble(self) -> str:
        if self._place is None:
            return NO_PLACE
        try:
            open_to_pass(self._place.parent)  # the hypervisor may run as another user, who then is given the files
            open_to_pass(self._place)
            is_same = self._place.stat().st_dev == self._storage.file_system()
        except OSError as error:
            return f"The place for backups cannot be used: {error.strerror or error}."
        return SAME_DISK if is_same and not self._same_disk else ""

    def room(self) -> tuple[int, int]:
        with contextlib.suppress(OSError):
            if self._place is not None:
                return host.disk_bytes(self._place)
        return 0, 0

    def begin(self, vm_id: str, backup_id: str) -> None:
        if trouble := self.trouble():
            raise ComputeRefused(trouble)
        if self._notes(backup_id) is not None or self._copies.is_under_way(backup_id):
            return
        domain = self._guests.need(vm_id)
        is_on = self._guests.ask(lambda: domain.isActive())
        self._guests.ask(lambda: check_definition(domain, self._storage.disk(vm_id), self._storage.boot_seed(vm_id)))
        self._check_room(self._storage.disk(vm_id))
        self._copies.begin(backup_id, lambda copying: self._copy(copying, vm_id, backup_id, domain, bool(is_on)))

    def progress(self, backup_id: str) -> BackupProgress | None:
        if (notes := self._notes(backup_id)) is not None:
            self._copies.forget(backup_id)
            return notes
        return _progress(self._copies.part(backup_id))

    def abort(self, vm_id: str, backup_id: str) -> None:
        self._copies.abort(backup_id)
        fresh = self._fresh(backup_id)
        if (domain := self._guests.find(vm_id)) is not None:  # begun by a worker that was killed
            self._guests.end(domain, vm_id, fresh)
        shutil.rmtree(fresh, ignore_errors=True)

    def restore(self, vm_id: str, backup_id: str, key: str) -> None:
        if self._is_restored(vm_id, key) or self._returns.is_under_way(key):
            return
        packed, notes = self.packed(backup_id)
        domain = self._guests.need(vm_id)
        if self._guests.ask(lambda: domain.isActive()):
            raise ComputeRefused(OFF_FIRST)
        self._definitions.check_resize(domain, vm_id)
        size = int(self._storage.notes(vm_id).get("disk_gib") or 0)
        if notes.disk_gib > size:
            raise ComputeRefused(f"The backup holds a disk of {notes.disk_gib} GiB, and the machine’s is smaller.")
        if size * host.GIB > self._storage.free_bytes():
            raise ComputeRefused(f"The host has no room for a disk of {size} GiB beside the one that is there.")
        self._returns.begin(key, lambda copying: self._return(copying, vm_id, key, packed, notes))

    def restoring(self, vm_id: str, key: str) -> BackupProgress | None:
        if self._is_restored(vm_id, key):
            self._returns.forget(key)
            return BackupProgress(1.0, whole=True)
        return _progress(self._returns.part(key))

    def abandon(self, vm_id: str, key: str) -> None:
        self._returns.abort(key)
        self._storage.remove_attempts(vm_id)  # begun by a worker that was killed

    def delete(self, backup_id: str) -> None:
        folder = self._folder(backup_id)
        try:
            if folder.exists():
                # Out of the way by one rename first: a half-removed folder must not look like a backup.
                folder.replace(self._fresh(backup_id))
            shutil.rmtree(self._fresh(backup_id))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ComputeUnavailable(f"The backup cannot be removed: {error.strerror or error}.") from error

    def stored(self) -> tuple[str, ...]:
        if self._place is None or not self._place.is_dir():
            return ()
        return tuple(sorted(found.parent.name for found in self._place.glob("[!.]*/backup.json")))

    def close(self) -> None:
        """End what is under way; the next worker begins it again."""
        self._copies.close()
        self._returns.close()

    def packed(self, backup_id: str) -> tuple[Path, BackupProgress]:
        """The file of one that is whole, and what is known of it. Raises ComputeRefused when it is not there."""
        notes = self._notes(backup_id)
        if notes is None:
            raise ComputeRefused(NO_SUCH_BACKUP)
        return self._folder(backup_id) / "disk.qcow2", notes

    # How: a copy

    def _copy(self, copying: Copying, vm_id: str, backup_id: str, domain: Any, is_on: bool) -> None:
        fresh = self._fresh(backup_id)
        packed = fresh / "disk.qcow2"
        try:
            frozen = False
            self._guests.prepare(copying, domain if is_on else None, vm_id, fresh)
            options = [*PACKED, *AT_ONCE]
            if is_on:
                frozen = self._guests.copy(copying, domain, vm_id, packed, options)
            else:
                copying.convert(["-f", "qcow2", *options, str(self._storage.disk(vm_id)), str(packed)], 0.0, COPIED)
            foreign_disks.check(packed)
            size = int(self._storage.notes(vm_id).get("disk_gib") or 0)
            notes = BackupProgress(1.0, True, used_bytes(packed), size, keep(packed, copying.watch), frozen)
            facts = fresh / "backup.json"
            facts.write_text(json.dumps(asdict(notes) | {"vm_id": vm_id, "at": time.time()}))
            sync(facts)
            fresh.rename(self._folder(backup_id))
        except BaseException:
            with contextlib.suppress(ComputeError):  # it is aborted later where it cannot be ended now
                self._guests.end(domain, vm_id, fresh)
                shutil.rmtree(fresh, ignore_errors=True)
            raise

    # How: a return

    def _return(self, copying: Copying, vm_id: str, key: str, packed: Path, notes: BackupProgress) -> None:
        facts = self._storage.notes(vm_id)
        fresh = self._asides.begin(vm_id, key)
        try:
            check_unchanged(packed, notes, copying.watch)
            disk = fresh / "disk.qcow2"
            copying.convert(["-f", "qcow2", "-O", "qcow2", str(packed), str(disk)], 0.1, 0.9)
            disk.chmod(0o600)
            if int(facts["disk_gib"]) > notes.disk_gib:
                grow = grow_layer if facts.get("layered") else grow_disk
                grow(disk, int(facts["disk_gib"]))
            copying.watch.check()
            if not self._storage.exists(vm_id):
                raise MachineMissing(kept("The machine does not exist on the host."))
            self._asides.exchange(vm_id, fresh, key)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _is_restored(self, vm_id: str, key: str) -> bool:
        return self._asides.is_replaced(vm_id, key)

    # How: shared

    def _check_room(self, disk: Path) -> None:
        assert self._place is not None
        wanted = used_bytes(disk)
        free = host.disk_bytes(self._place)[1] - host.GIB
        if wanted > free:
            raise ComputeRefused(
                f"The place for backups has no room: {wanted / host.GIB:.1f} GiB are needed, "
                f"{max(free, 0) / host.GIB:.1f} GiB are free."
            )

    def _folder(self, backup_id: str) -> Path:
        if self._place is None:
            raise ComputeRefused(NO_PLACE)
        self._storage.folder(backup_id)  # refuses what is no id
        return self._place / backup_id

    def _fresh(self, backup_id: str) -> Path:
        folder = self._folder(backup_id)
        return folder.with_name(f".new-{folder.name}")

    def _notes(self, backup_id: str) -> BackupProgress | None:
        try:
            found = json.loads((self._folder(backup_id) / "backup.json").read_text())
            return BackupProgress(**{name: found[name] for name in BackupProgress.__dataclass_fields__})
        except (OSError, ValueError, KeyError, TypeError):
            return None


def check_unchanged(packed: Path, notes: BackupProgress, watch: Watch) -> None:
    """Raises ComputeRefused when a backup's file is not what was written, and Stopped."""
    if digest(packed, watch) != notes.sha256:
        raise ComputeRefused(BACKUP_CHANGED)


def _progress(part: float | None) -> BackupProgress | None:
    return None if part is None else BackupProgress(part)
