"""The disk of a new machine from an image: a layer on it, so as quick for a large disk as for a small one."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.figures import Figure, median
from bench.sizes import Sizes
from zentry_web.adapters.compute.libvirt.disks.disks import make_layer

NAMES = ("clone_ms",)
GOAL_MS = 100
IMAGE_GIB, WRITTEN_MIB = 2, 512
DISKS_GIB = (2, 40, 500)
ROUNDS = 9


def measure(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """The slowest median of three sizes of disks; the baseline is a whole copy of the image."""
    image = folder / "image.qcow2"
    _fill(image, folder / "image.raw")
    copy = _milliseconds(lambda: _qemu_img("convert", "-f", "qcow2", "-O", "qcow2", image, folder / "copy.qcow2"))
    medians = {}
    for gib in DISKS_GIB:
        disk = folder / "disk.qcow2"
        medians[gib] = median([_milliseconds(partial(make_layer, disk, image, gib)) for _ in range(ROUNDS)])
    facts = {f"{gib}_gib": round(found, 1) for gib, found in medians.items()}
    yield Figure("clone_ms", max(medians.values()), "ms", GOAL_MS, copy, facts | {"written_mib": WRITTEN_MIB})


def _fill(image: Path, raw: Path) -> None:
    with raw.open("wb") as file:
        for _part in range(WRITTEN_MIB):
            file.write(os.urandom(1024**2))
        file.truncate(IMAGE_GIB * 1024**3)
    _qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, image)
    raw.unlink()


def _milliseconds(action: Callable[[], None]) -> float:
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def _qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)
