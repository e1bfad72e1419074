"""kill -9 (tests/real/test_kill_guests.py) while a machine gets another disk, is to boot the rescue system, or while
what was asked of it is aborted: all of it or nothing, and nothing is left on the host."""

import pytest
from sqlalchemy import select

from tests.real.test_kill import kill_at_each
from tests.real.test_kill_guests import answered, real  # noqa: F401 - a fixture
from tests.real.worker_process import Rig
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbDiskAside, DbOperation, DbVM

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


def newest(rig, vm):
    return rig.rows(select(DbOperation).where(DbOperation.vm_id == vm.id).order_by(DbOperation.id.desc()))[0]


def row(rig, vm):
    return rig.rows(select(DbVM).where(DbVM.id == vm.id))[0]


def files(rig, vm):
    """What lies on the host for it, aside or not."""
    folder = rig.config.data / "machines"
    asides = [path.name for path in folder.glob(f".aside-{vm.id}-*")]
    return sorted([*(path.name for path in (folder / vm.id).iterdir()), *asides])


def abort(rig, vm):
    """Asked for while no worker lives; the one that takes it up is killed, too."""
    operation = newest(rig, vm)
    rig.vms.work.abort(operation.id, actor=rig.me)
    rig.worker.kill_at(f"{operation.kind}.aborted")
    rig.settle()
    ended = newest(rig, vm)
    assert (ended.id, ended.state, ended.aborted_by) == (operation.id, OperationState.CANCELLED, rig.alice.id)


def test_what_changes_a_real_guest_is_whole_or_nothing(real: Rig):  # noqa: F811
    vm = real.launch("web")
    real.worker.start()
    real.worker.wait_for(answered(real, vm), 180, "the guest's answer")
    real.settle()
    aborted_while_it_is_resized(real, vm)
    real.vms.force_off_vm(vm.id, actor=real.me)
    real.settle()
    rebuilt_and_brought_back(real, vm)
    into_rescue_and_out(real, vm)
    real.vms.delete_vm(vm.id, vm.name, actor=real.me)
    real.settle()
    assert (real.driver.machines(), real.disks()) == ([], set())


def aborted_while_it_is_resized(rig, vm):
    before = row(rig, vm)
    rig.vms.resize_vm(vm.id, "size_micro", actor=rig.me)
    rig.worker.kill_at("resize.recorded")  # off by now
    abort(rig, vm)
    after = row(rig, vm)
    assert (after.state, after.size_id, after.memory_mib) == (VMState.RUNNING, before.size_id, before.memory_mib)
    (running,) = rig.driver.statistics()
    assert running.memory_total_bytes == before.memory_mib << 20


def rebuilt_and_brought_back(rig, vm):
    at_first = files(rig, vm)
    data = {"image_id": "img_tiny", "confirm_name": vm.name, "access": "new", "user_data": "#!/bin/sh\ntrue\n"}
    operation = rig.vms.rebuilding.request(vm.id, data, rig.alice, actor=rig.me)
    kill_at_each(rig, "rebuild", ("changed",))
    rig.settle()
    assert newest(rig, vm).state == OperationState.SUCCEEDED
    assert row(rig, vm).user_data == data["user_data"]
    (aside,) = rig.rows(select(DbDiskAside))
    assert aside.operation_id == operation.id
    assert aside.until is not None
    assert [name for name in files(rig, vm) if name.startswith(".")] == [f".aside-{vm.id}-{operation.id}"]
    rig.vms.rebuilding.request_back(vm.id, actor=rig.me)
    kill_at_each(rig, "bring_back", ("changed",))
    rig.settle()
    assert (newest(rig, vm).state, row(rig, vm).user_data) == (OperationState.SUCCEEDED, "")
    assert rig.rows(select(DbDiskAside)) == []
    assert files(rig, vm) == at_first


def into_rescue_and_out(rig, vm):
    at_first = files(rig, vm)
    rig.vms.rescuing.request(vm.id, rig.alice, actor=rig.me)
    kill_at_each(rig, "rescue", ("changed",))
    rig.settle()
    assert row(rig, vm).rescued_at is not None
    assert newest(rig, vm).secret == "", "whoever gets in is kept nowhere once it is done"
    assert len(files(rig, vm)) > len(at_first)
    rig.vms.rescuing.leave(vm.id, actor=rig.me)
    kill_at_each(rig, "unrescue", ("changed",))
    rig.settle()
    assert row(rig, vm).rescued_at is None
    assert files(rig, vm) == at_first
