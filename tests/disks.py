"""Small file systems of a test's own, which become full in a moment."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

LEFT_BYTES = 4 * 1024**2


@contextlib.contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[Path]:
    """A new folder with a file system of its own, which takes room only for what is written to it. Needs root."""
    image = folder.with_name(f"{folder.name}.file-system")
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(size_bytes)
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-m", "0", image], check=True, timeout=60)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True, timeout=60)
    try:
        (folder / "lost+found").rmdir()
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True, timeout=60)


def fill(folder: Path, left_bytes: int = LEFT_BYTES) -> Path:
    """Leave no more room than that beside the file that is returned. Most of that is never written."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        free = os.statvfs(folder)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize - max(left_bytes, LEFT_BYTES))
        file.seek(0, os.SEEK_END)
        with contextlib.suppress(OSError):  # what the file system needs for its own is not told
            while left_bytes == 0:
                file.write(bytes(4096))
    return filler
