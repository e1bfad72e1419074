"""Operations as people see them: steps with times, words, abort, try again. On both databases."""

import pytest

from tests.services.people import acting, join
from tests.services.vm_world import STOPPED, Killed
from zentry_web.adapters.compute.base import ComputeRefused, ComputeUnavailable
from zentry_web.domain.projects.project import ProjectRole
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.vm import Rates
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError, PriceChangedError

pytestmark = pytest.mark.integration


@pytest.fixture
def machine(cloud, alice, project):
    return cloud.launch(alice, project)


def last(cloud, vm):
    return cloud.operations(vm)[-1]


def page(cloud, operation, user):
    return cloud.vms.work.get(operation.id, actor=acting(user))


def test_steps_have_their_times(cloud, alice, machine):
    found = page(cloud, last(cloud, machine), alice)
    assert [(step.name, step.status) for step in found.steps] == [
        ("queued", "done"),
        ("disk", "done"),
        ("boot", "done"),
    ]
    moments = [step.at for step in found.steps]
    assert None not in moments
    assert moments == sorted(moments)
    assert (found.who, found.abort_problem, found.again_problem) == (alice.name, None, None)


def test_what_the_driver_said_is_kept(cloud, alice, machine, monkeypatch):
    def away(*_args):
        raise ComputeUnavailable("libvirtd does not answer")

    cloud.vms.suspend_vm(machine.id, actor=acting(alice))
    with monkeypatch.context() as broken:
        broken.setattr(cloud.driver, "suspend", away)
        cloud.worker.work(most=1)
    found = page(cloud, last(cloud, machine), alice)
    assert [said.text for said in found.said] == ["libvirtd does not answer"]
    assert [(step.name, step.status) for step in found.steps] == [("queued", "done"), ("suspend", "current")]
    cloud.clock.advance(5)
    cloud.worker.work()
    assert page(cloud, last(cloud, machine), alice).operation.state == OperationState.SUCCEEDED


def test_others_do_not_see_it(cloud, alice, bob, charlie, machine, project):
    operation = last(cloud, machine)
    with pytest.raises(NotFoundError):
        page(cloud, operation, charlie)
    for do in (cloud.vms.work.abort, cloud.vms.work.again):
        with pytest.raises(NotFoundError):
            do(operation.id, actor=acting(charlie))
    assert cloud.vms.work.list_of(charlie.id, actor=acting(charlie)) == []
    join(cloud.container, project, bob, ProjectRole.VIEWER)
    assert page(cloud, operation, bob).vm.id == machine.id
    assert [line.id for line in cloud.vms.work.list_of(bob.id, actor=acting(bob))] == [operation.id]
    with pytest.raises(PermissionDeniedError):
        cloud.vms.work.list_of(None, actor=acting(bob))


def test_an_operation_of_a_deleted_machine_still_has_a_page(cloud, alice, machine):
    cloud.vms.delete_vm(machine.id, machine.name, actor=acting(alice))
    cloud.worker.work()
    assert page(cloud, last(cloud, machine), alice).vm.deleted_at is not None


# -- abort -------------------------------------------------------------------------------------


def test_an_aborted_start_leaves_the_machine_off_and_costs_nothing(cloud, alice, machine):
    cloud.vms.stop_vm(machine.id, actor=acting(alice))
    cloud.worker.work()
    before = cloud.billing.get_user_credits(alice.id)
    operation = cloud.vms.start_vm(machine.id, actor=acting(alice))
    cloud.vms.work.abort(operation.id, actor=acting(alice))
    cloud.vms.work.abort(operation.id, actor=acting(alice))  # twice is once
    assert page(cloud, operation, alice).abort_problem == "It is being aborted: what was done is put back."
    cloud.worker.work()
    found = page(cloud, operation, alice)
    assert (found.operation.state, found.aborted_by) == (OperationState.CANCELLED, alice.name)
    vm = cloud.vm(machine)
    assert (vm.state, vm.state_reason) == (VMState.STOPPED, "")
    assert cloud.hold(machine) is None
    assert before - cloud.billing.get_user_credits(alice.id) <= vm.stopped_micro_per_hour
    assert cloud.driver.machine(machine.id).power == "off"


def test_an_aborted_launch_leaves_no_disk(cloud, alice, project):
    vm = cloud.ask(alice, project)
    cloud.vms.work.abort(last(cloud, vm).id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.driver.machine(vm.id) is None
    assert (cloud.vm(vm).state, cloud.hold(vm)) == (VMState.ERROR, None)
    again = cloud.vms.work.again(last(cloud, vm).id, actor=acting(alice))
    cloud.worker.work()
    assert (again.kind, cloud.vm(vm).state) == (OperationKind.START, VMState.RUNNING)


def test_a_launch_is_aborted_between_its_steps(cloud, alice, project):
    vm = cloud.ask(alice, project)
    operation = last(cloud, vm)

    def at(step):
        if step == "create.disk":
            cloud.vms.work.abort(operation.id, actor=acting(alice))

    cloud.worker.checkpoint = at
    cloud.worker.work()
    assert last(cloud, vm).state == OperationState.CANCELLED
    assert cloud.driver.machine(vm.id) is None


def test_what_runs_cannot_be_aborted_and_a_step_too_late_is_refused(cloud, alice, machine):
    refused = []

    def at(step):
        if step == "stop.asked" and not refused:
            with pytest.raises(ConflictError, match="come too far") as error:
                cloud.vms.work.abort(operation.id, actor=acting(alice))
            refused.append(error)

    operation = cloud.vms.stop_vm(machine.id, actor=acting(alice))
    cloud.worker.checkpoint = at
    cloud.worker.work()
    assert refused
    assert cloud.vm(machine).state == VMState.STOPPED
    with pytest.raises(ConflictError):
        cloud.vms.work.abort(operation.id, actor=acting(alice))


@pytest.mark.parametrize("action", ["stop_vm", "reboot_vm", "reset_vm", "suspend_vm", "force_off_vm"])
def test_aborted_while_it_waits_nothing_happens_to_the_machine(cloud, alice, machine, action):
    run = cloud.row(machine).run_id
    operation = getattr(cloud.vms, action)(machine.id, actor=acting(alice))
    cloud.vms.work.abort(operation.id, actor=acting(alice))
    cloud.worker.work()
    assert last(cloud, machine).state == OperationState.CANCELLED
    assert (cloud.vm(machine).state, cloud.row(machine).run_id) == (VMState.RUNNING, run)
    assert len(cloud.run_seconds(machine)) == 1
    assert cloud.hold(machine) is not None


def test_a_resize_is_aborted_before_the_guest_is_asked(cloud, alice, machine):
    operation = cloud.vms.resize_vm(machine.id, "size_small", actor=acting(alice))
    cloud.vms.work.abort(operation.id, actor=acting(alice))
    cloud.worker.work()
    assert (cloud.vm(machine).state, cloud.vm(machine).size_id) == (VMState.RUNNING, machine.size_id)
    assert len(cloud.run_seconds(machine)) == 1


def test_a_killed_worker_does_not_lose_the_abort(cloud, alice, project):
    vm = cloud.ask(alice, project)
    operation = last(cloud, vm)

    def at(step):
        if step == "create.disk":
            cloud.vms.work.abort(operation.id, actor=acting(alice))
        if step == "create.aborted":
            raise Killed

    cloud.worker.checkpoint = at
    with pytest.raises(Killed):
        cloud.worker.work()
    assert last(cloud, vm).state == OperationState.RUNNING
    cloud.restart_worker()
    cloud.clock.advance(60)
    cloud.worker.work()
    assert last(cloud, vm).state == OperationState.CANCELLED
    assert cloud.driver.machine(vm.id) is None


# -- try again ---------------------------------------------------------------------------------


def fail(cloud, monkeypatch, call):
    def refused(*_args, **_more):
        raise ComputeRefused("no room on the host")

    with monkeypatch.context() as broken:
        broken.setattr(cloud.driver, call, refused)
        cloud.worker.work()


def test_a_failed_resize_is_tried_again_with_the_same_size(cloud, alice, machine, monkeypatch):
    cloud.vms.resize_vm(machine.id, "size_small", actor=acting(alice))
    fail(cloud, monkeypatch, "check_resize")
    operation = last(cloud, machine)
    found = page(cloud, operation, alice)
    assert (found.operation.state, found.again_problem) == (OperationState.FAILED, "")
    with pytest.raises(PriceChangedError):
        cloud.vms.work.again(operation.id, actor=acting(alice), shown=Rates(1, 1))
    done = cloud.vms.work.again(operation.id, actor=acting(alice))
    with pytest.raises(ConflictError):  # a double click
        cloud.vms.work.again(operation.id, actor=acting(alice))
    cloud.worker.work()
    assert done.id != operation.id
    assert cloud.vm(machine).size_id == "size_small"


def test_something_else_came_after_it(cloud, alice, machine, monkeypatch):
    cloud.vms.suspend_vm(machine.id, actor=acting(alice))
    fail(cloud, monkeypatch, "suspend")
    failed = last(cloud, machine)
    cloud.vms.stop_vm(machine.id, actor=acting(alice))
    cloud.worker.work()
    assert page(cloud, failed, alice).again_problem == "Something else has been ordered since."
    with pytest.raises(ConflictError):
        cloud.vms.work.again(failed.id, actor=acting(alice))
    assert cloud.intervals(machine)[-1].state == STOPPED
