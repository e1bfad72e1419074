"""Debian as Zentry builds it: made from Debian's packages, booted, reached, grown. Takes minutes: make test-all."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.compute_contract import ComputeRig, wait_for
from tests.compute_contract.agents import HASH
from tests.compute_contract.backups import make_backup, restore, whole
from tests.compute_contract.images import WATCH
from tests.libvirt_fixture import LibvirtRig, image_dir
from zentry_web.adapters.compute.base import ComputeRefused, PowerState
from zentry_web.adapters.compute.images import ImageOrder
from zentry_web.adapters.compute.libvirt.copies.backups import BackupPlace
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
    place = BackupPlace(libvirt.data_dir.parent / "backups", same_disk=True)
    driver = LibvirtCompute(libvirt.uri, libvirt.data_dir, libvirt.namespace, folder, backup_place=place)
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


def ssh(libvirt: LibvirtRig, address: str, command: str, seconds: float = 120) -> str:
    def answer() -> str:
        try:
            return libvirt.key.run(address, command)
        except AssertionError:
            return ""

    return wait_for(answer, seconds, command, pause=2)


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


def by_password(address: str, password: str, folder: Path) -> str:
    """What ``hostname`` prints for who logs in as root with a password alone."""
    asked = folder / "asked"
    asked.write_text(f"#!/bin/sh\necho '{password}'\n")
    asked.chmod(0o700)
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "PubkeyAuthentication=no"]
    words = [word for option in (*options, "PreferredAuthentications=password") for word in ("-o", option)]
    environment = os.environ | {"SSH_ASKPASS": str(asked), "SSH_ASKPASS_REQUIRE": "force"}
    command = ["ssh", *words, f"root@{address}", "hostname"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    return done.stdout.strip() or done.stderr


def test_its_agent_sets_a_password_and_its_disk_comes_back(
    rig: ComputeRig, libvirt: LibvirtRig, image: str, tmp_path: Path
) -> None:
    spec = rig.spec(image=image, name="held", memory_mib=768, disk_gib=4, user_data="")
    vm_id = spec.vm_id
    rig.driver.create(spec)
    rig.driver.start(vm_id)
    ready(rig, vm_id)
    (address,) = rig.get(vm_id).addresses
    wait_for(lambda: rig.get(vm_id).agent, BOOT_SECONDS, "the agent", pause=1)
    rig.driver.agents.set_password(vm_id, "root", HASH)
    assert ssh(libvirt, address, "getent shadow root | cut -d: -f2").strip() == HASH
    with pytest.raises(ComputeRefused, match="no such user"):
        rig.driver.agents.set_password(vm_id, "stranger", HASH)
    assert "Permission denied" in by_password(address, "let me in", tmp_path), "keys only, until somebody allows more"
    allow = "sed -i 's/^PermitRootLogin.*/PermitRootLogin yes/' /etc/ssh/sshd_config.d/zentry.conf"
    ssh(libvirt, address, f"{allow} && systemctl reload ssh && echo one > /root/note && sync && echo done")
    wait_for(lambda: by_password(address, "let me in", tmp_path) == "held", 120, "a log-in by password", pause=2)

    rig.driver.snapshots.create(vm_id, "snap_one")
    ssh(libvirt, address, "echo two > /root/note && echo done")
    rig.driver.snapshots.revert(vm_id, "snap_one")
    rig.wait_power(vm_id, PowerState.RUNNING, 120)
    assert ssh(libvirt, address, "cat /root/note").strip() == "one"
    rig.driver.snapshots.delete(vm_id, "snap_one")

    backup_id = make_backup(rig, vm_id, 900)
    made = whole(rig, backup_id)
    assert made is not None
    assert made.frozen, "its agent held its file systems still"
    assert ssh(libvirt, address, "echo three > /root/note && sync && cat /root/note").strip() == "three", "and let go"

    def boot_again() -> str:
        rig.driver.start(vm_id)
        wait_for(lambda: rig.get(vm_id).addresses == (address,), BOOT_SECONDS, "the same address", pause=1)
        return ssh(libvirt, address, "cat /root/note 2> /dev/null || echo none", BOOT_SECONDS).strip()

    for exchange, note in (
        (lambda: rig.driver.rebuilds.rebuild(spec, "op_1"), "none"),
        (lambda: restore(rig, vm_id, backup_id, 900), "one"),
    ):
        rig.driver.shutdown(vm_id)
        rig.wait_power(vm_id, PowerState.OFF, 300)
        exchange()
        assert boot_again() == note
    rig.driver.delete(vm_id)
    rig.driver.backups.delete(backup_id)


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
