"""What others do to a real machine with virsh or virt-manager, and that nothing a guest has written is lost by it."""

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.compute_contract import ComputeRig
from tests.disks import fill, small_disk
from tests.libvirt_fixture import LibvirtRig, let_the_hypervisor_pass, libvirt_rig, virsh
from zentry_web.adapters.compute.base import ComputeRefused, PowerState
from zentry_web.adapters.compute.host import GIB, MIB
from zentry_web.adapters.compute.words import DISK_FULL

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]
LARGER = {"vcpus": 2, "memory_mib": 192, "disk_gib": 2}


def folder_of(libvirt: LibvirtRig, vm_id: str) -> Path:
    return libvirt.data_dir / "machines" / vm_id


def shut_down(rig: ComputeRig, vm_id: str) -> None:
    rig.driver.shutdown(vm_id)
    rig.wait_power(vm_id, PowerState.OFF, 60)


def run_again(rig: ComputeRig, vm_id: str) -> None:
    rig.driver.start(vm_id)
    rig.wait_answered(vm_id)


def file_system_is_clean(disk: Path, raw: Path) -> bool:
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk, raw], check=True, timeout=120)
    done = subprocess.run(["/sbin/e2fsck", "-fn", raw], check=False, capture_output=True, timeout=60)
    return done.returncode == 0


def test_saved_memory_never_meets_another_size(rig: ComputeRig, libvirt: LibvirtRig, tmp_path: Path) -> None:
    vm_id = rig.booted()
    writing = "while test -e /tmp/note; do date >> /data/log; sleep 0.1; done"
    libvirt.on_guest(vm_id, f"echo kept > /tmp/note; ({writing}) >/dev/null 2>&1 &")
    libvirt.save(vm_id)
    with pytest.raises(ComputeRefused, match="memory is saved"):
        rig.driver.resize(vm_id, **LARGER)
    rig.driver.start(vm_id)
    assert libvirt.on_guest(vm_id, "cat /tmp/note; nproc").split() == ["kept", "1"]
    libvirt.on_guest(vm_id, "rm /tmp/note; test $(wc -l < /data/log) -gt 1")
    shut_down(rig, vm_id)
    rig.driver.resize(vm_id, **LARGER)
    assert file_system_is_clean(folder_of(libvirt, vm_id) / "disk.qcow2", tmp_path / "raw")
    run_again(rig, vm_id)
    assert libvirt.on_guest(vm_id, "nproc") == "2"
    rig.driver.delete(vm_id)


def test_what_is_written_after_an_external_snapshot_is_kept(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    spec = rig.spec()
    rig.driver.create(spec)
    vm_id, folder = spec.vm_id, folder_of(libvirt, spec.vm_id)
    run_again(rig, vm_id)
    libvirt.snapshot(vm_id)
    libvirt.on_guest(vm_id, "echo after > /data/note")
    with pytest.raises(ComputeRefused, match=r"disk\.s1"):
        rig.driver.check_resize(vm_id)
    shut_down(rig, vm_id)
    before = hashlib.sha256((folder / "disk.qcow2").read_bytes()).digest()
    with pytest.raises(ComputeRefused, match=r"disk\.s1"):
        rig.driver.resize(vm_id, **LARGER)
    # Started with the size it has, it goes on in the snapshot.
    run_again(rig, vm_id)
    assert libvirt.on_guest(vm_id, "cat /data/note") == "after"
    shut_down(rig, vm_id)

    # Undefined as well, only the two files are left: they are not parted by making the machine anew around one.
    virsh(libvirt.uri, "undefine", libvirt.uuid(vm_id), "--snapshots-metadata")
    with pytest.raises(ComputeRefused, match=r"disk\.s1"):
        rig.driver.create(spec)
    assert hashlib.sha256((folder / "disk.qcow2").read_bytes()).digest() == before
    subprocess.run(["qemu-img", "commit", "-q", folder / "disk.s1"], check=True, timeout=60)
    (folder / "disk.s1").unlink()
    rig.driver.create(spec)
    rig.driver.resize(vm_id, **LARGER)
    run_again(rig, vm_id)
    assert libvirt.on_guest(vm_id, "cat /data/note") == "after"
    rig.driver.delete(vm_id)


def test_a_snapshot_in_another_folder_is_remembered(rig: ComputeRig, libvirt: LibvirtRig, tmp_path: Path) -> None:
    spec = rig.spec()
    rig.driver.create(spec)
    run_again(rig, spec.vm_id)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    let_the_hypervisor_pass(shelf)
    overlay, uuid = shelf / "elsewhere.qcow2", libvirt.uuid(spec.vm_id)
    place = ("--diskspec", f"vda,file={overlay}", "--diskspec", "vdb,snapshot=no")
    virsh(libvirt.uri, "snapshot-create-as", uuid, "s1", "--disk-only", "--atomic", *place)
    assert spec.vm_id in {row.vm_id for row in rig.driver.statistics()}
    libvirt.pull_plug(spec.vm_id)
    virsh(libvirt.uri, "undefine", uuid, "--snapshots-metadata")
    with pytest.raises(ComputeRefused, match=r"elsewhere\.qcow2"):
        rig.driver.create(spec)
    overlay.unlink()  # somebody decided against it
    rig.driver.create(spec)
    rig.driver.delete(spec.vm_id)


def test_snapshots_inside_the_disk_are_kept(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    spec = rig.spec()
    rig.driver.create(spec)
    uuid = libvirt.uuid(spec.vm_id)
    virsh(libvirt.uri, "snapshot-create-as", uuid, "s1")
    with pytest.raises(ComputeRefused, match="snapshot"):
        rig.driver.resize(spec.vm_id, **LARGER)
    virsh(libvirt.uri, "undefine", uuid, "--snapshots-metadata")
    rig.driver.create(spec)  # loses nothing
    with pytest.raises(ComputeRefused, match="snapshot"):
        rig.driver.resize(spec.vm_id, **LARGER)
    disk = folder_of(libvirt, spec.vm_id) / "disk.qcow2"
    subprocess.run(["qemu-img", "snapshot", "-d", "s1", disk], check=True, timeout=60)
    rig.driver.resize(spec.vm_id, **LARGER)
    rig.driver.delete(spec.vm_id)


def test_a_disk_put_elsewhere_is_not_replaced(rig: ComputeRig, libvirt: LibvirtRig, tmp_path: Path) -> None:
    vm_id = rig.created()
    xml, moved = tmp_path / "machine.xml", tmp_path / "moved.qcow2"
    disk = folder_of(libvirt, vm_id) / "disk.qcow2"
    moved.write_bytes(disk.read_bytes())
    xml.write_text(virsh(libvirt.uri, "dumpxml", libvirt.uuid(vm_id)).replace(str(disk), str(moved)))
    virsh(libvirt.uri, "define", str(xml))
    with pytest.raises(ComputeRefused, match=r"moved\.qcow2"):
        rig.driver.resize(vm_id, **LARGER)
    assert str(moved) in virsh(libvirt.uri, "dumpxml", libvirt.uuid(vm_id))
    rig.driver.delete(vm_id)
    assert moved.is_file()


def test_a_disk_without_its_note_is_left_alone(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    spec = rig.spec()
    rig.driver.create(spec)
    libvirt.undefine(spec.vm_id)
    note = folder_of(libvirt, spec.vm_id) / "machine.json"
    text = note.read_text()
    note.unlink()
    with pytest.raises(ComputeRefused, match="without Zentry’s note"):
        rig.driver.create(spec)
    note.write_text(text)
    rig.driver.create(spec)
    rig.driver.delete(spec.vm_id)


def test_a_start_has_the_size_that_is_paid_for(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    vm_id = rig.created()
    virsh(libvirt.uri, "setmaxmem", libvirt.uuid(vm_id), "512M", "--config")
    rig.driver.start(vm_id)
    assert "131072" in virsh(libvirt.uri, "dominfo", libvirt.uuid(vm_id))
    rig.driver.delete(vm_id)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[LibvirtRig]:
    """A Zentry whose data folder is a small file system of its own."""
    with small_disk(tmp_path / "data", 4 * GIB), libvirt_rig(tmp_path) as rig:
        yield rig


def test_a_full_disk_pauses_it_and_with_room_it_goes_on(small: LibvirtRig) -> None:
    rig = small.compute_rig()
    vm_id = rig.booted()
    before = rig.get(vm_id)
    small.on_guest(vm_id, "echo kept > /tmp/note")
    filler = fill(small.data_dir)
    writing = "dd if=/dev/zero of=/data/big bs=1M count=32 conv=fsync && echo yes > /tmp/written"
    small.on_guest(vm_id, f"({writing}) >/dev/null 2>&1 &")
    rig.wait_power(vm_id, PowerState.PAUSED, 90)
    assert rig.get(vm_id) == replace(before, power=PowerState.PAUSED, fault=DISK_FULL)
    with pytest.raises(ComputeRefused, match="still full"):
        rig.driver.resume(vm_id)
    with pytest.raises(ComputeRefused, match="still full"):
        rig.driver.start(vm_id)
    assert rig.get(vm_id).run_id == before.run_id
    filler.unlink()
    rig.driver.start(vm_id)
    rig.wait_power(vm_id, PowerState.RUNNING)
    assert small.on_guest(vm_id, "cat /tmp/note") == "kept"
    assert small.on_guest(vm_id, "cat /tmp/written && stat -c %s /data/big").split() == ["yes", str(32 * MIB)]
    assert rig.get(vm_id) == before


def test_deleting_takes_saved_memory_and_snapshots_along(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    vm_id = rig.created()
    uuid = libvirt.uuid(vm_id)
    virsh(libvirt.uri, "snapshot-create-as", uuid, "inside")
    rig.driver.start(vm_id)
    libvirt.snapshot(vm_id)
    libvirt.save(vm_id)
    rig.driver.delete(vm_id)
    assert rig.driver.machine(vm_id) is None
    assert uuid not in virsh(libvirt.uri, "list", "--all", "--uuid")
    assert not folder_of(libvirt, vm_id).exists()
    # Made anew by the same id, it has neither.
    spec = rig.spec(vm_id=vm_id)
    rig.driver.create(spec)
    assert (rig.get(vm_id).power, rig.get(vm_id).fault) == (PowerState.OFF, "")
    assert virsh(libvirt.uri, "snapshot-list", uuid, "--name").strip() == ""
    rig.driver.delete(vm_id)


def test_a_file_comes_back_with_its_snapshot(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    vm_id = rig.booted()
    libvirt.on_guest(vm_id, "echo precious > /data/file; echo remembered > /tmp/memory; sync")
    rig.driver.snapshots.create(vm_id, "snap_kept")
    libvirt.on_guest(vm_id, "rm /data/file /tmp/memory; echo later > /data/later; sync")
    rig.driver.snapshots.revert(vm_id, "snap_kept")
    rig.wait_answered(vm_id)
    shown = libvirt.on_guest(vm_id, "cat /data/file /tmp/memory; ls /data/later || true")
    assert shown == "precious\nremembered"
    rig.driver.delete(vm_id)
