"""The files of one machine: DATA/machines/VM_ID/{disk.qcow2,seed.iso,console.log,machine.json}.

A machine's folder appears whole, by one rename, or not at all.
"""

import json
import re
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zentry_web.adapters.compute.base import ComputeRefused, ComputeUnavailable, MachineSpec
from zentry_web.adapters.compute.host import GIB, disk_bytes
from zentry_web.adapters.compute.libvirt_disks import grow_disk, make_disk
from zentry_web.adapters.compute.seed import build_seed

RESERVE_BYTES = GIB  # never promised to a machine
_SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class MachineStorage:
    """Folders of machines under ``machines_dir``."""

    def __init__(self, machines_dir: Path) -> None:
        self.machines_dir = machines_dir

    def folder(self, vm_id: str) -> Path:
        """Where the files of a machine are, or would be."""
        if not _SAFE_ID.fullmatch(vm_id):
            raise ComputeRefused(f"“{vm_id}” is not an id that a machine can have.")
        return self.machines_dir / vm_id

    def disk(self, vm_id: str) -> Path:
        return self.folder(vm_id) / "disk.qcow2"

    def seed(self, vm_id: str) -> Path:
        return self.folder(vm_id) / "seed.iso"

    def console(self, vm_id: str) -> Path:
        return self.folder(vm_id) / "console.log"

    def exists(self, vm_id: str) -> bool:
        """Whether a whole folder is there."""
        return (self.folder(vm_id) / "machine.json").is_file()

    def create(self, spec: MachineSpec) -> bool:
        """Make all files; False if they were there. Raises ComputeRefused (no room) and leaves nothing then."""
        final = self.folder(spec.vm_id)
        self._remove_attempts(spec.vm_id)
        if self.exists(spec.vm_id):
            return False
        attempt: Path | None = None
        try:
            self.machines_dir.mkdir(parents=True, exist_ok=True, mode=0o711)
            if spec.disk_gib * GIB > self.free_bytes():
                raise ComputeRefused(f"The host has no room for a disk of {spec.disk_gib} GiB.")
            attempt = Path(tempfile.mkdtemp(prefix=f".new-{spec.vm_id}-", dir=self.machines_dir))
            _fill(attempt, spec)
            if final.exists():  # without machine.json: left by hand
                self._discard(final)
            attempt.rename(final)
        except OSError as error:
            raise ComputeRefused(f"The machine’s disk could not be made: {error.strerror or error}.") from error
        finally:
            if attempt is not None:
                shutil.rmtree(attempt, ignore_errors=True)
        return True

    def resize(self, spec: MachineSpec) -> None:
        """Note the size of ``spec`` and grow the disk to it. Raises ComputeRefused (no room) and changes nothing then.

        The disk comes first, so that it is never smaller than its note says.
        """
        notes = self.notes(spec.vm_id)
        try:
            if spec.disk_gib > int(notes["disk_gib"]):
                if (spec.disk_gib - int(notes["disk_gib"])) * GIB > self.free_bytes():
                    raise ComputeRefused(f"The host has no room for a disk of {spec.disk_gib} GiB.")
                grow_disk(self.disk(spec.vm_id), spec.disk_gib)
            notes |= {"vcpus": spec.vcpus, "memory_mib": spec.memory_mib, "disk_gib": spec.disk_gib}
            fresh = self.folder(spec.vm_id) / "machine.new"
            fresh.write_text(json.dumps(notes))
            fresh.replace(self.folder(spec.vm_id) / "machine.json")
        except (OSError, KeyError) as error:
            raise ComputeRefused(f"The machine’s files could not be changed: {error}.") from error

    def delete(self, vm_id: str) -> None:
        """Remove everything of a machine, also what a crash left; nothing there is fine."""
        self._remove_attempts(vm_id)
        folder = self.folder(vm_id)
        if folder.exists():
            self._discard(folder)

    def free_bytes(self) -> int:
        """What may still be promised: free space less what existing disks may yet grow by, and a reserve."""
        folder = self.machines_dir if self.machines_dir.exists() else _existing_parent(self.machines_dir)
        _, free = disk_bytes(folder)
        return max(0, free - self._promised() - RESERVE_BYTES)

    def notes(self, vm_id: str) -> dict[str, Any]:
        """What create() wrote about a machine; empty when it cannot be read."""
        try:
            found = json.loads((self.folder(vm_id) / "machine.json").read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _promised(self) -> int:
        total = 0
        for notes in self.machines_dir.glob("[!.]*/machine.json"):
            try:
                size = int(json.loads(notes.read_text())["disk_gib"]) * GIB
                used = (notes.parent / "disk.qcow2").stat().st_blocks * 512
            except (OSError, ValueError, KeyError):
                continue
            total += max(0, size - used)
        return total

    def _remove_attempts(self, vm_id: str) -> None:
        self.folder(vm_id)
        for prefix in (".new-", ".old-"):
            for left in self.machines_dir.glob(f"{prefix}{vm_id}-*"):
                shutil.rmtree(left, ignore_errors=True)

    def _discard(self, folder: Path) -> None:
        # Out of the way by one rename first: a half-removed folder must not look like a machine.
        old = Path(tempfile.mkdtemp(prefix=f".old-{folder.name}-", dir=self.machines_dir))
        try:
            folder.rename(old / "files")
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ComputeUnavailable(f"The machine’s files cannot be removed: {error.strerror}.") from error
        finally:
            shutil.rmtree(old, ignore_errors=True)


def _fill(folder: Path, spec: MachineSpec) -> None:
    folder.chmod(0o711)  # the hypervisor may run as another user, who then is given the files themselves
    make_disk(folder / "disk.qcow2", spec.disk_gib)
    (folder / "seed.iso").write_bytes(build_seed(spec))
    for name in ("disk.qcow2", "seed.iso"):  # user data may hold secrets; libvirt gives both to the hypervisor's user
        (folder / name).chmod(0o600)
    (folder / "console.log").touch()
    notes = asdict(spec) | {"ssh_keys": len(spec.ssh_keys), "user_data": bool(spec.user_data)}
    (folder / "machine.json").write_text(json.dumps(notes))


def _existing_parent(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
