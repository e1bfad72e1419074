"""kill -9 at any point (tests/real/test_kill.py) on real guests: no VM is lost, none is made twice."""

import random
import threading

import pytest
from sqlalchemy import select

from tests.real.test_kill import DOWN, RESIZE, UP, kill_at_each
from tests.real.worker_process import Rig, guest_rig_on, libvirt_config
from zentry_web.adapters.compute.libvirt.driver import LibvirtCompute
from zentry_web.domain.vms.snapshot import aside_name
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbOperation, DbUsageInterval

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


@pytest.fixture
def real(tmp_path):
    """On real guests; all of them are gone afterwards."""
    config = libvirt_config(tmp_path)
    with guest_rig_on(config) as rig:
        assert isinstance(rig.driver, LibvirtCompute)
        yield rig


class Moments:
    """Moments of a seeded chance at which the worker is killed."""

    def __init__(self, seed, count):
        chance = random.Random(seed)
        self._seconds = [chance.uniform(0.5, 4.0) for _ in range(count)]
        self._never = threading.Event()

    def __iter__(self):
        return iter(self._seconds)

    def wait(self, seconds):
        """Any moment is as good as another: here time itself is what is waited for."""
        self._never.wait(seconds)


@pytest.fixture(params=[20261123])
def random_moments(request):
    return Moments(request.param, 8)


def answered(rig, vm):
    return lambda: rig.vms.get_vm(vm.id).answered_at


def test_every_step_on_a_real_guest(real: Rig):
    vm = real.launch("web")
    kill_at_each(real, "create", UP)
    real.worker.start()
    real.worker.wait_for(answered(real, vm), 180, "the guest's answer")
    real.settle()
    run_id = real.driver.machine(vm.id).run_id
    real.vms.stop_vm(vm.id, actor=real.me)
    kill_at_each(real, "stop", DOWN)
    real.settle()
    assert real.state(vm) == VMState.STOPPED
    real.vms.start_vm(vm.id, actor=real.me)
    kill_at_each(real, "start", UP)
    real.settle()
    assert real.driver.machine(vm.id).run_id != run_id
    real.vms.resize_vm(vm.id, "size_micro", actor=real.me)
    kill_at_each(real, "resize", RESIZE)
    real.settle()
    real.worker.start()
    real.worker.wait_for(answered(real, vm), 180, "the answer of the resized guest")
    real.worker.end()
    (row,) = [one for one in real.driver.statistics() if one.vm_id == vm.id]
    assert (row.vcpus, row.memory_total_bytes) == (1, 512 * 1024 * 1024)
    real.vms.snapshots.take(vm.id, {"name": "before", "note": ""}, actor=real.me)
    kill_at_each(real, "snapshot", ("claimed", "made", "seen"))
    real.settle()
    (snapshot,) = real.vms.snapshots.list(vm.id, actor=real.me)
    assert [each.name for each in real.driver.snapshots.list(vm.id)] == [snapshot.id]
    run_id = real.driver.machine(vm.id).run_id
    real.vms.snapshots.revert(vm.id, snapshot.id, actor=real.me)
    kill_at_each(real, "revert", ("claimed", "done"))
    real.settle()
    assert real.state(vm) == VMState.RUNNING
    assert real.driver.machine(vm.id).run_id != run_id
    real.vms.snapshots.delete(vm.id, snapshot.id, actor=real.me)
    kill_at_each(real, "discard", ("claimed", "gone"))
    real.settle()
    # What the machine was before the revert is kept for an hour.
    (revert,) = real.rows(select(DbOperation).where(DbOperation.vm_id == vm.id, DbOperation.kind == "revert"))
    assert [each.name for each in real.driver.snapshots.list(vm.id)] == [aside_name(revert.id)]
    real.vms.force_off_vm(vm.id, actor=real.me)
    kill_at_each(real, "force_off", DOWN)
    real.settle()
    real.vms.delete_vm(vm.id, vm.name, actor=real.me)
    kill_at_each(real, "delete", ("claimed", "gone"))
    real.settle()
    assert real.state(vm) == VMState.DELETED
    assert real.driver.machines() == []


def test_five_vms_and_kills_at_random(real: Rig, random_moments):
    vms = [real.launch(f"web-{number}") for number in range(5)]
    for number, moment in enumerate(random_moments):
        real.worker.start()
        random_moments.wait(moment)
        if number == 3:
            act(real, vms)
        real.worker.kill()
    real.settle(180)
    states = sorted(str(real.state(vm)) for vm in vms)
    assert states == ["deleted", "running", "running", "running", "stopped"]
    assert len(real.driver.machines()) == 4
    created = real.rows(select(DbUsageInterval).where(DbUsageInterval.state == "running"))
    assert len({row.vm_id for row in created}) == len(created), "no VM was started twice"


def act(rig, vms):
    """What the owner does meanwhile: one VM off, one away."""
    first, second = vms[0], vms[1]
    rig.worker.wait_for(lambda: rig.state(first) == VMState.RUNNING, 60, "the first VM to run")
    rig.vms.force_off_vm(first.id, actor=rig.me)
    rig.vms.delete_vm(second.id, second.name, actor=rig.me)
