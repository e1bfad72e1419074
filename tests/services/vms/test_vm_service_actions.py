"""Asking for actions: which state allows which, who may ask, what overtakes what."""

import pytest

from tests.services.people import Statements, acting, events_of
from zentry_web.domain.event import Outcome
from zentry_web.domain.user import Actor, Role
from zentry_web.domain.vms.fleet import VMFilter
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, OperationKind, OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import (
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)

pytestmark = pytest.mark.integration

GONE = (VMState.BINNED, VMState.DELETED)  # these are not found: test_vm_bin.py
ACTIONS = ("start_vm", "stop_vm", "reboot_vm", "reset_vm", "suspend_vm", "resume_vm", "force_off_vm")


def bring_to(cloud, alice, project, state):
    """A VM in ``state``, by the usual ways."""
    if state == VMState.CREATING:
        return cloud.ask(alice, project)
    if state == VMState.ERROR:
        cloud.control.fault("create", "refuse")
        vm = cloud.ask(alice, project)
        cloud.worker.work()
        return vm
    vm = cloud.launch(alice, project)

    def pause(vm_id, **_):
        cloud.control.pause(vm_id)

    def sleep(vm_id, **_):
        cloud.control.pause(vm_id, "sleeping")

    def look(*_, **__):
        cloud.round(3)

    do = {
        VMState.STOPPING: (cloud.vms.stop_vm,),
        VMState.REBOOTING: (cloud.vms.reboot_vm,),
        VMState.SUSPENDING: (cloud.vms.suspend_vm,),
        VMState.PAUSED: (pause, look),
        VMState.SLEEPING: (sleep, look),
        VMState.RESUMING: (pause, look, cloud.vms.resume_vm),
        VMState.STOPPED: (cloud.vms.stop_vm, cloud.worker.work),
        VMState.STARTING: (cloud.vms.stop_vm, cloud.worker.work, cloud.vms.start_vm),
        VMState.RESIZING: (lambda *_, **__: ask_for(cloud, alice, vm, OperationKind.RESIZE),),
        VMState.DELETING: (lambda *_, **__: cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice)),),
    }
    for step in do.get(state, ()):
        cloud.clock.advance(1)
        step() if step == cloud.worker.work else step(vm.id, actor=acting(alice))
    return vm


def ask_for(cloud, alice, vm, kind):
    if kind == OperationKind.DELETE:
        return cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    if kind == OperationKind.RESIZE:
        return cloud.vms.resize_vm(vm.id, "size_small", actor=acting(alice))
    return getattr(cloud.vms, f"{kind}_vm")(vm.id, actor=acting(alice))


# These need a snapshot, a backup, an image or a disk kept aside, and so do the states they lead to: test_snapshots.py,
# test_reverts.py, test_backups.py, test_machine_images.py, test_rebuild.py, test_rescue.py and test_passwords.py (an
# agent that answers) ask for them.
NEED_MORE = (
    *(OperationKind.SNAPSHOT, OperationKind.REVERT, OperationKind.DISCARD, OperationKind.REBUILD),
    *(OperationKind.UNREVERT, OperationKind.BRING_BACK, OperationKind.RESCUE, OperationKind.UNRESCUE),
    *(OperationKind.BACKUP, OperationKind.RECOVER, OperationKind.IMAGE, OperationKind.PASSWORD),
)
THEIR_STATES = (
    *(VMState.SNAPSHOT, VMState.REVERTING, VMState.REBUILDING, VMState.RESCUING),
    *(VMState.BACKUP, VMState.RECOVERING, VMState.COPYING, VMState.PASSWORD),
)


@pytest.mark.parametrize("state", [state for state in VMState if state not in (*GONE, *THEIR_STATES)])
def test_each_state_allows_its_actions_and_no_others(cloud, alice, project, state):
    vm = bring_to(cloud, alice, project, state)
    assert cloud.vm(vm).state == state
    # Whether a deletion keeps the disk is not asked for: the setting decides (test_vm_bin.py).
    asked_for = [kind for kind in OperationKind if kind not in (OperationKind.CREATE, OperationKind.BIN, *NEED_MORE)]
    for kind in sorted(asked_for, key=lambda kind: kind in ALLOWED_ACTIONS[state]):
        if kind in ALLOWED_ACTIONS[state]:
            break
        with pytest.raises(ConflictError) as caught:
            ask_for(cloud, alice, vm, kind)
        assert state in str(caught.value)
        assert cloud.vm(vm).state == state
    cloud.assert_sound()


@pytest.mark.parametrize(
    ("state", "kind"),
    [(state, kind) for state, kinds in ALLOWED_ACTIONS.items() for kind in sorted(kinds) if kind not in NEED_MORE],
)
def test_what_is_allowed_is_done_to_its_end(cloud, core, alice, project, state, kind):
    vm = bring_to(cloud, alice, project, state)
    cloud.clock.advance(1)
    operation = ask_for(cloud, alice, vm, kind)
    assert operation.state == OperationState.QUEUED
    (event,) = [one for one in events_of(core, f"vm.{kind}") if one.operation_id == operation.id]
    assert (event.actor_id, event.outcome) == (alice.id, Outcome.ACCEPTED)
    cloud.worker.work()
    ends = {
        OperationKind.START: VMState.RUNNING,
        OperationKind.REBOOT: VMState.RUNNING,
        OperationKind.RESET: VMState.RUNNING,
        OperationKind.SUSPEND: VMState.PAUSED,
        OperationKind.RESUME: VMState.RUNNING,
        OperationKind.STOP: VMState.STOPPED,
        OperationKind.FORCE_OFF: VMState.STOPPED,
        OperationKind.DELETE: VMState.DELETED,
        OperationKind.RESIZE: state,
    }
    assert cloud.row(vm).state == ends[kind]
    ended = [one for one in events_of(core, f"vm.{kind}") if one.operation_id == operation.id]
    assert [one.outcome for one in ended] == [Outcome.ACCEPTED, Outcome.SUCCEEDED]
    machine = cloud.driver.machine(vm.id)
    assert (machine is None) == (kind == OperationKind.DELETE)
    assert (cloud.hold(vm) is not None) == (ends[kind] in (VMState.RUNNING, VMState.PAUSED))
    cloud.assert_sound()


@pytest.mark.error
def test_deleting_needs_the_name(cloud, alice, project):
    vm = cloud.launch(alice, project)
    for wrong in ("", "wb", "web2"):
        with pytest.raises(ValidationError) as caught:
            cloud.vms.delete_vm(vm.id, wrong, actor=acting(alice))
        assert set(caught.value.details) == {"confirm_name"}
    assert cloud.vm(vm).state == VMState.RUNNING
    cloud.vms.delete_vm(vm.id, " WEB ", actor=acting(alice))
    assert cloud.vm(vm).state == VMState.DELETING


def test_billing_ends_at_the_click_on_delete(cloud, alice, project, clock):
    vm = cloud.launch(alice, project)
    cloud.round(600)
    clicked = clock.now()
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    assert cloud.held(alice) == 0
    cloud.control.fault("delete", "unavailable", times=3)
    cloud.live(120)
    assert cloud.row(vm).state == VMState.DELETED
    (span,) = cloud.run_seconds(vm)
    assert span[1] == clicked.replace(microsecond=0)
    assert cloud.row(vm).ssh_key == cloud.row(vm).user_data == ""
    cloud.assert_sound()


def test_a_delete_while_the_host_is_away_is_billed_to_the_last_confirmed_second(cloud, alice, project, clock):
    vm = cloud.launch(alice, project)
    cloud.round(600)
    confirmed = cloud.vms.get_compute_status().answered_at
    cloud.control.fault("*", "unavailable", times=None)
    cloud.live(1200, step=60)
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    (span,) = cloud.run_seconds(vm)
    assert span[1] == confirmed.replace(microsecond=0)
    cloud.control.clear()
    cloud.live(90)
    assert cloud.row(vm).state == VMState.DELETED
    assert cloud.driver.machines() == []
    cloud.assert_sound()


def test_force_off_overtakes_a_start(cloud, alice, project):
    vm = bring_to(cloud, alice, project, VMState.STARTING)
    assert cloud.held(alice) == 5_000
    cloud.clock.advance(1)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    assert [one.state for one in cloud.operations(vm)][-2:] == [OperationState.CANCELLED, OperationState.QUEUED]
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.STOPPED
    assert (cloud.held(alice), cloud.hold(vm)) == (0, None)
    assert len(cloud.run_seconds(vm)) == 1
    cloud.assert_sound()


def test_force_off_in_the_middle_of_a_start(cloud, alice, project):
    vm = bring_to(cloud, alice, project, VMState.STARTING)

    def overtake(step):
        if step == "start.boot":
            cloud.clock.advance(1)
            cloud.vms.force_off_vm(vm.id, actor=acting(alice))

    cloud.worker.checkpoint = overtake
    first, second = cloud.worker.work()
    assert (first.kind, second.kind) == (OperationKind.START, OperationKind.FORCE_OFF)
    assert cloud.vm(vm).state == VMState.STOPPED
    assert cloud.driver.machine(vm.id).run_id is None
    assert cloud.held(alice) == 0
    cloud.assert_sound()


@pytest.mark.parametrize("step", ["create.claimed", "create.disk", "create.boot", "create.running"])
def test_delete_in_the_middle_of_a_create_leaves_nothing(cloud, alice, project, step):
    vm = cloud.ask(alice, project)

    def overtake(reached):
        if reached == step:
            cloud.clock.advance(1)
            cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))

    cloud.worker.checkpoint = overtake
    cloud.worker.work()
    assert cloud.row(vm).state == VMState.DELETED
    assert cloud.driver.machines() == []
    assert cloud.intervals(vm) == []
    assert (cloud.held(alice), cloud.wallet(alice)) == (0, 5_000_000)
    cloud.assert_sound()


def test_nobody_touches_the_machine_before_the_overtaken_worker_lets_go(cloud, alice, project):
    vm = cloud.ask(alice, project)
    other = cloud.another_worker("other")
    seen = []

    def overtake(step):
        if step == "create.disk":
            cloud.clock.advance(1)
            cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
            seen.append(other.work())
            cloud.clock.advance(25)
            cloud.vms.operations.keep(claims)  # as the lease's thread does
            cloud.clock.advance(25)
            seen.append(other.work())

    claims = [cloud.worker.runner.claim()]
    cloud.worker.checkpoint = overtake
    cloud.worker.runner.run(claims[0])
    assert seen == [[], []]
    assert [claim.kind for claim in other.work()] == [OperationKind.DELETE]


def test_force_off_of_a_machine_that_was_never_made(cloud, alice, project):
    vm = bring_to(cloud, alice, project, VMState.ERROR)
    cloud.clock.advance(1)
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.clock.advance(1)
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(vm).state == VMState.ERROR
    assert cloud.intervals(vm) == []
    assert cloud.held(alice) == 0
    cloud.assert_sound()


@pytest.mark.error
def test_a_start_needs_the_next_hour(cloud, alice, project):
    vm = bring_to(cloud, alice, project, VMState.STOPPED)
    cloud.set_wallet(alice, 4_999)
    with pytest.raises(InsufficientCreditsError) as caught:
        cloud.vms.start_vm(vm.id, actor=acting(alice))
    assert caught.value.details == {"needed": 5_000, "available": 4_999}
    assert cloud.vm(vm).state == VMState.STOPPED
    assert len(cloud.operations(vm)) == 2


@pytest.mark.error
def test_strangers_see_nothing_and_can_do_nothing(cloud, alice, charlie, project):
    vm = cloud.launch(alice, project)
    stranger = acting(charlie)
    for look in ("get_vm", "get_vm_page", "list_vm_activity"):
        with pytest.raises(NotFoundError):
            getattr(cloud.vms, look)(vm.id, actor=stranger)
    for action in ACTIONS:
        with pytest.raises(NotFoundError):
            getattr(cloud.vms, action)(vm.id, actor=stranger)
    with pytest.raises(NotFoundError):
        cloud.vms.delete_vm(vm.id, vm.name, actor=stranger)
    with pytest.raises(NotFoundError):
        cloud.vms.list_vms(alice.id, actor=stranger)
    with pytest.raises(PermissionDeniedError):
        cloud.vms.list_vms(actor=stranger)
    with pytest.raises(NotFoundError):
        cloud.container.get_user_service().get_dashboard(alice.id, actor=stranger)
    with pytest.raises(NotFoundError):
        cloud.vms.count_by_state(alice.id, actor=stranger)
    with pytest.raises(PermissionDeniedError):
        cloud.vms.count_by_state(None, actor=stranger)
    with pytest.raises(NotFoundError):
        cloud.vms.start_vm("vm_none", actor=stranger)
    assert cloud.vm(vm).state == VMState.RUNNING


def test_an_admin_may_act_and_it_is_recorded_as_such(cloud, core, alice, admin, project):
    vm = cloud.launch(alice, project)
    operation = cloud.vms.stop_vm(vm.id, actor=acting(admin))
    assert (operation.reason, operation.requested_by) == ("admin", admin.id)
    (event,) = events_of(core, "vm.stop")
    assert (event.actor_id, event.owner_id) == (admin.id, alice.id)


def test_activity_tells_who_when_from_where_and_how_it_ended(cloud, alice, project, clock):
    vm = cloud.launch(alice, project)
    clock.advance(60)
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.control.fault("shutdown", "ignore", times=None)
    cloud.worker.work()
    asked, answered, created = cloud.vms.list_vm_activity(vm.id, actor=acting(alice))
    assert (asked.action, asked.ended, asked.actor_name) == ("vm.stop", "failed", "Alice")
    assert "Force off" in asked.error
    assert asked.personal["address"] == acting(alice).address
    assert asked.personal_intact
    assert (asked.ended_at - asked.at).total_seconds() >= 60
    assert (answered.action, answered.actor_name) == ("vm.answered", "Zentry")
    assert (created.action, created.ended) == ("vm.create", "succeeded")
    older = cloud.vms.list_vm_activity(vm.id, actor=acting(alice), before=asked.seq, limit=1)
    assert [one.seq for one in older] == [answered.seq]


# -- lists ------------------------------------------------------------------------------------


@pytest.fixture
def fleet(cloud, alice, bob, project):
    """Alice has five, bob one; two of alice's run."""
    other = cloud.project(alice, "other")
    vms = []
    for number in range(5):
        cloud.clock.advance(1)
        vms.append(cloud.ask(alice, other if number == 4 else project, f"web-{number}"))
        if number < 2:
            cloud.worker.work()
    cloud.ask(bob, cloud.project(bob), "bobs_web".replace("_", "-"))
    cloud.round()
    return vms


def test_lists_filter_page_and_count(cloud, alice, admin, project, fleet):
    def names(**filters):
        return [vm.name for vm in cloud.vms.list_vms(alice.id, actor=acting(alice), wanted=VMFilter(**filters)).vms]

    assert names() == [f"web-{number}" for number in (4, 3, 2, 1, 0)]
    assert names(state=VMState.RUNNING) == ["web-1", "web-0"]
    assert names(project_id=project.id) == ["web-3", "web-2", "web-1", "web-0"]
    assert names(search=" WEB-3 ") == ["web-3"]
    assert names(search="web_") == names(search="%") == []
    address = cloud.vm(fleet[0]).address
    assert names(search=address) == ["web-0"]
    assert names(search=fleet[2].id) == ["web-2"]
    first = cloud.vms.list_vms(alice.id, actor=acting(alice), limit=2)
    assert (len(first.vms), first.total) == (2, 5)
    second = cloud.vms.list_vms(alice.id, actor=acting(alice), limit=2, before=first.next_before)
    third = cloud.vms.list_vms(alice.id, actor=acting(alice), limit=2, before=second.next_before)
    assert [vm.name for vm in (*second.vms, *third.vms)] == ["web-2", "web-1", "web-0"]
    assert third.next_before is None
    everyone = cloud.vms.list_vms(actor=acting(admin))
    assert everyone.total == 6
    assert {vm.owner_email for vm in everyone.vms} == {alice.email, "bob@example.com"}
    assert cloud.vms.count_by_state(alice.id) == {VMState.RUNNING: 2, VMState.CREATING: 3}
    assert cloud.vms.count_by_state(None)[VMState.CREATING] == 4


def test_a_list_takes_two_statements_whatever_its_length(cloud, alice, fleet):
    for limit in (1, 50):
        with Statements(cloud.container.database) as counted:
            cloud.vms.list_vms(alice.id, actor=acting(alice), limit=limit)
        assert len([text for text in counted.texts if text.startswith("SELECT")]) == 2, (
            counted.texts
        )  # rows with their total and rights, labels


def test_deleted_machines_are_in_no_list(cloud, alice, fleet):
    cloud.vms.delete_vm(fleet[0].id, "web-0", actor=acting(alice))
    cloud.worker.work()
    assert cloud.vms.list_vms(alice.id, actor=acting(alice)).total == 4
    with pytest.raises(NotFoundError):
        cloud.vms.get_vm(fleet[0].id, actor=acting(alice))


def test_what_needs_a_look_is_listed_with_its_reason(cloud, alice, project, fleet):
    cloud.control.stop(fleet[1].id)
    cloud.control.fault("create", "refuse", fleet[2].id)
    cloud.worker.work()
    cloud.round()
    found = cloud.container.get_user_service().get_dashboard(alice.id, actor=acting(alice)).attention
    assert [vm.name for vm in found] == ["web-2", "web-1"]
    assert all(vm.state_reason for vm in found)


def test_the_page_shows_steps_and_whether_the_host_answers(cloud, alice, project):
    vm = cloud.ask(alice, project)
    page = cloud.vms.get_vm_page(vm.id, actor=acting(alice))
    assert [step.status for step in page.steps] == ["current", "waiting", "waiting", "waiting", "waiting"]
    assert (page.compute.ok, page.compute.answered_at) == (False, None)
    cloud.worker.work()
    cloud.worker.reconciler.run()
    page = cloud.vms.get_vm_page(vm.id, actor=acting(alice))
    assert [step.status for step in page.steps] == ["done", "done", "done", "done", "current"]
    assert page.compute.ok
    assert page.operation.state == OperationState.SUCCEEDED
    cloud.round()
    page = cloud.vms.get_vm_page(vm.id, actor=acting(alice))
    assert {step.status for step in page.steps} == {"done"}
    assert page.steps[-1].at is not None


def test_a_system_launch_acts_for_its_user(cloud, alice, project):
    data = {"project_id": project.id, "name": "web", "size_id": "size_nano", "image_id": "img_tiny"}
    vm = cloud.vms.create_vm(data, alice)
    assert cloud.operations(vm)[0].requested_by == alice.id
    assert cloud.vms.get_vm(vm.id, actor=Actor("root", Role.ADMIN)).id == vm.id
