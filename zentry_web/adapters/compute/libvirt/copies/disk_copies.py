"""Whole copies of machines' disks: ``MACHINES/.copy-KEY/{disk.qcow2,copy.json}``, which appears by one rename.

The disk of a guest that is on is copied as guest_copies.py says; that of a machine that is off, what a snapshot inside
a disk holds, and a backup, by qemu-img. What a snapshot holds is not written any more while the guest goes on, so it
can be read beside it; one that is deleted in the middle spoils the copy, so it is looked for again at the end.
"""

import contextlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zentry_web.adapters.compute.base import ComputeError, ComputeRefused
from zentry_web.adapters.compute.copies import CopyProgress, DiskSource
from zentry_web.adapters.compute.host import GIB, disk_bytes
from zentry_web.adapters.compute.libvirt.copies.backups import LibvirtBackups, check_unchanged
from zentry_web.adapters.compute.libvirt.copies.copying import Copying, Copyings
from zentry_web.adapters.compute.libvirt.copies.guest_copies import COPIED, GuestCopies, make_fresh
from zentry_web.adapters.compute.libvirt.disks import foreign_disks
from zentry_web.adapters.compute.libvirt.disks.disks import keep, run_tool, sync, used_bytes
from zentry_web.adapters.compute.libvirt.disks.storage import (
    COPY_DISK,
    COPY_NOTE,
    DiskCopy,
    MachineStorage,
    open_to_pass,
)
from zentry_web.adapters.compute.libvirt.foreign import check_definition
from zentry_web.adapters.compute.libvirt.images.guest_images import get_image
from zentry_web.adapters.compute.words import NO_SUCH_SNAPSHOT


class LibvirtDiskCopies:
    """See DiskCopies."""

    def __init__(self, guests: GuestCopies, storage: MachineStorage, image_dir: Path, backups: LibvirtBackups) -> None:
        self._guests, self._storage, self._image_dir, self._backups = guests, storage, image_dir, backups
        self._copies = Copyings()

    def begin(self, key: str, source: DiskSource, *, disk_gib: int = 0) -> None:
        if self._is_whole(key) or self._copies.is_under_way(key):
            return
        if source.backup:
            self._backups.packed(source.backup)
            self._check_room_for(disk_gib)
            self._copies.begin(key, lambda copying: self._copy(copying, key, source, None))
            return
        domain = self._guests.need(source.vm_id)
        disk = self._storage.disk(source.vm_id)
        is_on = bool(self._guests.ask(lambda: domain.isActive()))
        if source.snapshot:
            if source.snapshot not in _snapshots(disk):
                raise ComputeRefused(NO_SUCH_SNAPSHOT)
        else:
            self._guests.ask(lambda: check_definition(domain, disk, self._storage.seed(source.vm_id)))
        self._check_room(source.vm_id, disk, disk_gib)
        self._copies.begin(key, lambda copying: self._copy(copying, key, source, domain if is_on else None))

    def progress(self, key: str) -> CopyProgress | None:
        if self._is_whole(key):
            self._copies.forget(key)
            return CopyProgress(1.0, whole=True)
        part = self._copies.part(key)
        return None if part is None else CopyProgress(part)

    def drop(self, key: str) -> None:
        self._copies.abort(key)
        fresh = self._fresh(key)
        with contextlib.suppress(OSError, KeyError, ValueError):  # begun by a worker that was killed
            vm_id = json.loads((fresh.with_suffix(".of")).read_text())["vm_id"]
            if (domain := self._guests.find(vm_id)) is not None:
                self._guests.end(domain, vm_id, fresh)
        for folder in (fresh, self._storage.copy(key)):
            shutil.rmtree(folder, ignore_errors=True)
        fresh.with_suffix(".of").unlink(missing_ok=True)

    def stored(self) -> tuple[str, ...]:
        found = [*self._storage.machines_dir.glob(".copy-*"), *self._storage.machines_dir.glob(".copying-*")]
        return tuple(sorted({path.stem.split("-", 1)[1] for path in found}))

    def close(self) -> None:
        """End what is under way."""
        self._copies.close()

    # How

    def _copy(self, copying: Copying, key: str, source: DiskSource, domain: Any) -> None:
        fresh = self._fresh(key)
        target = fresh / COPY_DISK
        try:
            open_to_pass(fresh.parent)
            fresh.with_suffix(".of").write_text(json.dumps({"vm_id": source.vm_id}))
            self._write(copying, source, domain, fresh, target)
            target.chmod(0o600)
            foreign_disks.check(target)
            image = str(self._storage.notes(source.vm_id).get("image", ""))  # '': only a backup of it is left
            size = int(_info(target)["virtual-size"])
            note = DiskCopy(image, size, keep(target, copying.watch))
            (fresh / COPY_NOTE).write_text(json.dumps(asdict(note)))
            sync(fresh / COPY_NOTE)
            fresh.rename(self._storage.copy(key))
            fresh.with_suffix(".of").unlink(missing_ok=True)
        except BaseException:
            with contextlib.suppress(ComputeError):  # it is dropped later where a job cannot be ended now
                if domain is not None:
                    self._guests.end(domain, source.vm_id, fresh)
                shutil.rmtree(fresh, ignore_errors=True)
                fresh.with_suffix(".of").unlink(missing_ok=True)
            raise

    def _write(self, copying: Copying, source: DiskSource, domain: Any, fresh: Path, target: Path) -> None:
        disk, plain = self._storage.disk(source.vm_id), ["-f", "qcow2", "-O", "qcow2"]
        if source.backup:
            make_fresh(fresh)
            packed, notes = self._backups.packed(source.backup)
            check_unchanged(packed, notes, copying.watch)
            copying.convert([*plain, str(packed), str(target)], 0.1, COPIED)
        elif source.snapshot:
            make_fresh(fresh)
            before = _snapshots(disk).get(source.snapshot)
            name = ["-U", "-l", f"snapshot.name={source.snapshot}"]
            copying.convert([*name, *plain, str(disk), str(target)], 0.0, COPIED)
            if before is None or _snapshots(disk).get(source.snapshot) != before:
                raise ComputeRefused(NO_SUCH_SNAPSHOT)
        elif domain is not None:
            self._guests.prepare(copying, domain, source.vm_id, fresh)
            self._guests.copy(copying, domain, source.vm_id, target, ["-O", "qcow2"])
        else:
            self._guests.prepare(copying, None, source.vm_id, fresh)
            copying.convert([*plain, str(disk), str(target)], 0.0, COPIED)

    def _check_room(self, vm_id: str, disk: Path, disk_gib: int) -> None:
        base = get_image(self._image_dir, str(self._storage.notes(vm_id).get("image"))).disk
        wanted = used_bytes(disk) + (used_bytes(base) if base else 0)
        free = disk_bytes(self._storage.machines_dir)[1] - GIB
        if wanted > free:
            raise ComputeRefused(
                f"The host has no room for a copy of the disk: {wanted / GIB:.1f} GiB are needed, "
                f"{max(free, 0) / GIB:.1f} GiB are free."
            )
        self._check_room_for(disk_gib)

    def _check_room_for(self, disk_gib: int) -> None:
        if disk_gib * GIB > self._storage.free_bytes():
            raise ComputeRefused(f"The host has no room for a disk of {disk_gib} GiB.")

    def _is_whole(self, key: str) -> bool:
        return (self._storage.copy(key) / COPY_NOTE).is_file()

    def _fresh(self, key: str) -> Path:
        whole = self._storage.copy(key)  # refuses what is no key
        return whole.with_name(f".copying-{key}")


def _snapshots(disk: Path) -> dict[str, tuple[Any, ...]]:
    """By name, what tells a snapshot inside the disk from another that was taken later under its name."""
    found = _info(disk).get("snapshots", ())
    return {each["name"]: (each.get("id"), each.get("date-sec"), each.get("date-nsec")) for each in found}


def _info(disk: Path) -> dict[str, Any]:
    command = ["qemu-img", "info", "--force-share", "-f", "qcow2", "--output=json", str(disk)]
    return dict(json.loads(run_tool(command).stdout))
