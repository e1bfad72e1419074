"""The files of one machine: DATA/machines/VM_ID/{disk.qcow2,seed.iso,console.log,machine.json}.

A machine's folder appears whole, by one rename, or not at all.
"""

import json
import os
import re
import secrets
import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from zentry_web.adapters.compute.base import ComputeError, ComputeRefused, ComputeUnavailable, MachineSpec
from zentry_web.adapters.compute.host import GIB, disk_bytes
from zentry_web.adapters.compute.libvirt.disks.disks import grow_disk, grow_layer, make_disk, make_layer
from zentry_web.adapters.compute.libvirt.disks.seed import build_seed
from zentry_web.adapters.compute.libvirt.foreign import check_overlays
from zentry_web.adapters.compute.libvirt.images.guest_images import GuestImage
from zentry_web.adapters.compute.words import NO_SUCH_COPY

ELSEWHERE = "disk-elsewhere"
NOTES_MOST = 65_536  # characters; they take some hundred
RESERVE_BYTES = GIB  # never promised to a machine
COPY_DISK, COPY_NOTE = "disk.qcow2", "copy.json"
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class DiskCopy:
    """What is noted of a copy that is whole."""

    image: str  # from which the machine was made
    disk_bytes: int  # what a guest sees
    sha256: str  # of the file


class MachineStorage:
    """Folders of machines under ``machines_dir``."""

    def __init__(self, machines_dir: Path) -> None:
        self.machines_dir = machines_dir

    def folder(self, vm_id: str) -> Path:
        """Where the files of a machine are, or would be."""
        if not SAFE_ID.fullmatch(vm_id):
            raise ComputeRefused(f"“{vm_id}” is not an id that a machine can have.")
        return self.machines_dir / vm_id

    def copy(self, key: str) -> Path:
        """Where a whole copy of a disk is, or would be (disk_copies.py)."""
        return self.folder(key).with_name(f".copy-{key}")

    def served(self, vm_id: str) -> Path:
        """Where a guest's disk is served while it is copied (guest_copies.py). Short, as a socket's path may have 107
        bytes."""
        return self.folder(vm_id).with_name(f".nbd-{vm_id[-8:]}")

    def read_copy(self, key: str) -> DiskCopy:
        """Raises ComputeRefused when it is not there."""
        found = _read_notes(self.copy(key) / COPY_NOTE)
        try:
            return DiskCopy(**{name: found[name] for name in DiskCopy.__dataclass_fields__})
        except KeyError:
            raise ComputeRefused(NO_SUCH_COPY) from None

    def disk(self, vm_id: str) -> Path:
        return self.folder(vm_id) / "disk.qcow2"

    def seed(self, vm_id: str) -> Path:
        return self.folder(vm_id) / "seed.iso"

    def boot_seed(self, vm_id: str) -> Path:
        """The seed of the system that it boots: its own, or that of the rescue system."""
        return self._rescue_seed(vm_id) if self.is_in_rescue(vm_id) else self.seed(vm_id)

    def is_in_rescue(self, vm_id: str) -> bool:
        """Whether it boots the rescue system."""
        return bool(self.notes(vm_id).get("rescue"))

    def set_rescue(self, spec: MachineSpec, password_hash: str) -> None:
        """Write the seed of the rescue system, for a machine as in ``spec``, and note that it boots that; '' for a
        hash: its own system again. Raises ComputeRefused."""
        seed, notes = self._rescue_seed(spec.vm_id), self.notes(spec.vm_id)
        try:
            if password_hash:
                seed.write_bytes(build_seed(spec, password_hash))
                seed.chmod(0o600)
            self._note(spec.vm_id, notes | {"rescue": bool(password_hash)})
        except OSError as error:
            raise ComputeRefused(f"The machine’s files could not be changed: {error}.") from error

    def forget_rescue(self, vm_id: str) -> None:
        """Remove that seed: who got in is nobody's business any more. Success if there is none."""
        self._rescue_seed(vm_id).unlink(missing_ok=True)

    def _rescue_seed(self, vm_id: str) -> Path:
        return self.folder(vm_id) / "rescue.iso"

    def console(self, vm_id: str) -> Path:
        return self.folder(vm_id) / "console.log"

    def check_left(self, vm_id: str) -> None:
        """Raises ComputeRefused when the disk, all that is left of a machine, is not what its guest saw last."""
        elsewhere = self._read_elsewhere(vm_id)
        if elsewhere and Path(elsewhere).exists():
            raise ComputeRefused(
                f"What the machine wrote last is in {Path(elsewhere).name}, a snapshot that somebody made on the host. "
                "Zentry leaves it as it is; the operator can merge it."
            )
        check_overlays(self.disk(vm_id))

    def note_disk(self, vm_id: str, path: str) -> None:
        """Remember where a running guest writes when that is not its own disk: its definition may be lost, and with
        it whatever else tells."""
        elsewhere = "" if path == str(self.disk(vm_id)) else path
        if self._read_elsewhere(vm_id) != elsewhere and self.folder(vm_id).is_dir():
            (self.folder(vm_id) / ELSEWHERE).write_text(elsewhere)

    def _read_elsewhere(self, vm_id: str) -> str:
        try:
            return (self.folder(vm_id) / ELSEWHERE).read_text()
        except OSError:
            return ""

    def exists(self, vm_id: str) -> bool:
        """Whether a whole folder is there."""
        return (self.folder(vm_id) / "machine.json").is_file()

    def create(self, spec: MachineSpec, image: GuestImage) -> bool:
        """Make all files; False if they were there. Raises ComputeRefused (no room) and leaves nothing then."""
        final = self.folder(spec.vm_id)
        self.remove_attempts(spec.vm_id)
        if self.exists(spec.vm_id):
            return False
        attempt = self.build(spec, image)
        try:
            if final.exists():  # without machine.json: left by hand
                if any(final.glob("disk*")):
                    raise ComputeRefused(
                        "On the host there is a disk of this machine without Zentry’s note beside it. Zentry leaves it "
                        "as it is."
                    )
                self.discard(spec.vm_id)
            attempt.rename(final)
        except OSError as error:
            raise ComputeRefused(f"The machine’s disk could not be made: {error.strerror or error}.") from error
        finally:
            shutil.rmtree(attempt, ignore_errors=True)
        return True

    def build(self, spec: MachineSpec, image: GuestImage, *, replaced: str = "") -> Path:
        """All files of a machine in a folder beside its own, which is to be renamed to that; ``replaced`` names what
        they take the place of. Raises ComputeRefused (no room) and leaves nothing then."""
        attempt: Path | None = None
        try:
            open_to_pass(self.machines_dir)
            self.remove_attempts(spec.vm_id)
            least = self.read_copy(spec.copy).disk_bytes if spec.copy else image.disk_bytes
            if spec.disk_gib * GIB < least:
                raise ComputeRefused(f"This image needs a disk of at least {-(-least // GIB)} GiB.")
            if spec.disk_gib * GIB > self.free_bytes(but=spec.vm_id):
                raise ComputeRefused(f"The host has no room for a disk of {spec.disk_gib} GiB.")
            attempt = Path(tempfile.mkdtemp(prefix=f".new-{spec.vm_id}-", dir=self.machines_dir))
            self._fill(attempt, spec, image, replaced)
        except (OSError, ComputeError) as error:
            if attempt is not None:
                shutil.rmtree(attempt, ignore_errors=True)
            if isinstance(error, ComputeError):
                raise
            raise ComputeRefused(f"The machine’s disk could not be made: {error.strerror or error}.") from error
        return attempt

    def _fill(self, folder: Path, spec: MachineSpec, image: GuestImage, replaced: str) -> None:
        folder.chmod(0o711)  # the hypervisor may run as another user, who then is given the files themselves
        self._make_disk(folder / "disk.qcow2", spec, image)
        (folder / "seed.iso").write_bytes(build_seed(spec))
        for name in ("disk.qcow2", "seed.iso"):  # user data may hold secrets; libvirt gives both to its user
            (folder / name).chmod(0o600)
        (folder / "console.log").touch(mode=0o600)
        notes = asdict(spec) | {"ssh_keys": len(spec.ssh_keys), "user_data": bool(spec.user_data)}
        notes["layered"] = not image.has_data_disk
        notes |= {"replaced": replaced} if replaced else {}
        (folder / "machine.json").write_text(json.dumps(notes))

    def _make_disk(self, path: Path, spec: MachineSpec, image: GuestImage) -> None:
        grow = grow_disk if image.has_data_disk else grow_layer
        if spec.copy:
            os.link(self.copy(spec.copy) / COPY_DISK, path)  # the copy stays whole until it is dropped
            grow(path, spec.disk_gib)
        elif image.disk is None:
            make_disk(path, spec.disk_gib)
        elif image.has_data_disk:  # nothing in the guest would make its file system larger
            shutil.copyfile(image.disk, path)
            grow(path, spec.disk_gib)
        else:
            make_layer(path, image.disk, spec.disk_gib)

    def resize(self, spec: MachineSpec) -> None:
        """Note the size of ``spec`` and grow the disk to it. Raises ComputeRefused (no room) and changes nothing then.

        The disk comes first, so that it is never smaller than its note says.
        """
        notes = self.notes(spec.vm_id)
        try:
            if spec.disk_gib > int(notes["disk_gib"]):
                if (spec.disk_gib - int(notes["disk_gib"])) * GIB > self.free_bytes():
                    raise ComputeRefused(f"The host has no room for a disk of {spec.disk_gib} GiB.")
                grow = grow_layer if notes.get("layered") else grow_disk
                grow(self.disk(spec.vm_id), spec.disk_gib)
            notes |= {"vcpus": spec.vcpus, "memory_mib": spec.memory_mib, "disk_gib": spec.disk_gib}
            self._note(spec.vm_id, notes)
        except (OSError, KeyError) as error:
            raise ComputeRefused(f"The machine’s files could not be changed: {error}.") from error

    def rename(self, spec: MachineSpec, *, in_place: bool) -> None:
        """Write the seed anew with the name in ``spec``, and note it. ``in_place``: into the file that a running guest
        has open, where that can be. Raises ComputeRefused.

        The seed comes first, so that a note never says what no seed does.
        """
        notes, seed = self.notes(spec.vm_id), self.seed(spec.vm_id)
        content = build_seed(spec)
        try:
            if not (in_place and _overwrite(seed, content)):
                fresh = seed.with_suffix(".new")
                fresh.write_bytes(content)
                fresh.chmod(0o600)
                fresh.replace(seed)
            self._note(spec.vm_id, notes | {"name": spec.name})
        except OSError as error:
            raise ComputeRefused(f"The machine’s files could not be changed: {error}.") from error

    def _note(self, vm_id: str, notes: dict[str, Any]) -> None:
        fresh = self.folder(vm_id) / "machine.new"
        fresh.write_text(json.dumps(notes))
        fresh.replace(self.folder(vm_id) / "machine.json")

    def delete(self, vm_id: str) -> None:
        """Remove everything of a machine, also what a crash left and what was put aside; nothing there is fine."""
        self.remove_attempts(vm_id)
        for aside in self.machines_dir.glob(f".aside-{vm_id}-*"):
            shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(self.served(vm_id), ignore_errors=True)
        if self.folder(vm_id).exists():
            self.discard(vm_id)

    def file_system(self) -> int:
        """Which file system they are on, or would be. Raises OSError."""
        return _existing_parent(self.machines_dir).stat().st_dev

    def free_bytes(self, *, but: str = "") -> int:
        """What may still be promised: free space less what existing disks (``but`` that of one machine) may yet grow
        by, and a reserve."""
        folder = self.machines_dir if self.machines_dir.exists() else _existing_parent(self.machines_dir)
        _, free = disk_bytes(folder)
        return max(0, free - self._promised(but) - RESERVE_BYTES)

    def notes(self, vm_id: str) -> dict[str, Any]:
        """What create() wrote about a machine; empty when it cannot be read."""
        return _read_notes(self.folder(vm_id) / "machine.json")

    def spec(self, vm_id: str) -> MachineSpec | None:
        """What the notes say a machine was made as; None when they say nothing that can be used."""
        if not SAFE_ID.fullmatch(vm_id):
            return None
        notes = self.notes(vm_id)
        texts = {name: notes.get(name) for name in ("name", "image")}
        numbers = {name: notes.get(name) for name in ("vcpus", "memory_mib", "disk_gib")}
        if not all(isinstance(text, str) and 0 < len(text) <= 63 and text.isprintable() for text in texts.values()):
            return None
        if not all(type(number) is int and 0 < number < 2**31 for number in numbers.values()):
            return None
        return MachineSpec(vm_id=vm_id, **texts, **numbers)  # type: ignore[arg-type]  # as was just looked at

    def bases(self) -> set[str]:
        """The images that machines of this host, and disks put aside, were made from."""
        notes = [*self.machines_dir.glob("[!.]*/machine.json"), *self.machines_dir.glob(".aside-*/machine.json")]
        return {str(_read_notes(note).get("image", "")) for note in notes}

    def _promised(self, but: str) -> int:
        total = 0
        for notes in self.machines_dir.glob("[!.]*/machine.json"):
            if notes.parent.name == but:
                continue
            try:
                size = int(json.loads(notes.read_text())["disk_gib"]) * GIB
                used = (notes.parent / "disk.qcow2").stat().st_blocks * 512
            except (OSError, ValueError, KeyError):
                continue
            total += max(0, size - used)
        return total

    def remove_attempts(self, vm_id: str) -> None:
        """What a killed worker had not brought to its end."""
        self.folder(vm_id)
        for prefix in (".new-", ".old-"):
            for left in self.machines_dir.glob(f"{prefix}{vm_id}-*"):
                shutil.rmtree(left, ignore_errors=True)

    def discard(self, vm_id: str) -> None:
        """Remove a machine's folder."""
        folder = self.folder(vm_id)
        # Out of the way by one rename first: a half-removed folder must not look like a machine. It takes no room: on a
        # disk that is full this is how one makes some.
        old = folder.with_name(f".old-{folder.name}-{secrets.token_hex(4)}")
        try:
            folder.rename(old)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ComputeUnavailable(f"The machine’s files cannot be removed: {error.strerror}.") from error
        finally:
            shutil.rmtree(old, ignore_errors=True)


def _read_notes(path: Path) -> dict[str, Any]:
    try:
        with path.open() as file:
            found = json.loads(file.read(NOTES_MOST))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _overwrite(path: Path, content: bytes) -> bool:
    """Write over a file of the same size, which somebody has open; False when that cannot be."""
    try:
        with path.open("r+b") as file:
            if file.seek(0, 2) != len(content):
                return False
            file.seek(0)
            file.write(content)
            return True
    except PermissionError:  # given to the hypervisor's user
        return False


def open_to_pass(folder: Path) -> None:
    """Make a folder that the hypervisor's user may pass through; one that is there stays as it is."""
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)  # whatever the umask: the hypervisor's user goes through it


def _existing_parent(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
