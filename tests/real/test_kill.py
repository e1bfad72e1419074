"""kill -9 at any point: no VM is lost, none is made twice, nothing is charged twice.

Each step in order: the worker is held at the step, killed there, and the next one goes on from what it finds. The
steps of one action are killed one after the other, so that every kill also meets the traces of the one before.
On the simulator; the same on real guests is in test_kill_guests.py.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import func, select

from tests.conftest import make_config
from tests.real.worker_process import Rig, rig_on
from tests.services.vm_world import Cloud
from zentry_web.adapters.clock import ManualClock
from zentry_web.adapters.compute.simulator.control import SimulatorControl
from zentry_web.adapters.compute.simulator.store import SimulatorStore
from zentry_web.composition import build_container, make_compute
from zentry_web.domain.vms.state import VMState
from zentry_web.migrate import migrate
from zentry_web.models import DbCharge, DbHold, DbTransfer, DbUsageInterval, DbVM

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

RESIZE = ("claimed", "asked", "off", "recorded", "changed", "boot", "running")
UP = ("claimed", "disk", "boot", "running")
DOWN = ("claimed", "asked", "off")


@pytest.fixture
def simulated(tmp_path):
    config = make_config(tmp_path / "data")
    migrate(config)
    with rig_on(config) as rig:
        yield rig


def pause(rig, vm):
    """Somebody on the host pauses it, and the worker sees that."""
    control = SimulatorControl(rig.config.data / "simulator.sqlite")
    control.pause(vm.id)
    control.close()
    rig.worker.start()
    rig.worker.wait_for(lambda: rig.state(vm) == VMState.PAUSED, 60, "the pause to be seen")
    rig.worker.end()


def kill_at_each(rig, action, steps):
    for step in steps:
        rig.worker.kill_at(f"{action}.{step}")


def test_every_step_of_coming_up(simulated: Rig):
    vm = simulated.launch("web")
    kill_at_each(simulated, "create", UP)
    simulated.settle()
    assert simulated.state(vm) == VMState.RUNNING
    simulated.vms.force_off_vm(vm.id, actor=simulated.me)
    simulated.settle()
    simulated.vms.start_vm(vm.id, actor=simulated.me)
    kill_at_each(simulated, "start", UP)
    simulated.settle()
    assert simulated.state(vm) == VMState.RUNNING
    spans = simulated.rows(select(DbUsageInterval).where(DbUsageInterval.state == "running"))
    assert len(spans) == 2
    holds = simulated.rows(select(DbHold).where(DbHold.closed_at.is_(None)))
    assert len(holds) == 1


def test_every_step_of_going_down(simulated: Rig):
    vm = simulated.launch("web")
    simulated.settle()
    simulated.vms.reboot_vm(vm.id, actor=simulated.me)
    kill_at_each(simulated, "reboot", ("claimed", "asked"))
    simulated.settle()
    assert simulated.state(vm) == VMState.RUNNING
    simulated.vms.reset_vm(vm.id, actor=simulated.me)
    kill_at_each(simulated, "reset", ("claimed", "asked"))
    simulated.settle()
    assert simulated.state(vm) == VMState.RUNNING
    simulated.vms.suspend_vm(vm.id, actor=simulated.me)
    kill_at_each(simulated, "suspend", ("claimed", "asked"))
    simulated.worker.start()
    simulated.worker.wait_for(lambda: simulated.state(vm) == VMState.PAUSED, 60, "it to stand still")
    simulated.worker.end()
    simulated.vms.resume_vm(vm.id, actor=simulated.me)
    kill_at_each(simulated, "resume", ("claimed", "asked"))
    simulated.settle()
    assert simulated.state(vm) == VMState.RUNNING
    simulated.vms.stop_vm(vm.id, actor=simulated.me)
    kill_at_each(simulated, "stop", DOWN)
    simulated.settle()
    assert simulated.state(vm) == VMState.STOPPED
    simulated.vms.start_vm(vm.id, actor=simulated.me)
    simulated.settle()
    simulated.vms.force_off_vm(vm.id, actor=simulated.me)
    kill_at_each(simulated, "force_off", DOWN)
    simulated.settle()
    assert simulated.state(vm) == VMState.STOPPED
    simulated.vms.delete_vm(vm.id, vm.name, actor=simulated.me)
    kill_at_each(simulated, "delete", ("claimed", "gone"))
    simulated.settle()
    assert simulated.state(vm) == VMState.DELETED
    assert simulated.rows(select(DbHold).where(DbHold.closed_at.is_(None))) == []


def test_every_step_of_a_resize(simulated: Rig):
    vm = simulated.launch("web")
    simulated.settle()
    simulated.vms.resize_vm(vm.id, "size_micro", actor=simulated.me)
    kill_at_each(simulated, "resize", RESIZE)
    simulated.settle()
    assert simulated.state(vm) == VMState.RUNNING
    assert sizes_of(simulated, vm) == {(1, 512)}
    simulated.vms.force_off_vm(vm.id, actor=simulated.me)
    simulated.settle()
    simulated.vms.resize_vm(vm.id, "size_small", actor=simulated.me)
    kill_at_each(simulated, "resize", ("claimed", "recorded", "changed"))
    simulated.settle()
    assert simulated.state(vm) == VMState.STOPPED
    assert sizes_of(simulated, vm) == {(2, 2048)}
    spans = simulated.rows(select(DbUsageInterval).where(DbUsageInterval.vm_id == vm.id).order_by(DbUsageInterval.id))
    assert [span.state for span in spans] == ["running", "stopped", "running", "stopped", "stopped"]
    for earlier, later in pairwise(spans):
        assert earlier.end_at == later.start_at
    assert simulated.rows(select(DbHold).where(DbHold.closed_at.is_(None))) == []


def sizes_of(rig, vm):
    """As recorded and as the host has it: one if they agree."""
    found = {(row.vcpus, row.memory_mib) for row in rig.rows(select(DbVM).where(DbVM.id == vm.id))}
    machine = SimulatorStore(rig.config.data / "simulator.sqlite").find(vm.id)
    return found | {(machine.vcpus, machine.memory_mib)}


@pytest.mark.asvs("2.3.3", "16.5.3")
def test_every_step_of_settling_and_renewing(tmp_path):
    """A VM that ran for three and a half hours while no worker did: charged once, its hold renewed once."""
    config = make_config(tmp_path / "data")
    migrate(config)
    clock = ManualClock(datetime.now(UTC) - timedelta(hours=3, minutes=30))
    past = build_container(config, clock=clock)
    driver = make_compute(config, clock=clock)
    cloud = Cloud(past, driver, clock, config)
    with rig_on(config) as rig:
        vm = rig.launch("unused")  # of the present: nothing is due of it
        rig.vms.delete_vm(vm.id, vm.name, actor=rig.me)
        old = cloud.launch(rig.alice, rig.project, "old")
        cloud.close()
        driver.close()
        past.close()
        # All is confirmed up to now, so that a worker settles before it renews, whichever of its loops is the fastest.
        rig.container.get_monitoring_service().processes.record_answer(datetime.now(UTC), {})
        kill_at_each(rig, "settle", ("written", "committed"))
        kill_at_each(rig, "renew", ("written",))
        rig.worker.start()
        rig.worker.wait_for(lambda: hold_of(rig, old).paid_until > datetime.now(UTC), 60, "the hold to be renewed")
        rig.settle()
        rows = rig.rows(select(DbCharge).where(DbCharge.vm_id == old.id).order_by(DbCharge.from_at))
        assert len(rows) in (3, 4)
        for earlier, later in pairwise(rows):
            assert earlier.to_at == later.from_at
        assert rows[0].from_at == rig.rows(select(DbUsageInterval.start_at))[0]
        renewals = rig.rows(
            select(func.count()).select_from(DbTransfer).where(DbTransfer.idempotency_key.like("renew:%"))
        )
        assert renewals == [1]


def hold_of(rig, vm):
    return rig.rows(select(DbHold).where(DbHold.vm_id == vm.id, DbHold.closed_at.is_(None)))[0]
