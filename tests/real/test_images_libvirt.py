"""Images under real libvirt: the contract, layers that are made in a moment, and what a real download leaves behind."""

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.compute_contract import ComputeRig
from tests.compute_contract.copies import CopiesContract, make_copy
from tests.compute_contract.images import WATCH, ImagesContract, disk
from tests.image_server import LOOPBACK, image_server
from tests.libvirt_fixture import LibvirtRig, image_dir
from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.images import ImageLimits, ImageOrder
from zentry_web.adapters.compute.libvirt.driver import LibvirtCompute
from zentry_web.domain.vms.image import ImageSource

__all__ = ["disk"]  # a fixture

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def images(libvirt: LibvirtRig) -> Path:
    """A folder of images of this module's own, with the small one in it."""
    folder = libvirt.data_dir / "images"
    folder.mkdir(mode=0o711)
    # Without what libvirt has noted at the files of who uses them.
    shutil.copytree(image_dir() / "tiny", folder / "tiny", copy_function=shutil.copyfile)
    return folder


@pytest.fixture(scope="module")
def rig(libvirt: LibvirtRig, images: Path) -> Iterator[ComputeRig]:
    driver = LibvirtCompute(libvirt.uri, libvirt.data_dir, libvirt.namespace, images)
    yield replace(libvirt.compute_rig(), driver=driver)
    driver.close()


class TestImages(ImagesContract, CopiesContract):
    """The contract on real disks."""


def test_what_a_machine_had_written_is_in_the_image_of_it_and_in_the_machine_of_its_snapshot(
    rig: ComputeRig, libvirt: LibvirtRig, images: Path
) -> None:
    vm_id = rig.booted(name="writer")
    libvirt.on_guest(vm_id, "echo before > /data/note; sync")
    rig.driver.snapshots.create(vm_id, "snap_before")
    libvirt.on_guest(vm_id, "echo after > /data/note; sync")
    now, then = make_copy(rig, vm_id), make_copy(rig, vm_id, "snap_before")
    rig.driver.images.make(ImageOrder("of-writer", ImageSource.MACHINE, now), WATCH)
    rig.driver.copies.drop(now)
    of_image, of_snapshot = rig.spec(image="of-writer", disk_gib=2), rig.spec(copy=then)
    for spec in (of_image, of_snapshot):
        rig.driver.create(spec)
    rig.driver.copies.drop(then)
    assert "backing-filename" not in info(images / "of-writer" / "disk.qcow2")
    for spec, said in ((of_image, "after"), (of_snapshot, "before")):
        rig.driver.start(spec.vm_id)
        rig.wait_answered(spec.vm_id)
        assert libvirt.on_guest(spec.vm_id, "cat /data/note; hostname").split() == [said, spec.name]
    assert libvirt.on_guest(vm_id, "cat /data/note") == "after", "the machine itself goes on as it was"
    assert int(libvirt.on_guest(of_image.vm_id, "df -m /data | awk 'NR==2 {print $2}'")) > 1800, "grown to its size"
    for each in (vm_id, of_image.vm_id, of_snapshot.vm_id):
        rig.driver.delete(each)
    assert rig.driver.images.remove("of-writer")
    machines = libvirt.data_dir / "machines"
    assert not [path.name for path in machines.iterdir() if path.name.startswith(".cop")]


def info(path: Path) -> dict[str, object]:
    words = ["qemu-img", "info", "--force-share", "--output=json", str(path)]
    found: dict[str, object] = json.loads(subprocess.run(words, check=True, capture_output=True, timeout=60).stdout)
    return found


def test_a_machine_s_disk_is_a_layer_on_the_image_whatever_its_size(
    rig: ComputeRig, libvirt: LibvirtRig, images: Path, disk: Path
) -> None:
    with disk.open("r+b") as file:  # 300 MB that a copy would have to copy
        file.seek(1024**2)
        for _part in range(300):
            file.write(os.urandom(1024**2))
        file.truncate(2 * 1024**3)
    rig.driver.images.make(ImageOrder("large", ImageSource.FILE, str(disk)), WATCH)
    spec = rig.spec(image="large", disk_gib=8)
    began = time.monotonic()
    rig.driver.create(spec)
    took = time.monotonic() - began
    path = libvirt.data_dir / "machines" / spec.vm_id / "disk.qcow2"
    found = info(path)
    assert found["backing-filename"] == str(images / "large" / "disk.qcow2")
    assert found["virtual-size"] == 8 * 1024**3
    assert path.stat().st_blocks * 512 < 1024**2, f"nothing was copied (it took {took:.2f} s)"
    small = rig.spec(image="large", disk_gib=1)
    with pytest.raises(ComputeRefused, match="at least 2 GiB"):
        rig.driver.create(small)
    assert rig.driver.machine(small.vm_id) is None
    rig.driver.delete(spec.vm_id)
    assert rig.driver.images.remove("large")


def test_an_image_by_https_and_one_whose_digest_is_another(
    rig: ComputeRig, images: Path, disk: Path, tmp_path: Path
) -> None:
    content = disk.read_bytes()
    with image_server(tmp_path) as server:
        server.content, server.cut = content, 5_000_000
        limits = ImageLimits(hosts=("localhost",), networks=LOOPBACK, ca_file=server.ca_file, pause_seconds=0)
        good = ImageOrder("by-https", ImageSource.ADDRESS, server.url, hashlib.sha256(content).hexdigest(), limits)
        rig.driver.images.make(good, WATCH)
        assert len(server.ranges) == 4, "each answer ended early, and was gone on with"
        with pytest.raises(ComputeRefused, match="not the one that was named"):
            rig.driver.images.make(replace(good, name="wrong", sha256="0" * 64), WATCH)
    assert rig.driver.images.names() == ("by-https", "tiny")
    assert sorted(path.name for path in images.iterdir()) == ["by-https", "tiny"]
    rig.driver.images.remove("by-https")
