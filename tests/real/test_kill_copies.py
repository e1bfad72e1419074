"""kill -9 (tests/real/test_kill_guests.py) while a disk is copied: for an image of a machine that runs, and for a new
machine from a snapshot. Each is done once, and nothing of it is left over."""

import pytest
from sqlalchemy import select

from tests.real.test_kill import kill_at_each
from tests.real.test_kill_guests import answered
from tests.real.worker_process import Rig, rig_with_images
from zentry_web.domain.vms.image import VersionState
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbImageVersion, DbOperation

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


@pytest.fixture
def real(tmp_path):
    with rig_with_images(tmp_path) as rig:
        yield rig


def settle(rig):
    """As Rig.settle; then nothing is left of a copy, which the worker's loop sees to where an operation was over."""
    rig.worker.start()
    rig.worker.wait_for(rig.is_settled, 120, "everything to settle")
    rig.worker.wait_for(lambda: rig.driver.copies.stored() == (), 60, "the copy to be dropped")
    rig.settle()
    assert [path.name for path in (rig.config.data / "machines").glob(".*")] == []


def test_an_image_and_a_machine_of_a_snapshot_are_made_once(real: Rig):
    vm = real.launch("web")
    real.worker.start()
    real.worker.wait_for(answered(real, vm), 180, "the guest's answer")
    real.settle()
    run_id = real.driver.machine(vm.id).run_id

    image = real.vms.machine_images.make(vm.id, {"name": "of-web", "note": ""}, actor=real.me)
    kill_at_each(real, "image", ("begun", "placed", "recorded"))
    settle(real)
    (made,) = real.vms.machine_images.list(real.project.id, actor=real.me)
    assert (made.name, made.is_ready, made.operation_id) == ("of-web", True, image.id)
    (version,) = real.rows(select(DbImageVersion).where(DbImageVersion.image_id == made.id))
    assert version.state == VersionState.READY
    assert sorted(path.name for path in real.config.image_dir.iterdir()) == sorted(["tiny", version.driver_name])

    real.vms.snapshots.take(vm.id, {"name": "before", "note": ""}, actor=real.me)
    real.settle()
    (snapshot,) = real.vms.snapshots.list(vm.id, actor=real.me)
    data = {"project_id": real.project.id, "name": "copy", "size_id": "size_nano", "image_id": "img_tiny"}
    (copy,) = real.vms.create_vms(data | {"snapshot_id": snapshot.id}, real.alice, actor=real.me)
    kill_at_each(real, "create", ("begun", "adopted"))
    settle(real)
    assert real.driver.machine(vm.id).run_id == run_id, "the machine itself went on"
    assert [real.state(each) for each in (vm, copy)] == [VMState.RUNNING] * 2

    aborted_while_it_is_copied(real, vm)
    assert real.driver.machine(vm.id).run_id == run_id


def aborted_while_it_is_copied(rig, vm):
    """Killed in it, and not wanted any more when the next worker comes."""
    order = rig.vms.machine_images.make(vm.id, {"name": "unwanted", "note": ""}, actor=rig.me)
    rig.worker.kill_at("image.begun")
    rig.vms.work.abort(order.id, actor=rig.me)
    settle(rig)
    (operation,) = rig.rows(select(DbOperation).where(DbOperation.id == order.id))
    assert operation.state == OperationState.CANCELLED
    assert [each.name for each in rig.vms.machine_images.list(rig.project.id, actor=rig.me)] == ["of-web"]
