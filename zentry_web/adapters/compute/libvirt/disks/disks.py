"""Disks: made with a file system, made larger with it, and what their files take and hold."""

import contextlib
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from zentry_web.adapters.compute.base import ComputeRefused, ComputeUnavailable
from zentry_web.adapters.compute.host import GIB, MIB
from zentry_web.adapters.compute.watch import Watch

TOOL_SECONDS = 120
COPY_SECONDS = 4 * 3600  # of a whole disk, which may be large
_BLOCK = MIB // 4
# mke2fs lives in /sbin, which an ordinary user's path lacks on Debian.
_PATH = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"
_CORRECTED = (0, 1)  # e2fsck: clean, or made clean


def make_disk(path: Path, size_gib: int) -> None:
    """A qcow2 disk that holds an empty ext4 file system labelled zentry-data."""
    with _raw(path) as raw:
        with raw.open("wb") as file:
            file.truncate(size_gib * GIB)
        # The file is all zeroes, so neither mke2fs nor the guest need write zeroes into it.
        options = ["-E", "assume_storage_prezeroed=1,nodiscard", "-m", "0", "-L", "zentry-data"]
        _run(["mke2fs", "-q", "-F", "-t", "ext4", *options, str(raw)])
        _run(["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", str(raw), str(path)])


def make_layer(path: Path, base: Path, size_gib: int) -> None:
    """A disk that begins as ``base`` and takes room only for what is written to it: made in a moment, whatever the
    size. Nothing is read of the base, which may be the hypervisor's alone to read while guests run on it."""
    _run(["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "qcow2", "-b", str(base), str(path), f"{size_gib}G"])


def grow_layer(path: Path, size_gib: int) -> None:
    """Make a disk that is a layer on an image larger; the guest grows what is on it when it starts. QEMU writes the
    new size last: killed before, nothing has changed. Raises ComputeRefused."""
    _run(["qemu-img", "resize", "-q", "-f", "qcow2", str(path), f"{size_gib}G"])


def grow_disk(path: Path, size_gib: int) -> None:
    """Make a disk larger, and the file system on it if it is the one that Zentry made.

    The new disk is made beside the old one and takes its place by a rename: killed in between, nothing has changed.
    What somebody has partitioned otherwise only gets the room. Raises ComputeRefused.
    """
    fresh = path.with_suffix(".growing")
    try:
        with _raw(fresh) as raw:
            _run(["qemu-img", "convert", "-q", "-f", "qcow2", "-O", "raw", str(path), str(raw)], seconds=COPY_SECONDS)
            os.truncate(raw, size_gib * GIB)
            if _run(["e2fsck", "-f", "-p", str(raw)], fine=_CORRECTED, seconds=COPY_SECONDS):
                _run(["resize2fs", str(raw)], seconds=COPY_SECONDS)
            _run(["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", str(raw), str(fresh)], seconds=COPY_SECONDS)
        shutil.copymode(path, fresh)
        fresh.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()


def used_bytes(disk: Path) -> int:
    """What a disk's file takes of the host's disk; 0 when it cannot be said."""
    with contextlib.suppress(OSError):
        return disk.stat().st_blocks * 512
    return 0


def digest(path: Path, watch: Watch) -> str:
    """The SHA-256 of a file, in hex. Raises Stopped."""
    total, done, sums = path.stat().st_size, 0, hashlib.sha256()
    block = memoryview(bytearray(_BLOCK))
    with path.open("rb", buffering=0) as file:
        while read := file.readinto(block):
            watch.check()
            sums.update(block[:read])
            done += read
            watch.done(done, total)
    return sums.hexdigest()


def keep(path: Path, watch: Watch) -> str:
    """The SHA-256 of a file that was just written; it is on the disk by then, too. Raises Stopped, OSError."""
    with ThreadPoolExecutor(1, "disk-sync") as pool:
        synced = pool.submit(sync, path)
        found = digest(path, watch)
        synced.result()
    return found


def sync(path: Path) -> None:
    """Wait until what was written into a file is on the disk. Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def _raw(path: Path) -> Iterator[Path]:
    raw = path.with_suffix(f"{path.suffix}.raw")
    try:
        yield raw
    finally:
        with contextlib.suppress(FileNotFoundError):
            raw.unlink()


def _run(command: list[str], *, fine: Sequence[int] = (0,), seconds: float = TOOL_SECONDS) -> bool:
    """Whether a program of the host's ended with one of the ``fine`` codes; raises as ``run_tool``."""
    return run_tool(command, fine=fine, seconds=seconds).returncode in fine


def find_tool(name: str) -> str:
    """The path of a program of the host's. Raises ComputeRefused when it is missing."""
    program = shutil.which(name, path=_PATH)
    if program is None:
        raise ComputeRefused(f"The program {name} is missing on the host.")
    return program


def run_tool(
    command: list[str], *, fine: Sequence[int] = (0,), seconds: float = TOOL_SECONDS
) -> subprocess.CompletedProcess[bytes]:
    """Run a program of the host's, for ``seconds`` at most. Raises ComputeUnavailable when it takes longer,
    ComputeRefused when it is missing or, with no other code than 0 being ``fine``, failed."""
    whole = [find_tool(command[0]), *command[1:]]
    try:
        done = subprocess.run(
            whole,
            check=False,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
    except subprocess.TimeoutExpired as error:
        raise ComputeUnavailable("Making the machine’s disk took too long.") from error
    if done.returncode and tuple(fine) == (0,):
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise ComputeRefused(f"The machine’s disk could not be made or read: {lines[-1]}.")
    return done
