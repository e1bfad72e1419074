"""What every driver does with images."""

from pathlib import Path

import pytest

from tests.compute_contract.rig import ComputeRig
from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.images import ImageOrder
from zentry_web.adapters.compute.watch import Stopped, Watch
from zentry_web.domain.vms.image import ImageSource

MIB = 1024**2
WATCH = Watch(lambda step: None, lambda done, total: None, lambda: True)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A raw disk that looks as if it had a boot loader."""
    path = tmp_path / "disk.raw"
    path.write_bytes(b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa")
    with path.open("ab") as file:
        file.truncate(16 * MIB)
    return path


class ImagesContract:
    """The tests; ``rig`` as for ComputeContract."""

    def test_an_image_from_a_file_is_there_and_makes_machines(self, rig: ComputeRig, disk: Path) -> None:
        order = ImageOrder("from-file", ImageSource.FILE, str(disk))
        steps: list[str] = []
        facts = rig.driver.images.make(order, Watch(steps.append, WATCH.done, WATCH.wanted))
        assert steps == ["digest", "look", "convert", "check", "place"]
        assert len(facts.sha256) == 64
        assert facts.size_bytes > 0
        assert "from-file" in rig.driver.images.names()
        again = rig.driver.images.make(order, WATCH)
        assert again.sha256 == facts.sha256, "what is there is not made again"
        spec = rig.spec(image="from-file", disk_gib=3)
        rig.driver.create(spec)
        rig.driver.start(spec.vm_id)
        assert rig.get(spec.vm_id).is_on
        rig.driver.force_off(spec.vm_id)
        rig.driver.resize(spec.vm_id, vcpus=1, memory_mib=128, disk_gib=4)
        note = rig.driver.note(spec.vm_id)
        assert note is not None
        assert (note.image, note.disk_gib) == ("from-file", 4)
        assert rig.driver.images.remove("from-file") is False, "a machine is based on it"
        assert "from-file" in rig.driver.images.names()
        rig.driver.delete(spec.vm_id)
        assert rig.driver.images.remove("from-file") is True
        assert "from-file" not in rig.driver.images.names()
        assert rig.driver.images.remove("from-file") is True, "what is gone is gone"

    def test_a_file_that_is_not_there_makes_nothing(self, rig: ComputeRig, tmp_path: Path) -> None:
        with pytest.raises(ComputeRefused, match="not there any more"):
            rig.driver.images.make(ImageOrder("none", ImageSource.FILE, str(tmp_path / "none")), WATCH)
        assert "none" not in rig.driver.images.names()

    def test_a_recipe_that_there_is_not(self, rig: ComputeRig) -> None:
        with pytest.raises(ComputeRefused, match="no recipe"):
            rig.driver.images.make(ImageOrder("odd", ImageSource.BUILD, "windows-11"), WATCH)

    def test_one_that_is_not_wanted_any_more_is_stopped_and_forgotten(self, rig: ComputeRig, disk: Path) -> None:
        order = ImageOrder("stopped", ImageSource.FILE, str(disk))
        with pytest.raises(Stopped):
            rig.driver.images.make(order, Watch(WATCH.at, WATCH.done, lambda: False))
        rig.driver.images.forget(order)
        rig.driver.images.forget(order)
        assert "stopped" not in rig.driver.images.names()
        assert disk.exists(), "somebody’s own file stays"

    def test_a_machine_of_an_image_that_is_not_there_is_refused(self, rig: ComputeRig) -> None:
        spec = rig.spec(image="never-made")
        with pytest.raises(ComputeRefused, match="not on this host"):
            rig.driver.create(spec)
        assert rig.driver.machine(spec.vm_id) is None
