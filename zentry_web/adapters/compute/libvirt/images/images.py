"""Images on this host: made in a folder aside, put in place by one rename, removed when no machine is based on them."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zentry_web.adapters.compute.base import ComputeRefused, ComputeUnavailable
from zentry_web.adapters.compute.host import GIB, disk_bytes
from zentry_web.adapters.compute.images import ImageFacts, ImageOrder
from zentry_web.adapters.compute.libvirt.disks import foreign_disks
from zentry_web.adapters.compute.libvirt.disks.disks import digest, used_bytes
from zentry_web.adapters.compute.libvirt.disks.storage import COPY_DISK, MachineStorage
from zentry_web.adapters.compute.libvirt.images import fetching
from zentry_web.adapters.compute.libvirt.images.guest_images import (
    DISK,
    INITRD,
    KERNEL,
    MANIFEST,
    get_image,
    list_images,
    read_manifest,
)
from zentry_web.adapters.compute.libvirt.programs import ProgramFailed, run_watched
from zentry_web.adapters.compute.watch import Watch
from zentry_web.domain.vms.image import RECIPES, ImageSource

RECIPE = Path(__file__).parents[2] / "debian" / "build"
INCOMING = ".incoming-"  # how files begin that were brought here for an image
LAST_LINES = 10  # of a build that failed, for its page
RESERVE_BYTES = GIB  # of the host's disk, never filled by an image


class LibvirtImages:
    """``image_dir`` holds the images; ``storage`` knows the machines that are based on them, and copies of disks."""

    def __init__(self, image_dir: Path, storage: MachineStorage) -> None:
        self._dir = image_dir
        self._storage = storage

    def names(self) -> tuple[str, ...]:
        return tuple(image.name for image in list_images(self._dir))

    def make(self, order: ImageOrder, watch: Watch) -> ImageFacts:
        final = self._dir / order.name
        with self._alone(order.name) as work:
            if (final / MANIFEST).is_file():
                shutil.rmtree(work)
                return _facts(final)
            try:
                ways = {ImageSource.BUILD: self._build, ImageSource.MACHINE: self._adopt}
                ready = ways.get(order.source, self._take)(order, work, watch)
                watch.at("place")
                _open(ready)
                facts = _facts(ready)
                ready.rename(final)
            except OSError as error:
                shutil.rmtree(work, ignore_errors=True)
                raise ComputeRefused(f"The image could not be written: {error.strerror or error}.") from error
            except ComputeRefused:
                shutil.rmtree(work, ignore_errors=True)
                raise
            shutil.rmtree(work, ignore_errors=True)
        return facts

    def forget(self, order: ImageOrder) -> None:
        shutil.rmtree(self._work(order.name), ignore_errors=True)
        brought = Path(order.reference)
        if order.source == ImageSource.FILE and brought.parent == self._dir and brought.name.startswith(INCOMING):
            brought.unlink(missing_ok=True)

    def remove(self, name: str) -> bool:
        if name in self._storage.bases():
            return False
        folder = self._dir / name
        (folder / MANIFEST).unlink(missing_ok=True)  # from here on it is none
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self._work(name), ignore_errors=True)
        return True

    # How

    def _work(self, name: str) -> Path:
        return self._dir / f".making-{name}"

    @contextmanager
    def _alone(self, name: str) -> Iterator[Path]:
        """The folder where an image is made; one process at a time."""
        work = self._work(name)
        if not self._dir.exists():
            self._dir.mkdir(parents=True)
            self._dir.chmod(0o711)  # whatever the umask: the hypervisor's user goes through it
        work.mkdir(exist_ok=True, mode=0o700)
        with (work / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ComputeUnavailable("Another process makes this image just now.") from None
            yield work

    def _take(self, order: ImageOrder, work: Path, watch: Watch) -> Path:
        """Bring a disk here, look at it, convert it."""
        limits = order.limits
        if order.source == ImageSource.ADDRESS:
            source = work / "file"
            watch.at("fetch")
            fetching.fetch(order.reference, source, limits, watch)
        else:
            source = Path(order.reference)
        if not source.is_file():
            raise ComputeRefused(f"The file {source.name} is not there any more.")
        watch.at("digest")
        found = digest(source, watch)
        if order.sha256 and found != order.sha256:
            raise ComputeRefused(f"The file is not the one that was named: its SHA-256 is {found}.")
        watch.at("look")
        kind, size = foreign_disks.look_at(source, limits)
        self._require_room(source.stat().st_size * 2)
        watch.at("convert")
        ready = _fresh(work / "ready")
        foreign_disks.convert(source, kind, ready / DISK, limits, watch)
        watch.at("check")
        foreign_disks.check(ready / DISK)
        _write_manifest(ready, size, watch)
        return ready

    def _adopt(self, order: ImageOrder, work: Path, _watch: Watch) -> Path:
        """What a copy of a machine's disk needs to be an image: what its machine boots from beside it."""
        note = self._storage.read_copy(order.reference)
        base = get_image(self._dir, note.image)
        ready = _fresh(work / "ready")
        copy = self._storage.copy(order.reference) / COPY_DISK
        try:
            os.link(copy, ready / DISK)
        except OSError:  # images are kept on another file system
            self._require_room(used_bytes(copy))
            shutil.copyfile(copy, ready / DISK)
        for file, name in ((base.kernel, KERNEL), (base.initrd, INITRD)):
            if file is not None:
                shutil.copyfile(file, ready / name)
        facts = {"disk_bytes": note.disk_bytes, "disk_sha256": note.sha256, "data": base.has_data_disk}
        facts |= {"kernel_version": base.kernel_version, "cmdline": base.cmdline}
        (ready / MANIFEST).write_text(json.dumps(facts))
        return ready

    def _build(self, order: ImageOrder, work: Path, watch: Watch) -> Path:
        """Run the recipe, in a session of its own that ends with this process."""
        if order.reference not in RECIPES:
            raise ComputeRefused(f"There is no recipe “{order.reference}”.")
        self._require_room(4 * GIB)
        ready, room = _fresh(work / "ready"), _fresh(work / "room")
        environment = os.environ | {"TMPDIR": str(room), "HOME": str(room)}

        def hear(text: bytes) -> None:
            for line in text.decode(errors="replace").splitlines():
                if line.startswith("step "):
                    watch.at(line.removeprefix("step "))

        try:
            run_watched([str(RECIPE), order.reference, str(ready)], hear, watch, order.limits.tool_seconds, environment)
        except ProgramFailed as error:
            log, last = self._dir / f".failed-{order.reference}.log", error.output.splitlines()[-LAST_LINES:]
            log.write_text(error.output + "\n")
            told = "\n".join(last) or str(error)
            raise ComputeRefused(
                f"The image could not be built. All its errors are in {log}; the last:\n{told}"
            ) from error
        except ComputeRefused as error:
            raise ComputeRefused(f"The image could not be built: {error}") from error
        return ready

    def _require_room(self, wanted: int) -> None:
        if disk_bytes(self._dir)[1] - RESERVE_BYTES < wanted:
            raise ComputeRefused("The host has not enough room for this image.")


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    return folder


def _write_manifest(folder: Path, size: int, watch: Watch) -> None:
    """The manifest goes last: an image with one is whole."""
    facts = {"disk_bytes": size, "disk_sha256": digest(folder / DISK, watch)}
    (folder / MANIFEST).write_text(json.dumps(facts))


def _facts(folder: Path) -> ImageFacts:
    said = read_manifest(folder / MANIFEST)
    sizes = [file.stat().st_blocks * 512 for file in folder.iterdir() if file.is_file()]
    return ImageFacts(str(said.get("disk_sha256", "")), sum(sizes), int(said.get("disk_bytes", 0)))


def _open(folder: Path) -> None:
    """The hypervisor's user goes through and reads; what the disk holds is for nobody else on the host."""
    folder.chmod(0o711)
    for name, mode in ((DISK, 0o640), (KERNEL, 0o644), (INITRD, 0o644), (MANIFEST, 0o644)):
        if (folder / name).exists():
            (folder / name).chmod(mode)
