"""What a worker that was killed had begun beside a machine's disk."""

from pathlib import Path

import pytest

from zentry_web.adapters.compute.libvirt.disks.asides import DiskAsides
from zentry_web.adapters.compute.libvirt.disks.storage import MachineStorage

pytestmark = pytest.mark.unit
VM = "vm_0a1b2c3d4e5f"


def test_beginning_again_leaves_nothing_of_the_time_before(tmp_path: Path) -> None:
    storage = MachineStorage(tmp_path / "machines")
    storage.folder(VM).mkdir(parents=True)
    storage.seed(VM).write_bytes(b"seed")
    (storage.folder(VM) / "machine.json").write_text('{"disk_gib": 5}')
    asides = DiskAsides(storage)
    killed = asides.begin(VM, "op_1")
    again = asides.begin(VM, "op_1")
    assert not killed.exists()
    assert storage.notes(VM)["disk_gib"] == 5
    asides.exchange(VM, again, "op_1")
    assert asides.is_replaced(VM, "op_1")
    assert sorted(path.name for path in storage.machines_dir.iterdir()) == [f".aside-{VM}-op_1", VM]
