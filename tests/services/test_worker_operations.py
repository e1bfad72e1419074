"""The worker's operations, one step at a time, on the simulator and a manual clock."""

from datetime import timedelta

import pytest

from tests.services.people import acting, events_of
from tests.services.vm_world import Killed
from zentry_web.domain.event import Outcome
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.services.vms.operations import LEASE

pytestmark = pytest.mark.integration


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)


def steps_of(cloud, vm):
    page = cloud.vms.get_vm_page(vm.id)
    return [step.status for step in page.steps]


def test_a_launch_goes_through_its_steps_to_answered(cloud, core, alice, project):
    vm = cloud.ask(alice, project)
    seen = []
    cloud.worker.checkpoint = lambda step: seen.append((step, cloud.operations(vm)[0].step, cloud.vm(vm).state))
    cloud.worker.work()
    assert seen == [
        ("create.claimed", "queued", VMState.CREATING),
        ("create.disk", "disk", VMState.CREATING),
        ("create.boot", "boot", VMState.CREATING),
        ("create.running", "boot", VMState.CREATING),
    ]
    running = cloud.vm(vm)
    assert (running.state, running.answered_at, running.address) == (VMState.RUNNING, None, "")
    assert steps_of(cloud, vm) == ["done", "done", "done", "done", "current"]
    cloud.round(1)
    assert cloud.vm(vm).answered_at is None, "the simulated guest takes two seconds to boot"
    cloud.round(2)
    answered = cloud.vm(vm)
    assert answered.answered_at == cloud.clock.now()
    assert answered.address.startswith("10.77.")
    assert steps_of(cloud, vm) == ["done"] * 5
    assert len(events_of(core, "vm.answered")) == 1
    cloud.round()
    assert len(events_of(core, "vm.answered")) == 1
    (span,) = cloud.run_seconds(vm)
    assert span == (running.started_at.replace(microsecond=0), None)
    assert cloud.hold(vm).interval_id is not None
    cloud.assert_sound()


@pytest.mark.error
def test_a_refusal_ends_in_error_with_the_reason_and_leaves_nothing(cloud, core, alice, project):
    cloud.control.fault("create", "refuse", message="The host has no room for a disk of this size.")
    vm = cloud.ask(alice, project)
    cloud.worker.work()
    failed = cloud.vm(vm)
    assert (failed.state, failed.state_reason) == (VMState.ERROR, "The host has no room for a disk of this size.")
    assert cloud.driver.machines() == []
    assert (cloud.held(alice), cloud.wallet(alice)) == (0, 5_000_000)
    assert cloud.intervals(vm) == []
    (operation,) = cloud.operations(vm)
    assert (operation.state, operation.error) == (OperationState.FAILED, failed.state_reason)
    assert [event.outcome for event in events_of(core, "vm.create")] == [Outcome.ACCEPTED, Outcome.FAILED]
    assert steps_of(cloud, vm)[1] == "failed"
    cloud.assert_sound()


@pytest.mark.error
def test_a_start_without_memory_takes_the_new_disk_away_again(cloud, alice, project):
    cloud.control.fault("start", "refuse", message="The host has not enough free memory to start this machine.")
    vm = cloud.ask(alice, project)
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.ERROR
    assert cloud.driver.machines() == []
    cloud.clock.advance(1)
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING, "a start makes what was never made"
    cloud.assert_sound()


@pytest.mark.error
def test_a_start_that_is_refused_leaves_it_stopped_with_the_reason(cloud, alice, project):
    vm = cloud.launch(alice, project)
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.clock.advance(60)
    cloud.control.fault("start", "refuse", message="No memory.")
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    stopped = cloud.vm(vm)
    assert (stopped.state, stopped.state_reason) == (VMState.STOPPED, "No memory.")
    assert cloud.held(alice) == 0
    assert [(row.state, row.end_at is None) for row in cloud.intervals(vm)] == [("running", False), ("stopped", True)]
    cloud.assert_sound()


@pytest.mark.error
def test_an_absent_host_is_tried_again_with_growing_pauses(cloud, alice, project):
    cloud.control.fault("create", "unavailable", times=4)
    vm = cloud.ask(alice, project)
    pauses = []
    for _ in range(4):
        assert len(cloud.worker.work()) == 1
        (operation,) = cloud.operations(vm)
        assert operation.state == OperationState.QUEUED
        assert "does not answer" in operation.error
        pauses.append((operation.run_at - cloud.clock.now()).total_seconds())
        assert cloud.worker.work() == []
        cloud.clock.set(operation.run_at)
    assert pauses == [1, 2, 4, 8]
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING
    assert cloud.operations(vm)[0].error == ""
    cloud.assert_sound()


@pytest.mark.error
def test_an_absent_host_is_given_up_after_ten_minutes(cloud, alice, project):
    cloud.control.fault("*", "unavailable", times=None)
    vm = cloud.ask(alice, project)
    cloud.live(690, step=30)
    failed = cloud.vm(vm)
    assert failed.state == VMState.ERROR
    assert "does not answer" in failed.state_reason
    assert cloud.held(alice) == 0
    (operation,) = cloud.operations(vm)
    assert timedelta(minutes=10) <= operation.finished_at - operation.created_at < timedelta(minutes=12)
    cloud.control.clear()
    cloud.clock.advance(1)
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.live(10)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert len(cloud.driver.machines()) == 1
    cloud.assert_sound()


@pytest.mark.error
@pytest.mark.parametrize("action", ["create", "start"])
@pytest.mark.parametrize("kind", ["timeout", "timeout-after"])
def test_no_answer_is_looked_into_and_nothing_is_made_twice(cloud, alice, project, action, kind):
    cloud.control.fault(action, kind)
    vm = cloud.ask(alice, project)
    cloud.live(10)
    assert cloud.vm(vm).state == VMState.RUNNING
    assert len(cloud.driver.machines()) == 1
    assert len(cloud.run_seconds(vm)) == 1
    cloud.assert_sound()


@pytest.mark.error
@pytest.mark.parametrize("kind", ["unavailable", "timeout", "timeout-after"])
@pytest.mark.parametrize("action", ["shutdown", "force_off", "delete"])
def test_going_down_survives_a_host_that_stumbles(cloud, alice, project, action, kind):
    vm = cloud.launch(alice, project)
    cloud.control.fault(action, kind, times=2)
    if action == "delete":
        cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    elif action == "shutdown":
        cloud.vms.stop_vm(vm.id, actor=acting(alice))
    else:
        cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.live(30)
    assert cloud.row(vm).state == (VMState.DELETED if action == "delete" else VMState.STOPPED)
    cloud.assert_sound()


def test_a_stop_ends_the_bill_when_the_driver_says_so(cloud, alice, project, clock):
    vm = cloud.launch(alice, project)
    cloud.round(300)
    cloud.control.delay("power_off", 20)
    asked = clock.now()
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.STOPPED
    (span,) = cloud.run_seconds(vm)
    assert abs((span[1] - asked).total_seconds() - 20) <= 1
    assert cloud.intervals(vm)[-1].rate_micro_per_hour == 100
    assert (cloud.held(alice), cloud.hold(vm)) == (0, None)
    assert cloud.vm(vm).address == ""
    cloud.assert_sound()


@pytest.mark.error
def test_a_guest_that_ignores_the_stop_stays_billed_and_its_owner_is_told(cloud, alice, project):
    vm = cloud.launch(alice, project)
    cloud.control.fault("shutdown", "ignore", times=None)
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    began = cloud.clock.now()
    cloud.worker.work()
    running = cloud.vm(vm)
    assert running.state == VMState.RUNNING
    assert "Force off" in running.state_reason
    assert 60 <= (cloud.clock.now() - began).total_seconds() < 70
    assert cloud.run_seconds(vm)[0][1] is None
    assert cloud.hold(vm) is not None
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert (cloud.vm(vm).state, cloud.vm(vm).state_reason) == (VMState.STOPPED, "")
    cloud.assert_sound()


@pytest.mark.error
def test_time_to_stop_counts_from_the_asking_not_from_the_click(cloud, alice, project):
    vm = cloud.launch(alice, project)
    cloud.control.fault("*", "unavailable", times=None)
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.live(300, step=30)
    cloud.control.clear()
    cloud.live(70, step=5)
    stopped = cloud.vm(vm)
    assert (stopped.state, stopped.state_reason) == (VMState.STOPPED, "")
    cloud.assert_sound()


@pytest.mark.error
def test_a_guest_that_goes_on_booting_is_asked_again(cloud, alice, project):
    vm = cloud.launch(alice, project)
    cloud.control.fault("shutdown", "ignore", times=2)
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    began = cloud.clock.now()
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.STOPPED
    assert 10 <= (cloud.clock.now() - began).total_seconds() < 15


def test_a_reboot_is_the_same_run_on_the_same_bill(cloud, alice, project):
    vm = cloud.launch(alice, project)
    before = cloud.row(vm)
    cloud.clock.advance(30)
    cloud.vms.reboot_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    after = cloud.row(vm)
    assert (after.state, after.run_id, after.started_at) == (VMState.RUNNING, before.run_id, before.started_at)
    assert len(cloud.run_seconds(vm)) == 1
    cloud.assert_sound()


@pytest.mark.error
def test_a_guest_that_powers_off_instead_of_restarting(cloud, alice, project):
    vm = cloud.launch(alice, project)
    cloud.clock.advance(30)
    cloud.vms.reboot_vm(vm.id, actor=acting(alice))
    cloud.control.stop(vm.id)
    cloud.pump()
    went = cloud.clock.now()
    cloud.clock.advance(20)
    cloud.worker.work()
    stopped = cloud.vm(vm)
    assert (stopped.state, stopped.stopped_at) == (VMState.STOPPED, went)
    assert stopped.state_reason
    assert cloud.held(alice) == 0
    cloud.assert_sound()


@pytest.mark.error
def test_a_machine_that_is_gone_when_it_is_to_be_stopped(cloud, alice, project):
    vm = cloud.launch(alice, project)
    cloud.clock.advance(30)
    confirmed = cloud.vms.get_compute_status().answered_at
    cloud.control.destroy(vm.id)
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.restart_worker()  # which has heard of nothing
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.ERROR
    assert [row.end_at for row in cloud.intervals(vm)] == [confirmed.replace(microsecond=0)]
    assert cloud.held(alice) == 0
    cloud.assert_sound()


# -- leases, fences, crashes --------------------------------------------------------------------


@pytest.mark.error
def test_a_killed_worker_s_operation_is_taken_up_when_its_lease_has_run_out(cloud, alice, project):
    vm = cloud.ask(alice, project)

    def killed(step):
        if step == "create.boot":
            raise Killed

    cloud.worker.checkpoint = killed
    claim = cloud.worker.runner.claim()
    with pytest.raises(Killed):
        cloud.worker.runner.run(claim)
    cloud.restart_worker()
    assert cloud.worker.work() == []
    cloud.clock.advance(LEASE.total_seconds() - 1)
    assert cloud.worker.work() == []
    cloud.clock.advance(1)
    assert [one.attempt for one in cloud.worker.work()] == [2]
    assert cloud.vm(vm).state == VMState.RUNNING
    assert len(cloud.run_seconds(vm)) == 1
    cloud.assert_sound()


@pytest.mark.error
def test_a_worker_known_to_be_dead_is_not_waited_for(cloud, alice, project):
    vm = cloud.ask(alice, project)
    assert cloud.worker.runner.claim() is not None
    cloud.restart_worker()
    cloud.vms.operations.release_worker("somebody else")
    assert cloud.worker.work() == []
    cloud.vms.operations.release_worker("one")
    assert len(cloud.worker.work()) == 1
    assert cloud.vm(vm).state == VMState.RUNNING


@pytest.mark.error
def test_an_old_claim_can_record_nothing(cloud, core, alice, project):
    vm = cloud.ask(alice, project)
    old = cloud.worker.runner.claim()
    cloud.clock.advance(LEASE.total_seconds() + 1)
    new = cloud.another_worker("two").runner.claim()
    assert (new.operation_id, new.attempt) == (old.operation_id, 2)
    cloud.driver.create(cloud.vms.records.spec(vm.id))
    cloud.driver.start(vm.id)
    machine = cloud.driver.machine(vm.id)
    records, operations, now = cloud.vms.records, cloud.vms.operations, cloud.clock.now()
    assert not operations.reach(old, "boot")
    assert not operations.is_held(old)
    assert not records.operation_running(old, machine)
    assert not records.operation_off(old, now)
    assert not records.operation_went_on(old)
    assert not records.operation_deleted(old)
    assert not records.operation_failed(old, "no", machine, known=True, at=now)
    operations.retry_later(old, "no")
    operations.let_go(old)
    operations.keep([old])
    (row,) = cloud.operations(vm)
    assert (row.state, row.worker, row.error, row.step) == (OperationState.RUNNING, "two", "", "queued")
    assert cloud.vm(vm).state == VMState.CREATING
    assert cloud.intervals(vm) == []
    assert len(events_of(core, "vm.create")) == 1
    assert records.operation_running(new, machine)
    assert not records.operation_running(new, machine), "not even the right claim, twice"
    assert len(cloud.run_seconds(vm)) == 1
    cloud.assert_sound()


def test_two_workers_share_the_work_and_each_operation_is_done_once(cloud, alice, project):
    vms = [cloud.ask(alice, project, f"web-{number}") for number in range(6)]
    second = cloud.another_worker("two")
    claims = []
    while claim := (cloud.worker if len(claims) % 2 else second).runner.claim():
        claims.append(claim)
    assert len({claim.operation_id for claim in claims}) == 6
    assert {claim.worker for claim in claims} == {"one", "two"}
    for claim in claims:
        (cloud.worker if claim.worker == "one" else second).runner.run(claim)
    cloud.round()
    assert all(cloud.vm(vm).answered_at for vm in vms)
    cloud.assert_sound()


@pytest.mark.error
def test_a_worker_that_shuts_down_leaves_its_operation_to_the_next(cloud, alice, project):
    vm = cloud.launch(alice, project)
    cloud.control.fault("shutdown", "ignore", times=1)
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.stop.is_stopping = True
    cloud.worker.work(most=1)
    assert cloud.operations(vm)[-1].state == OperationState.RUNNING
    cloud.restart_worker()
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.STOPPED


@pytest.mark.error
def test_a_crash_is_tried_five_times_and_then_told(cloud, alice, project):
    vm = cloud.ask(alice, project)
    attempts = []

    def crash(step):
        attempts.append(step)
        raise ZeroDivisionError

    cloud.worker.checkpoint = crash
    cloud.live(120)
    assert len(attempts) == 5
    failed = cloud.vm(vm)
    assert failed.state == VMState.ERROR
    assert "ZeroDivisionError" in failed.state_reason
    assert cloud.held(alice) == 0
    cloud.assert_sound()


@pytest.mark.error
def test_a_delete_is_never_given_up(cloud, alice, project):
    vm = cloud.launch(alice, project)
    cloud.control.fault("delete", "refuse", times=20)
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.live(900, step=45)
    assert cloud.vm(vm).state == VMState.DELETING
    assert cloud.operations(vm)[-1].error
    assert len(cloud.run_seconds(vm)) == 1
    assert cloud.held(alice) == 0
    cloud.control.clear()
    cloud.live(70)
    assert cloud.row(vm).state == VMState.DELETED
    assert cloud.driver.machines() == []
    cloud.assert_sound()


@pytest.mark.error
def test_a_database_that_fails_while_recording_leaves_it_to_the_lease(cloud, alice, project, monkeypatch):
    vm = cloud.ask(alice, project)

    def broken(*_, **__):
        raise OSError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(cloud.vms.records, "operation_running", broken)
        patch.setattr(cloud.vms.operations, "retry_later", broken)
        assert len(cloud.worker.work(most=1)) == 1
    cloud.clock.advance(31)
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.RUNNING


# -- the minimum --------------------------------------------------------------------------------


def test_the_minimum_is_for_starts_by_people_only(cloud, alice, project):
    vm = cloud.launch(alice, project)
    cloud.clock.advance(2)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    lines = [(row.kind, row.seconds) for row in cloud.charges(vm)]
    assert lines[0][0] == "usage"
    assert lines[1] == ("minimum", 60 - lines[0][1])
    # Started behind Zentry's back, for ten seconds: ten seconds are paid.
    cloud.clock.advance(100)
    cloud.driver.start(vm.id)
    cloud.round()
    cloud.clock.advance(10)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    lines = [(row.kind, row.seconds) for row in cloud.charges(vm)]
    assert sum(kind == "minimum" for kind, _ in lines) == 1
    assert cloud.operations(vm)[-1].kind == OperationKind.FORCE_OFF
    cloud.assert_sound()
