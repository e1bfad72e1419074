"""A guest that prints without end fills no disk, with nobody of Zentry's there, and its last words can be read."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compute_contract import ComputeRig, wait_for
from tests.libvirt_daemon import MAX_LOG_BYTES, private_libvirtd
from tests.libvirt_fixture import LibvirtRig, libvirt_rig
from zentry_web.adapters.compute.libvirt.disks.files import fetch_log

pytestmark = [pytest.mark.real, pytest.mark.timeout(500)]
KEPT = 65_536


@pytest.fixture
def libvirt(tmp_path: Path) -> Iterator[LibvirtRig]:
    with private_libvirtd(tmp_path / "libvirtd") as daemon, libvirt_rig(tmp_path, daemon.uri) as rig:
        yield rig


@pytest.fixture
def rig(libvirt: LibvirtRig) -> ComputeRig:
    return libvirt.compute_rig()


def test_the_console_is_bounded_while_nobody_looks(rig: ComputeRig, libvirt: LibvirtRig) -> None:
    vm_id = rig.booted()
    folder = libvirt.data_dir / "machines" / vm_id
    wait_for(lambda: rig.get(vm_id).addresses, 60, "its address")
    address = rig.get(vm_id).addresses[0]
    burst = f"yes 0123456789012345678901234567890123456789 | head -c {32 * MAX_LOG_BYTES}"
    order = f"({burst} > /dev/ttyS0; echo the last words > /dev/ttyS0) >/dev/null 2>&1 &"

    def told() -> bool:
        try:
            libvirt.key.run(address, order)
        except AssertionError:
            return False
        return True

    wait_for(told, 60, "the guest to listen")
    log = folder / "console.log"

    def ended() -> bool:
        try:
            return b"the last words" in log.read_bytes()[-200:]
        except FileNotFoundError:  # between one file and the next
            return False

    wait_for(ended, 300, "the end of the burst", pause=0.5)
    parts = sorted(folder.glob("console.log*"))
    assert [part.name for part in parts] == ["console.log", "console.log.0"]
    assert sum(part.stat().st_size for part in parts) <= 2 * MAX_LOG_BYTES
    tail = rig.driver.console_log(vm_id, KEPT)
    assert "the last words" in tail.text[-200:]
    assert len(tail.text) > 0.9 * KEPT
    assert tail.size == sum(part.stat().st_size for part in parts)
    assert rig.get(vm_id).answered, "its ready line is gone, and was noted"
    # A new file is root's alone; a Zentry with an account of its own gets it through libvirt.
    fetched = libvirt.driver._connection.call(lambda connection: fetch_log(connection, log, 1000))
    assert fetched.text == rig.driver.console_log(vm_id, 1000).text[-len(fetched.text) :]
    assert "the last words" in fetched.text
