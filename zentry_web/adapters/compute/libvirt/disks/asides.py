"""Disks put aside: DATA/machines/.aside-VM_ID-NAME, a folder as the machine's own was, with disk, seed and note.

A disk is exchanged by two renames of whole folders. Killed between them, doing it again ends it, or takes it back.
"""

import contextlib
import json
import shutil
import tempfile
from pathlib import Path

from zentry_web.adapters.compute.base import ComputeRefused, MachineSpec
from zentry_web.adapters.compute.libvirt.disks.storage import SAFE_ID, MachineStorage
from zentry_web.adapters.compute.libvirt.images.guest_images import GuestImage
from zentry_web.domain.language import kept

GONE = kept("The disk that was put aside is no longer there.")


class DiskAsides:
    """Beside the folders of ``storage``."""

    def __init__(self, storage: MachineStorage) -> None:
        self._storage = storage

    def is_replaced(self, vm_id: str, name: str) -> bool:
        """Whether the present disk took the place of the one put aside under that name."""
        return self._storage.notes(vm_id).get("replaced") == name

    def replace(self, spec: MachineSpec, image: GuestImage, name: str) -> None:
        """Fresh files in the place of those there are, which are put aside. Raises ComputeRefused and has changed
        nothing then."""
        self._path(spec.vm_id, name)
        self.exchange(spec.vm_id, self._storage.build(spec, image, replaced=name), name)

    def begin(self, vm_id: str, name: str) -> Path:
        """A folder as the machine's own, but without a disk: with one it can be exchanged for it. Raises OSError and
        leaves nothing then."""
        self._path(vm_id, name)
        folder = self._storage.folder(vm_id)
        self._storage.remove_attempts(vm_id)
        fresh = Path(tempfile.mkdtemp(prefix=f".new-{vm_id}-", dir=folder.parent))
        try:
            fresh.chmod(0o711)
            shutil.copy2(self._storage.seed(vm_id), fresh)
            (fresh / "console.log").touch(mode=0o600)
            (fresh / "machine.json").write_text(json.dumps(self._storage.notes(vm_id) | {"replaced": name}))
        except OSError:
            shutil.rmtree(fresh, ignore_errors=True)
            raise
        return fresh

    def exchange(self, vm_id: str, fresh: Path, name: str) -> None:
        """The folder ``fresh`` in the place of the machine's own, which is put aside. Raises ComputeRefused and has
        changed nothing then; ``fresh`` is gone in any case."""
        folder, aside = self._storage.folder(vm_id), self._path(vm_id, name)
        try:
            for older in self._all(vm_id):
                if older != aside:
                    shutil.rmtree(older)
            if folder.exists():
                folder.rename(aside)
            fresh.rename(folder)
        except OSError as error:
            if aside.exists() and not folder.exists():
                with contextlib.suppress(OSError):
                    aside.rename(folder)
            raise ComputeRefused(f"The machine’s disk could not be made: {error.strerror or error}.") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def bring_back(self, vm_id: str, name: str) -> bool:
        """The files put aside in the place of those there are; False if there is nothing to bring back. Raises
        ComputeRefused when they are gone."""
        aside = self._path(vm_id, name)
        if not aside.exists():
            if self.is_replaced(vm_id, name):
                raise ComputeRefused(GONE)
            return False
        try:
            if self._storage.folder(vm_id).exists():
                self._storage.discard(vm_id)
            aside.rename(self._storage.folder(vm_id))
        except OSError as error:
            raise ComputeRefused(f"The machine’s files could not be changed: {error}.") from error
        return True

    def drop(self, vm_id: str, name: str) -> None:
        """Remove what was put aside under that name."""
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self._path(vm_id, name))

    def _path(self, vm_id: str, name: str) -> Path:
        if not SAFE_ID.fullmatch(name):
            raise ComputeRefused(f"“{name}” is not a name that a disk put aside can have.")
        folder = self._storage.folder(vm_id)
        return folder.with_name(f".aside-{vm_id}-{name}")

    def _all(self, vm_id: str) -> list[Path]:
        return list(self._storage.machines_dir.glob(f".aside-{vm_id}-*"))
