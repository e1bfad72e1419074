"""Backups of real guests: what was written comes back, and whatever goes wrong leaves nothing half-made."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compute_contract import BackupContract, ComputeRig, ProofContract, wait_for
from tests.compute_contract.backups import make_backup, restore, whole
from tests.compute_contract.copies import make_copy
from tests.compute_contract.proofs import order, outcome
from tests.libvirt_fixture import LibvirtRig
from zentry_web.adapters.compute.base import ComputeRefused, ComputeUnavailable, PowerState
from zentry_web.adapters.compute.copies import DiskSource
from zentry_web.adapters.compute.libvirt.copies import guest_copies
from zentry_web.adapters.compute.libvirt.copies.backups import BackupPlace
from zentry_web.adapters.compute.libvirt.copies.copying import Copying
from zentry_web.adapters.compute.libvirt.driver import LibvirtCompute
from zentry_web.adapters.compute.proofs import ProofSign
from zentry_web.adapters.compute.words import NO_PLACE, SAME_DISK

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


class TestBackups(BackupContract, ProofContract):
    """The contract on real guests."""

    @pytest.fixture
    def created(self, rig: ComputeRig) -> Iterator[str]:
        # Others make a snapshot of it as virt-manager does, which only a machine that is on can have.
        vm_id = rig.booted()
        yield vm_id
        rig.driver.delete(vm_id)


def test_what_a_guest_had_written_comes_back(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    vm_id = rig.booted(name="writer")
    libvirt.on_guest(vm_id, "echo before > /data/note; sync")
    backup_id = make_backup(rig, vm_id)
    libvirt.on_guest(vm_id, "echo after > /data/note; sync")
    rig.driver.force_off(vm_id)
    restore(rig, vm_id, backup_id)
    rig.driver.start(vm_id)
    rig.wait_answered(vm_id)
    assert libvirt.on_guest(vm_id, "cat /data/note") == "before"
    # The same backup a second time is a restore of its own.
    libvirt.on_guest(vm_id, "echo later > /data/note; sync")
    rig.driver.force_off(vm_id)
    restore(rig, vm_id, backup_id)
    rig.driver.start(vm_id)
    rig.wait_answered(vm_id)
    assert libvirt.on_guest(vm_id, "cat /data/note") == "before"
    rig.driver.delete(vm_id)
    # It outlives its machine, and another one begins as it.
    key = make_copy(rig, vm_id, backup=backup_id)
    another = rig.booted(name="another", copy=key)
    rig.driver.copies.drop(key)
    assert libvirt.on_guest(another, "cat /data/note") == "before"
    rig.driver.delete(another)
    rig.driver.backups.delete(backup_id)


def test_a_file_that_was_changed_is_not_given_back(rig: ComputeRig, libvirt: LibvirtRig, place: Path) -> None:
    vm_id = rig.created()
    backup_id = make_backup(rig, vm_id)
    before = libvirt.driver._storage.disk(vm_id).read_bytes()
    with (place / backup_id / "disk.qcow2").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    rig.driver.backups.restore(vm_id, backup_id, "changed")
    with pytest.raises(ComputeRefused, match="no longer what was written"):
        wait_for(lambda: rig.driver.backups.restoring(vm_id, "changed") is None, 30, "a refusal")
    rig.driver.copies.begin("op_changed", DiskSource(vm_id, backup=backup_id))
    with pytest.raises(ComputeRefused, match="no longer what was written"):
        wait_for(lambda: rig.driver.copies.progress("op_changed") is None, 30, "a refusal")
    assert "op_changed" not in rig.driver.copies.stored()
    rig.driver.proofs.begin(order(backup_id, vm_id))
    with pytest.raises(ComputeRefused, match="no longer what was written"):
        wait_for(lambda: rig.driver.proofs.look(backup_id) is None, 30, "a refusal")
    assert rig.driver.proofs.stored() == ()
    assert libvirt.driver._storage.disk(vm_id).read_bytes() == before
    assert sorted(path.name for path in libvirt.driver._storage.folder(vm_id).iterdir() if "disk" in path.name) == [
        "disk.qcow2"
    ]
    rig.driver.delete(vm_id)
    rig.driver.backups.delete(backup_id)


def test_a_disk_that_its_guest_cannot_use_is_no_proof(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    vm_id = rig.created()
    disk = libvirt.driver._storage.disk(vm_id)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1G"], check=True, timeout=60)
    backup_id = make_backup(rig, vm_id)
    rig.driver.proofs.begin(order(backup_id, vm_id))
    found = wait_for(lambda: outcome(rig, backup_id), 120, "an outcome")
    assert found.sign is ProofSign.BROKEN, found.text
    assert "could not be mounted" in found.text
    rig.driver.proofs.end(backup_id)
    rig.driver.delete(vm_id)
    rig.driver.backups.delete(backup_id)


@pytest.fixture
def place(libvirt: LibvirtRig) -> Path:
    return libvirt.data_dir.parent / "backups"


def killed_after(libvirt: LibvirtRig, place: Path, begin: str, until: str) -> None:
    """A worker with a ``driver`` of its own that begins something, and is killed when it has come to ``until``."""
    code = (
        "import sys, os, signal; from pathlib import Path\n"
        "from zentry_web.adapters.compute.copies import DiskSource\n"
        "from zentry_web.adapters.compute.libvirt.copies import guest_copies\n"
        "from zentry_web.adapters.compute.libvirt.copies.backups import BackupPlace\n"
        "from zentry_web.adapters.compute.libvirt.driver import LibvirtCompute\n"
        "uri, data, namespace, images, place = sys.argv[1:]\n"
        "driver = LibvirtCompute(uri, data, namespace, images, backup_place=BackupPlace(Path(place), True))\n"
        "def die(): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{until}\n{begin}\nwhile True: seen()\n"
    )
    words = [libvirt.uri, libvirt.driver._data_dir, libvirt.namespace, libvirt.driver._image_dir, place]
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], check=False, timeout=60)
    assert done.returncode == -9


COPYING = "def seen():\n  if list(Path(place).glob('.new-*/*.qcow2')): die()"


def test_a_worker_that_is_killed_goes_on_or_begins_again(rig: ComputeRig, libvirt: LibvirtRig, place: Path) -> None:
    vm_id = rig.booted(name="killed")
    backup_id = f"bak_{secrets.token_hex(10)}"
    killed_after(libvirt, place, f"driver.backups.begin({vm_id!r}, {backup_id!r})", COPYING)
    assert rig.driver.backups.progress(backup_id) is None
    rig.driver.backups.begin(vm_id, backup_id)
    wait_for(lambda: (found := rig.driver.backups.progress(backup_id)) and found.whole, 60, "a whole backup")
    assert [path.name for path in place.iterdir()] == [backup_id]
    rig.driver.delete(vm_id)
    rig.driver.backups.delete(backup_id)


FREEZING = """
  *'"guest-fsfreeze-freeze"'*) fsfreeze --freeze /data && echo yes > /run/held && printf '{"return": 1}\\n' ;;
  *'"guest-fsfreeze-thaw"'*) rm -f /run/held; fsfreeze --unfreeze /data; printf '{"return": 1}\\n' ;;"""
HELD_STILL = """
import threading
seen = threading.Event().wait
freeze = guest_copies.freeze
def freeze_and_die(domain):
  if freeze(domain): die()
guest_copies.freeze = freeze_and_die"""


def teach_to_freeze(rig: ComputeRig, libvirt: LibvirtRig, vm_id: str) -> None:
    """The tiny image's agent, begun again as one that also holds /data still, and notes that."""
    put = f"cat > /run/more <<'.'{FREEZING}\n.\nsed '/^  case $1 in/r /run/more' /etc/agent > /run/agent\n"
    is_it = "case $(tr '\\0' ' ' < $each/cmdline) in '/bin/sh /etc/agent'*)"
    end = f"for each in /proc/[0-9]*; do {is_it} kill ${{each#/proc/}};; esac; done\n"
    libvirt.on_guest(vm_id, f"{put}{end}(setsid sh /run/agent > /dev/null 2>&1 < /dev/null &)")
    answers = '{"execute": "guest-fsfreeze-thaw"}'
    wait_for(lambda: does_agent_answer(libvirt, vm_id, answers), 60, "the other agent", pause=0.5)


def does_agent_answer(libvirt: LibvirtRig, vm_id: str, command: str) -> bool:
    words = ["virsh", "--connect", libvirt.uri, "qemu-agent-command", libvirt.uuid(vm_id), command]
    return subprocess.run(words, check=False, capture_output=True, timeout=60).returncode == 0


def test_a_guest_that_a_killed_worker_held_still_is_let_go(rig: ComputeRig, libvirt: LibvirtRig, place: Path) -> None:
    vm_id = rig.booted(name="held")
    teach_to_freeze(rig, libvirt, vm_id)
    writes = "echo written > /data/note && sync && cat /data/note"
    backup_id = f"bak_{secrets.token_hex(10)}"
    backup = f"driver.backups.begin({vm_id!r}, {backup_id!r})"

    killed_after(libvirt, place, backup, HELD_STILL)
    assert libvirt.on_guest(vm_id, "cat /run/held") == "yes"
    rig.driver.backups.abort(vm_id, backup_id)
    assert libvirt.on_guest(vm_id, f"test ! -e /run/held && {writes}") == "written"
    assert list(place.iterdir()) == []

    killed_after(libvirt, place, f"driver.copies.begin('op_held', DiskSource({vm_id!r}))", HELD_STILL)
    assert libvirt.on_guest(vm_id, "cat /run/held") == "yes"
    rig.driver.copies.drop("op_held")
    assert libvirt.on_guest(vm_id, f"test ! -e /run/held && {writes}") == "written"

    killed_after(libvirt, place, backup, HELD_STILL)
    assert libvirt.on_guest(vm_id, "cat /run/held") == "yes"
    rig.driver.backups.begin(vm_id, backup_id)
    found = wait_for(lambda: (made := whole(rig, backup_id)) and made, 60, "a whole backup")
    assert found.frozen
    assert [path.name for path in (place / backup_id).iterdir() if "json" not in path.name] == ["disk.qcow2"]
    assert libvirt.on_guest(vm_id, f"test ! -e /run/held && {writes}") == "written"
    rig.driver.delete(vm_id)
    rig.driver.backups.delete(backup_id)


def test_it_is_of_one_moment_whatever_the_guest_writes_meanwhile(
    rig: ComputeRig, libvirt: LibvirtRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm_id = rig.booted(name="busy")
    libvirt.on_guest(vm_id, "seq 100000 > /data/note; sync")
    convert = Copying.convert

    def later(self: Copying, arguments: list[str], *more: Any) -> None:
        if any(word.startswith("nbd") for word in arguments):
            served.append(arguments)
            libvirt.on_guest(vm_id, "seq 100000 -1 1 > /data/new; mv /data/new /data/note; sync")
        convert(self, arguments, *more)

    served: list[list[str]] = []
    monkeypatch.setattr(Copying, "convert", later)
    backup_id = make_backup(rig, vm_id)
    assert len(served) == 1, "it was read in one pass"
    assert libvirt.on_guest(vm_id, "head -n 1 /data/note") == "100000"
    assert [path.name for path in (libvirt.data_dir / "machines").glob(".*")] == []
    rig.driver.force_off(vm_id)
    restore(rig, vm_id, backup_id)
    rig.driver.start(vm_id)
    rig.wait_answered(vm_id)
    assert libvirt.on_guest(vm_id, "head -n 1 /data/note") == "1"
    rig.driver.delete(vm_id)
    rig.driver.backups.delete(backup_id)


def test_where_its_disk_cannot_be_served_it_is_copied_first(
    rig: ComputeRig, libvirt: LibvirtRig, place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    vm_id = rig.booted(name="unserved")
    run = rig.get(vm_id).run_id
    too_long = libvirt.data_dir / "machines" / f".nbd-{'x' * 100}"
    monkeypatch.setattr(libvirt.driver._storage, "served", lambda vm_id: too_long)
    backup_id = make_backup(rig, vm_id)
    assert "copied in two passes: libvirt refused" in caplog.text
    assert [path.name for path in (place / backup_id).iterdir() if "json" not in path.name] == ["disk.qcow2"]
    assert [path.name for path in (libvirt.data_dir / "machines").glob(".*")] == []
    assert rig.get(vm_id).run_id == run
    rig.driver.delete(vm_id)
    rig.driver.backups.delete(backup_id)


def test_guests_own_writes_come_first_where_room_gets_scarce(
    rig: ComputeRig, libvirt: LibvirtRig, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm_id = rig.booted(name="scarce")
    monkeypatch.setattr(guest_copies, "LEAST_BYTES", 2**62)
    rig.driver.backups.begin(vm_id, "bak_scarce")
    assert wait_for(lambda: how_it_ended(rig, "bak_scarce"), 60, "an end") == guest_copies.NEARLY_FULL
    assert list(place.iterdir()) == []
    assert [path.name for path in (libvirt.data_dir / "machines").glob(".*")] == []
    assert rig.get(vm_id).power is PowerState.RUNNING
    rig.driver.delete(vm_id)


def test_a_machine_whose_plug_is_pulled_meanwhile_has_a_whole_backup_or_none(
    rig: ComputeRig, libvirt: LibvirtRig, place: Path
) -> None:
    vm_id = rig.booted(name="pulled", disk_gib=4)
    libvirt.on_guest(vm_id, "dd if=/dev/urandom of=/data/much bs=1M count=200 2>/dev/null; sync")
    backup_id = f"bak_{secrets.token_hex(10)}"
    rig.driver.backups.begin(vm_id, backup_id)
    wait_for(lambda: list(place.glob(".new-*/disk.qcow2")), 30, "the copy to begin")
    rig.driver.force_off(vm_id)
    outcome = wait_for(lambda: how_it_ended(rig, backup_id), 60, "an end")
    if outcome == "whole":  # the copy was quicker
        assert [path.name for path in place.iterdir()] == [backup_id]
    else:
        assert outcome == "The machine went off while it was copied."
        assert list(place.iterdir()) == []
        rig.driver.backups.begin(vm_id, backup_id)  # now as one that is off
        assert wait_for(lambda: how_it_ended(rig, backup_id), 60, "an end") == "whole"
    rig.driver.delete(vm_id)
    rig.driver.backups.delete(backup_id)


def how_it_ended(rig: ComputeRig, backup_id: str) -> str:
    """'whole', why not, or '' while it is under way."""
    try:
        found = rig.driver.backups.progress(backup_id)
    except (ComputeRefused, ComputeUnavailable) as error:
        return str(error)
    assert found is not None
    return "whole" if found.whole else ""


def full(driver: LibvirtCompute) -> str:
    try:
        driver.backups.progress("bak_large")
    except ComputeRefused as error:
        return str(error)
    return ""


def test_a_place_that_becomes_full_is_said_and_left_as_it_was(
    rig: ComputeRig, libvirt: LibvirtRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = libvirt.data_dir.parent / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1300m", "small", place], check=True, timeout=60)
    driver = LibvirtCompute(
        libvirt.uri, libvirt.data_dir, libvirt.namespace, libvirt.driver._image_dir, backup_place=BackupPlace(place)
    )
    vm_id = rig.booted(name="large", disk_gib=4)
    try:
        assert driver.backups.trouble() == "", "it is another disk"
        libvirt.on_guest(vm_id, "dd if=/dev/urandom of=/data/much bs=1M count=300 2>/dev/null; sync")
        with pytest.raises(ComputeRefused, match="no room"):
            driver.backups.begin(vm_id, "bak_large")
        # What nobody foresaw: others fill it while a copy is made.
        monkeypatch.setattr(driver.backups, "_check_room", lambda disk: None)
        subprocess.run(["fallocate", "-l", "1200M", place / "others"], check=True, timeout=60)
        driver.backups.begin(vm_id, "bak_large")
        words = wait_for(lambda: full(driver), 60, "a refusal")
        assert "No space left" in words or "before it was whole" in words
        assert [path.name for path in place.iterdir()] == ["others"]
        assert rig.get(vm_id).power is PowerState.RUNNING, "the guest does not notice"
    finally:
        driver.close()
        rig.driver.delete(vm_id)
        subprocess.run(["umount", place], check=True, timeout=60)
        shutil.rmtree(place)


def test_where_backups_may_be(libvirt: LibvirtRig, tmp_path: Path) -> None:
    def trouble(place: BackupPlace) -> str:
        driver = LibvirtCompute(
            libvirt.uri, tmp_path / "data", libvirt.namespace, libvirt.driver._image_dir, backup_place=place
        )
        return driver.backups.trouble()

    assert trouble(BackupPlace()) == NO_PLACE
    assert trouble(BackupPlace(tmp_path / "backups")) == SAME_DISK
    assert trouble(BackupPlace(tmp_path / "backups", same_disk=True)) == ""
    (tmp_path / "file").write_text("")
    assert "cannot be used" in trouble(BackupPlace(tmp_path / "file" / "backups"))
