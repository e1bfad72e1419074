"""Machines that others have paused or saved, that sleep, or that met a full disk: what is shown, done and charged."""

import pytest

from tests.services.people import acting, events_of
from zentry_web.adapters.compute.base import PowerState
from zentry_web.adapters.compute.words import DISK_FULL, PAUSED, SAVED, SLEEPING
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import ConflictError
from zentry_web.services.vms.records import SUSPENDED

pytestmark = pytest.mark.integration
STANDING = [
    ("paused", VMState.PAUSED, PAUSED),
    ("sleeping", VMState.SLEEPING, SLEEPING),
    ("full", VMState.PAUSED, DISK_FULL),
]


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)


@pytest.fixture
def vm(cloud, alice, project):
    """A VM that has answered and runs for ten minutes."""
    launched = cloud.launch(alice, project)
    cloud.round(600)
    return launched


def last_operation(cloud, vm):
    return cloud.operations(vm)[-1]


@pytest.mark.parametrize(("how", "state", "why"), STANDING)
def test_it_is_shown_charged_and_resumed(cloud, core, alice, vm, how, state, why):
    run_id, answered_at = cloud.row(vm).run_id, cloud.vm(vm).answered_at
    cloud.control.pause(vm.id, how)
    cloud.round(3)
    standing = cloud.vm(vm)
    assert (standing.state, standing.state_reason, standing.is_on) == (state, why, True)
    assert standing.rate_micro_per_hour == vm.running_micro_per_hour
    assert cloud.vms.count_by_state(alice.id, actor=acting(alice)) == {state: 1}
    cloud.live(3 * 3600, step=600)
    assert (len(cloud.run_seconds(vm)), cloud.row(vm).run_id) == (1, run_id)
    assert cloud.charges(vm)[-1].to_at > standing.started_at
    for kind in (cloud.vms.start_vm, cloud.vms.stop_vm, cloud.vms.reboot_vm):
        with pytest.raises(ConflictError, match=str(state)):
            kind(vm.id, actor=acting(alice))

    cloud.vms.resume_vm(vm.id, actor=acting(alice))
    assert cloud.vm(vm).state == VMState.RESUMING
    assert cloud.vm(vm).rate_micro_per_hour == vm.running_micro_per_hour
    cloud.worker.work()
    cloud.round(3)
    again = cloud.vm(vm)
    assert (again.state, again.state_reason, again.answered_at) == (VMState.RUNNING, "", answered_at)
    assert (len(cloud.run_seconds(vm)), cloud.row(vm).run_id) == (1, run_id)
    assert last_operation(cloud, vm).state == OperationState.SUCCEEDED
    seen = "vm.sleep_seen" if state == VMState.SLEEPING else "vm.pause_seen"
    assert len(events_of(core, seen)) == 1
    cloud.assert_sound()


def test_suspended_it_holds_its_memory_and_goes_on_as_it_was(cloud, core, alice, vm):
    before = cloud.row(vm).run_id
    cloud.vms.suspend_vm(vm.id, actor=acting(alice))
    assert cloud.vm(vm).state == VMState.SUSPENDING
    cloud.worker.work()
    cloud.round(3)
    standing = cloud.vm(vm)
    assert (standing.state, standing.state_reason) == (VMState.PAUSED, SUSPENDED)
    assert standing.rate_micro_per_hour == vm.running_micro_per_hour
    assert events_of(core, "vm.pause_seen") == []
    cloud.live(3600, step=600)
    cloud.vms.resume_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert (cloud.vm(vm).state, cloud.vm(vm).state_reason) == (VMState.RUNNING, "")
    assert (len(cloud.run_seconds(vm)), cloud.row(vm).run_id) == (1, before)
    cloud.assert_sound()


def test_a_machine_that_goes_off_meanwhile_is_not_taken_to_stand_still(cloud, alice, vm):
    cloud.vms.suspend_vm(vm.id, actor=acting(alice))
    cloud.control.stop(vm.id)
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.STOPPED
    assert last_operation(cloud, vm).state == OperationState.FAILED
    assert cloud.driver.machine(vm.id).power is PowerState.OFF
    cloud.assert_sound()


def test_a_reset_is_the_same_run(cloud, alice, vm):
    before = cloud.row(vm).run_id
    cloud.vms.reset_vm(vm.id, actor=acting(alice))
    assert cloud.vm(vm).state == VMState.REBOOTING
    cloud.worker.work()
    cloud.round(3)
    assert (cloud.vm(vm).state, cloud.row(vm).run_id) == (VMState.RUNNING, before)
    assert len(cloud.run_seconds(vm)) == 1
    cloud.assert_sound()


def test_resumed_outside_of_zentry_it_runs_again(cloud, core, vm):
    cloud.control.pause(vm.id)
    cloud.round(3)
    cloud.control.pause(vm.id, "")
    cloud.round(3)
    assert (cloud.vm(vm).state, cloud.vm(vm).state_reason) == (VMState.RUNNING, "")
    assert len(events_of(core, "vm.resume_seen")) == 1
    cloud.assert_sound()


def test_a_disk_that_is_still_full_costs_nothing_but_time(cloud, alice, vm):
    cloud.control.pause(vm.id, "full")
    cloud.round(3)
    cloud.control.fault("resume", "refuse", message="The host’s disk is still full.")
    cloud.vms.resume_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    refused = cloud.vm(vm)
    assert (refused.state, refused.state_reason) == (VMState.PAUSED, "The host’s disk is still full.")
    assert cloud.driver.machine(vm.id).power is PowerState.PAUSED, "its power was not cut"
    cloud.vms.resume_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING
    assert len(cloud.run_seconds(vm)) == 1
    cloud.assert_sound()


def test_a_start_that_finds_it_paused_does_not_cut_its_power(cloud, alice, vm):
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.driver.start(vm.id)  # somebody was quicker, and the disk is full
    cloud.control.pause(vm.id, "full")
    cloud.control.fault("start", "refuse", message="The host’s disk is still full.")
    cloud.worker.work()
    assert cloud.driver.machine(vm.id).power is PowerState.PAUSED
    cloud.round(3)
    assert cloud.vm(vm).state == VMState.PAUSED
    assert cloud.run_seconds(vm)[-1][1] is None, "it holds its memory and is paid for"
    cloud.assert_sound()


def test_a_machine_that_starts_onto_a_full_disk_is_paused_and_not_failed(cloud, alice, vm):
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.driver.start(vm.id)
    cloud.control.pause(vm.id, "full")
    cloud.round(3)
    assert (cloud.vm(vm).state, cloud.vm(vm).state_reason) == (VMState.PAUSED, DISK_FULL)
    cloud.assert_sound()


def test_credits_end_for_a_paused_machine_too(cloud, alice, vm):
    cloud.control.pause(vm.id)
    cloud.round(3)
    cloud.set_wallet(alice, 0)
    cloud.live(2 * 3600, step=30)
    assert cloud.driver.machine(vm.id).power is PowerState.OFF
    assert cloud.vm(vm).state == VMState.STOPPED
    assert cloud.written_off() == 0
    cloud.assert_sound()


@pytest.mark.parametrize("kind", [OperationKind.FORCE_OFF, OperationKind.DELETE])
def test_a_paused_machine_can_be_forced_off_and_deleted(cloud, alice, vm, kind):
    cloud.control.pause(vm.id)
    cloud.round(3)
    if kind == OperationKind.FORCE_OFF:
        cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    else:
        cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()
    machine = cloud.driver.machine(vm.id)
    if kind == OperationKind.FORCE_OFF:
        assert (cloud.vm(vm).state, machine.power) == (VMState.STOPPED, PowerState.OFF)
    else:
        assert (cloud.row(vm).state, machine) == (VMState.DELETED, None)
    cloud.assert_sound()


def test_saved_memory_is_said_resumed_and_answers(cloud, alice, vm):
    cloud.control.save(vm.id)
    cloud.round(3)
    assert (cloud.vm(vm).state, cloud.vm(vm).state_reason) == (VMState.STOPPED, SAVED)
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.round(3)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.vm(vm).answered_at is not None
    assert cloud.vm(vm).address
    cloud.assert_sound()


def test_no_other_size_while_memory_is_saved(cloud, alice, vm):
    cloud.control.save(vm.id)
    cloud.round(3)
    cloud.vms.resize_vm(vm.id, "size_medium", actor=acting(alice))
    cloud.worker.work()
    cloud.round(3)
    refused = cloud.vm(vm)
    assert (refused.state, refused.vcpus, refused.memory_mib) == (VMState.STOPPED, vm.vcpus, vm.memory_mib)
    assert "memory is saved" in refused.state_reason
    assert refused.rate_micro_per_hour == vm.stopped_micro_per_hour
    cloud.assert_sound()


def test_a_running_machine_with_a_snapshot_is_not_stopped_in_vain(cloud, alice, vm):
    run_id = cloud.row(vm).run_id
    cloud.control.snapshot(vm.id)
    cloud.vms.resize_vm(vm.id, "size_medium", actor=acting(alice))
    cloud.worker.work()
    cloud.round(3)
    refused = cloud.vm(vm)
    assert (refused.state, refused.vcpus) == (VMState.RUNNING, vm.vcpus)
    assert "snapshot" in refused.state_reason
    assert cloud.row(vm).run_id == run_id
    assert len(cloud.run_seconds(vm)) == 1
    assert cloud.driver.machine(vm.id).run_id == run_id
    cloud.assert_sound()
