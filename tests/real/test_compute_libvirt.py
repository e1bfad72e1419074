"""The libvirt driver keeps the contract, with real guests; and what only real guests can show."""

import socket
import subprocess
from pathlib import Path

import pytest

from tests.compute_contract import (
    AgentContract,
    ComputeContract,
    ComputeRig,
    ConsoleContract,
    IdentityContract,
    RebuildContract,
    RescueContract,
    SnapshotContract,
    wait_for,
)
from tests.libvirt_fixture import LibvirtRig, image_dir, virsh
from zentry_web.adapters.compute.base import PowerState
from zentry_web.adapters.compute.libvirt.accelerator import Accelerator, boots_under, choose_accelerator, find_emulator
from zentry_web.adapters.compute.libvirt.definitions import free_port
from zentry_web.adapters.compute.libvirt.driver import LibvirtCompute, answers
from zentry_web.adapters.compute.libvirt.images.guest_images import get_image

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


class TestLibvirt(AgentContract, ComputeContract, IdentityContract, RebuildContract, RescueContract, SnapshotContract):
    """The contract on real guests."""


class TestLibvirtConsoles(ConsoleContract):
    """The same of their consoles."""


def test_a_file_on_data_survives_stop_and_start(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    script = "#!/bin/sh\necho user data sees $(hostname); cat /data/note 2>/dev/null; true\r\n"
    vm_id = rig.booted(name="keeper", user_data=script)
    address = rig.get(vm_id).addresses[0]
    log = wait_for_line(libvirt, address, "/data/user-data.log", "ended with code 0")
    assert "user data sees keeper" in log
    assert libvirt.key.run(address, "hostname").strip() == "keeper"
    assert "ext4" in libvirt.key.run(address, "mount | grep ' /data '")
    fingerprint = libvirt.key.run(address, "dropbearkey -y -f /data/.zentry/ssh_host_ed25519_key")
    # Not synced by hand: the orderly stop writes it.
    libvirt.key.run(address, "echo remember me > /data/note; (sleep 1000 &) ; true")
    rig.driver.shutdown(vm_id)
    rig.wait_power(vm_id, PowerState.OFF)
    assert "/data is written and closed" in rig.driver.console_log(vm_id).text

    rig.driver.start(vm_id)
    rig.wait_answered(vm_id)
    address = rig.get(vm_id).addresses[0]
    wait_for_line(libvirt, address, "/data/note", "remember me")
    assert libvirt.key.run(address, "dropbearkey -y -f /data/.zentry/ssh_host_ed25519_key") == fingerprint
    assert libvirt.key.run(address, "grep -c 'remember me' /data/user-data.log").strip() == "1"
    assert "remember me" in rig.driver.console_log(vm_id).text, "user data is told on the console too"
    assert "recover" not in libvirt.key.run(address, "dmesg | grep -i ext4"), "the disk was closed cleanly"
    rig.driver.delete(vm_id)
    assert not (libvirt.data_dir / "machines" / vm_id).exists()


def wait_for_line(libvirt: LibvirtRig, address: str, path: str, text: str) -> str:
    def read() -> str:
        try:
            found = libvirt.key.run(address, f"cat {path}; true")
        except AssertionError:  # a lease may come a moment before sshd listens
            return ""
        return found if text in found else ""

    return wait_for(read, 30, f"{text!r} in {path}", pause=0.3)


def test_a_guest_sees_its_new_size_and_keeps_its_files(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    vm_id = rig.booted(name="grower")
    address = rig.get(vm_id).addresses[0]
    wait_for_line(libvirt, address, "/proc/meminfo", "MemTotal")
    libvirt.key.run(address, "echo remember me > /data/note")
    small = int(libvirt.key.run(address, "df -k /data | tail -n 1").split()[1])
    rig.driver.shutdown(vm_id)
    rig.wait_power(vm_id, PowerState.OFF)
    rig.driver.resize(vm_id, vcpus=2, memory_mib=256, disk_gib=3)
    rig.driver.start(vm_id)
    rig.wait_answered(vm_id)
    address = rig.get(vm_id).addresses[0]
    wait_for_line(libvirt, address, "/data/note", "remember me")
    assert libvirt.key.run(address, "nproc").strip() == "2"
    assert 200_000 < int(libvirt.key.run(address, "grep MemTotal /proc/meminfo").split()[1]) <= 256 * 1024
    assert int(libvirt.key.run(address, "df -k /data | tail -n 1").split()[1]) > 2.5 * small
    rig.driver.delete(vm_id)


def test_user_network_forwards_a_port(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    # What an ordinary user's session gets; the daemon's kind makes no difference to it.
    driver = LibvirtCompute(libvirt.uri, libvirt.data_dir, libvirt.namespace, image_dir(), user_network=True)
    spec = rig.spec()
    try:
        driver.create(spec)
        # Somebody else takes the port before the machine starts: it gets another.
        planned = free_port(spec.vm_id)
        with socket.create_server(("127.0.0.1", planned)):
            driver.start(spec.vm_id)
        machine = wait_for(lambda: m if (m := driver.machine(spec.vm_id)).answered else None, 90, "the ready line")
        assert machine.addresses == ()
        words = machine.reach.split()
        assert (words[0], words[1], words[3]) == ("ssh", "-p", "root@127.0.0.1")
        assert int(words[2]) != planned
        assert libvirt.key.run("127.0.0.1", "hostname", port=int(words[2])).strip() == spec.name
    finally:
        driver.delete(spec.vm_id)
        driver.close()


def test_domains_of_others_are_not_seen_and_not_touched(rig: ComputeRig, libvirt: LibvirtRig, tmp_path: Path) -> None:
    spec = rig.spec()
    # A stranger with the very name and uuid that a machine of ours would have, but without our metadata.
    name, uuid = f"z-{libvirt.namespace}-stranger", libvirt.uuid(spec.vm_id)
    definition = tmp_path / "stranger.xml"
    definition.write_text(
        f"<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>32</memory>"
        "<os><type arch='x86_64' machine='q35'>hvm</type></os></domain>"
    )
    virsh(libvirt.uri, "define", str(definition))
    try:
        assert rig.driver.machine(spec.vm_id) is None
        assert spec.vm_id not in {machine.vm_id for machine in rig.driver.machines()}
        rig.driver.delete(spec.vm_id)
        assert virsh(libvirt.uri, "domstate", uuid).strip() == "shut off"
    finally:
        virsh(libvirt.uri, "undefine", uuid)


def test_two_zentrys_share_a_machine(rig: ComputeRig, libvirt: LibvirtRig, tmp_path: Path) -> None:
    vm_id = rig.created()
    other = LibvirtCompute(libvirt.uri, tmp_path, "0a0b0c0d", image_dir())
    try:
        assert other.machines() == []
        other.delete(vm_id)
        assert rig.get(vm_id).power is PowerState.OFF
    finally:
        other.close()
        rig.driver.delete(vm_id)


def test_a_creation_that_was_interrupted_is_repaired(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    machines = libvirt.data_dir / "machines"
    spec = rig.spec()
    # Killed in the middle of making the files …
    half = machines / f".new-{spec.vm_id}-abc"
    half.mkdir(parents=True)
    (half / "disk.raw").write_text("half")
    rig.driver.create(spec)
    assert not half.exists()
    # … or between the files and the definition.
    libvirt.undefine(spec.vm_id)
    assert rig.driver.machine(spec.vm_id) is None
    rig.driver.create(spec)
    assert rig.get(spec.vm_id).power is PowerState.OFF
    # A definition whose files were lost is made whole as well.
    libvirt.driver._storage.delete(spec.vm_id)
    rig.driver.create(spec)
    assert (machines / spec.vm_id / "disk.qcow2").is_file()
    rig.driver.delete(spec.vm_id)
    assert [path.name for path in machines.iterdir() if spec.vm_id in path.name] == []


def test_an_undefined_machine_that_was_stopped_leaves_disks_that_delete_removes(
    rig: ComputeRig, libvirt: LibvirtRig
) -> None:
    vm_id = rig.created()
    rig.driver.start(vm_id)
    libvirt.undefine(vm_id)
    assert rig.get(vm_id).power is PowerState.RUNNING, "undefined, but its process still uses the host"
    libvirt.pull_plug(vm_id)
    assert rig.driver.machine(vm_id) is None
    folder = libvirt.data_dir / "machines" / vm_id
    assert folder.is_dir()
    rig.driver.delete(vm_id)
    assert not folder.exists()


def test_the_disk_is_what_was_ordered(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    spec = rig.spec(disk_gib=3)
    rig.driver.create(spec)
    disk = libvirt.data_dir / "machines" / spec.vm_id / "disk.qcow2"
    info = subprocess.run(["qemu-img", "info", disk], check=True, capture_output=True, text=True, timeout=30).stdout
    assert "virtual size: 3 GiB" in info
    assert disk.stat().st_blocks * 512 < 32 * 1024 * 1024, "an empty disk takes little room"
    rig.driver.delete(spec.vm_id)


def test_the_accelerator_is_one_that_boots(libvirt: LibvirtRig, tmp_path: Path) -> None:
    image = get_image(image_dir(), "tiny")
    chosen = choose_accelerator(tmp_path, image)
    assert boots_under(chosen, image, find_emulator(), seconds=60)
    assert choose_accelerator(tmp_path, image) is chosen
    assert not boots_under(Accelerator.TCG, image, find_emulator(), seconds=0.01), "too slow counts as no"


def test_whether_a_daemon_answers(libvirt: LibvirtRig) -> None:
    assert answers(libvirt.uri)
    assert not answers("qemu+unix:///system?socket=/nonexistent/libvirt-sock")
