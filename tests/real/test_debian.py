"""Debian as Zentry builds it: made from Debian's packages, booted, reached, grown. Takes minutes: make test-all."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.compute_contract import ComputeRig, wait_for
from tests.compute_contract.images import WATCH
from tests.libvirt_fixture import LibvirtRig, image_dir
from zentry_web.adapters.compute.base import PowerState
from zentry_web.adapters.compute.images import ImageOrder
from zentry_web.adapters.compute.libvirt.driver import LibvirtCompute
from zentry_web.adapters.compute.watch import Stopped, Watch
from zentry_web.domain.vms.image import ImageSource

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(3600)]

GIB = 1024**3
BOOT_SECONDS = 600


@pytest.fixture(scope="module")
def rig(libvirt: LibvirtRig) -> Iterator[ComputeRig]:
    folder = libvirt.data_dir / "images"
    folder.mkdir(mode=0o711)
    shutil.copytree(image_dir() / "tiny", folder / "tiny")
    driver = LibvirtCompute(libvirt.uri, libvirt.data_dir, libvirt.namespace, folder)
    yield replace(libvirt.compute_rig(), driver=driver, answer_seconds=BOOT_SECONDS)
    driver.close()


@pytest.fixture(scope="module", params=["debian-12", "debian-12-cloud"])
def image(rig: ComputeRig, request: pytest.FixtureRequest) -> str:
    """Built once for all tests here."""
    steps: list[str] = []
    name = str(request.param)
    facts = rig.driver.images.make(
        ImageOrder(name, ImageSource.BUILD, name), Watch(steps.append, WATCH.done, WATCH.wanted)
    )
    assert steps == ["packages", "disk", "convert", "check", "place"]
    assert facts.disk_bytes == 2 * GIB
    assert facts.size_bytes < GIB
    return name


def ready(rig: ComputeRig, vm_id: str) -> str:
    """The console once the guest has said that it is up."""
    wait_for(lambda: f"ZENTRY-READY {vm_id}" in rig.driver.console_log(vm_id).text, BOOT_SECONDS, "ready", pause=1)
    return rig.driver.console_log(vm_id).text


def ssh(libvirt: LibvirtRig, address: str, command: str) -> str:
    def answer() -> str:
        try:
            return libvirt.key.run(address, command)
        except AssertionError:
            return ""

    return wait_for(answer, 120, command, pause=2)


@pytest.mark.parametrize(("vcpus", "memory_mib", "disk_gib"), [(1, 512, 5), (2, 1024, 10)])
def test_it_boots_at_this_size_and_is_what_the_seed_says(
    rig: ComputeRig, libvirt: LibvirtRig, image: str, vcpus: int, memory_mib: int, disk_gib: int
) -> None:
    script = "#!/bin/sh\necho once >> /root/user-data-ran\n"
    if image == "debian-12-cloud":
        script = "#cloud-config\nruncmd:\n  - echo once >> /root/user-data-ran\n"
    spec = rig.spec(image=image, name="deb", vcpus=vcpus, memory_mib=memory_mib, disk_gib=disk_gib, user_data=script)
    rig.driver.create(spec)
    rig.driver.start(spec.vm_id)
    ready(rig, spec.vm_id)
    (address,) = rig.get(spec.vm_id).addresses
    assert ssh(libvirt, address, "hostname").strip() == "deb"
    assert int(ssh(libvirt, address, "nproc")) == vcpus
    size = int(ssh(libvirt, address, "df -k --output=size / | tail -n 1"))
    assert size > 0.9 * disk_gib * 1024**2, "the file system fills the machine's disk"
    assert wait_for(lambda: ssh(libvirt, address, "cat /root/user-data-ran; true"), 120, "user data").strip() == "once"
    assert ssh(libvirt, address, "getent passwd root").startswith("root:")

    rig.driver.shutdown(spec.vm_id)
    rig.wait_power(spec.vm_id, PowerState.OFF, 120)
    rig.driver.resize(spec.vm_id, vcpus=vcpus, memory_mib=memory_mib, disk_gib=disk_gib + 5)
    rig.driver.start(spec.vm_id)
    began = time.monotonic()
    (address,) = wait_for(lambda: rig.get(spec.vm_id).addresses, BOOT_SECONDS, "an address")
    larger = int(ssh(libvirt, address, "df -k --output=size / | tail -n 1"))
    assert larger > size + 4 * 1024**2, f"it grew with its disk (up after {time.monotonic() - began:.0f} s)"
    assert ssh(libvirt, address, "cat /root/user-data-ran").strip() == "once", "a script runs once in a machine's life"
    rig.driver.delete(spec.vm_id)


def test_a_build_that_is_cancelled_leaves_nothing_behind(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    order = ImageOrder("cancelled", ImageSource.BUILD, "debian-12")
    began = time.monotonic()
    with pytest.raises(Stopped):
        rig.driver.images.make(order, Watch(WATCH.at, WATCH.done, lambda: time.monotonic() < began + 15))
    rig.driver.images.forget(order)
    assert "cancelled" not in rig.driver.images.names()
    assert not (libvirt.data_dir / "images" / ".making-cancelled").exists()
    wait_for(lambda: not programs(".making-cancelled"), 20, "the end of all its programs")


def programs(word: str) -> list[str]:
    """Those that have a word in their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in path.read_bytes():
                found.append(path.parent.name)
    return found
