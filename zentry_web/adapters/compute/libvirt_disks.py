"""Disks of machines: made with a file system, and made larger with it."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from zentry_web.adapters.compute.base import ComputeRefused, ComputeUnavailable
from zentry_web.adapters.compute.host import GIB

TOOL_SECONDS = 120
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


def grow_disk(path: Path, size_gib: int) -> None:
    """Make a disk larger, and the file system on it if it is the one that Zentry made.

    The new disk is made beside the old one and takes its place by a rename: killed in between, nothing has changed.
    What somebody has partitioned otherwise only gets the room. Raises ComputeRefused.
    """
    fresh = path.with_suffix(".growing")
    try:
        with _raw(fresh) as raw:
            _run(["qemu-img", "convert", "-q", "-f", "qcow2", "-O", "raw", str(path), str(raw)])
            os.truncate(raw, size_gib * GIB)
            if _run(["e2fsck", "-f", "-p", str(raw)], fine=_CORRECTED):
                _run(["resize2fs", str(raw)])
            _run(["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", str(raw), str(fresh)])
        shutil.copymode(path, fresh)
        fresh.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()


@contextlib.contextmanager
def _raw(path: Path) -> Iterator[Path]:
    raw = path.with_suffix(f"{path.suffix}.raw")
    try:
        yield raw
    finally:
        with contextlib.suppress(FileNotFoundError):
            raw.unlink()


def _run(command: list[str], *, fine: Sequence[int] = (0,)) -> bool:
    """Run a program of the host's; whether it ended with one of the ``fine`` codes. Raises ComputeRefused when it is
    missing or, with no other code than 0 being fine, failed."""
    program = shutil.which(command[0], path=_PATH)
    if program is None:
        raise ComputeRefused(f"The program {command[0]} is missing on the host.")
    try:
        done = subprocess.run(
            [program, *command[1:]], check=False, timeout=TOOL_SECONDS, stdin=subprocess.DEVNULL, capture_output=True
        )
    except subprocess.TimeoutExpired as error:
        raise ComputeUnavailable("Making the machine’s disk took too long.") from error
    if done.returncode and tuple(fine) == (0,):
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise ComputeRefused(f"The machine’s disk could not be made: {lines[-1]}.")
    return done.returncode in fine
