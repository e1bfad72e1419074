"""How quickly a machine that runs is backed up, beside ``qemu-img convert`` of the same disk with the same packing."""

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.boots import IMAGE, ready_at
from bench.figures import Figure, median
from bench.guests import libvirt_uri
from bench.sizes import Sizes
from bench.stage import wait_until
from zentry_web.adapters.compute.base import MachineSpec
from zentry_web.adapters.compute.libvirt.copies.backups import PACKED, BackupPlace
from zentry_web.adapters.compute.libvirt.disks.disks import find_tool
from zentry_web.adapters.compute.libvirt.driver import LibvirtCompute

NAMES = ("backup_mb_s",)
LEAST = 0.8  # of qemu-img
DISK_GIB = 2
SECONDS = 600


def measure(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Alternating pairs of a guest whose disk holds random data: MB of that data by the second."""
    images = Path(os.environ["ZENTRY_TEST_IMAGES"]).resolve()
    data = folder / "backed-up"
    data.mkdir()
    data.chmod(0o711)  # the hypervisor may run as another user
    megabytes = 32 if sizes.pairs == 1 else 512
    place = BackupPlace(folder / "backups", same_disk=True)
    driver = LibvirtCompute(libvirt_uri(), data, secrets.token_hex(4), images, backup_place=place)
    vm_id = f"vm_{secrets.token_hex(13)}"
    disk = data / "machines" / vm_id / "disk.qcow2"
    try:
        driver.create(MachineSpec(vm_id, "bench", vcpus=1, memory_mib=128, disk_gib=DISK_GIB, image=IMAGE))
        _fill(disk, folder, megabytes)
        whole = folder / "whole.qcow2"
        _qemu_img("convert", "-f", "qcow2", "-O", "qcow2", disk, whole)
        driver.start(vm_id)
        ready_at(data / "machines" / vm_id / "console.log", vm_id)
        rounds = min(sizes.pairs, 5) + 1
        found = [(_by_zentry(driver, vm_id), _by_qemu_img(whole, folder)) for _ in range(rounds)][1:]
    finally:
        driver.remove_everything()
        driver.close()
    zentry, qemu = ([round(megabytes * 1.048576 / pair[side], 1) for pair in found] for side in (0, 1))
    print(f"bench: backup, MB/s: {zentry}\nbench: qemu-img convert, MB/s: {qemu}", file=sys.stderr)
    baseline = median(qemu)
    facts = {"zentry_mb_s": zentry, "qemu_img_mb_s": qemu}
    yield Figure(NAMES[0], median(zentry), "MB/s", round(LEAST * baseline, 1), baseline, facts, at_least=True)


def _by_zentry(driver: LibvirtCompute, vm_id: str) -> float:
    backup_id = f"bak_{secrets.token_hex(8)}"

    def is_whole() -> bool:
        progress = driver.backups.progress(backup_id)
        return progress is not None and progress.whole

    began = time.perf_counter()
    driver.backups.begin(vm_id, backup_id)
    wait_until(is_whole, SECONDS, "a backup")
    took = time.perf_counter() - began
    driver.backups.delete(backup_id)
    return took


def _by_qemu_img(disk: Path, folder: Path) -> float:
    copy = folder / "copy.qcow2"
    began = time.perf_counter()
    _qemu_img("convert", "-f", "qcow2", *PACKED, disk, copy)
    took = time.perf_counter() - began
    copy.unlink()
    return took


def _fill(disk: Path, folder: Path, megabytes: int) -> None:
    """A file system as Zentry makes it, with that many MiB in it that cannot be packed."""
    content, raw = folder / "content", folder / "content.raw"
    content.mkdir()
    with (content / "data").open("wb") as file:
        for _part in range(megabytes):
            file.write(os.urandom(1024**2))
    with raw.open("wb") as file:
        file.truncate(DISK_GIB * 1024**3)
    options = ["-q", "-F", "-t", "ext4", "-m", "0", "-L", "zentry-data", "-d", str(content)]
    subprocess.run([find_tool("mke2fs"), *options, str(raw)], check=True, capture_output=True)
    fresh = disk.with_suffix(".filled")
    _qemu_img("convert", "-f", "raw", "-O", "qcow2", raw, fresh)
    fresh.chmod(0o600)
    fresh.replace(disk)
    raw.unlink()


def _qemu_img(*words: object) -> None:
    subprocess.run(["qemu-img", *map(str, words)], check=True, capture_output=True)
