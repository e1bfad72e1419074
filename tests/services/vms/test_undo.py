"""Undo: what was is put back, once, for ten minutes, and a machine that ran runs again without a second minimum."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from tests.services.people import acting, events_of, join
from tests.services.vm_world import Killed
from zentry_web.domain.credits.usage import ChargeKind
from zentry_web.domain.projects.project import ProjectRole
from zentry_web.domain.vms.fleet import Change, Wanted
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbUndo
from zentry_web.services.errors import NotFoundError
from zentry_web.services.shared.one_by_one import EachOutcome

pytestmark = pytest.mark.integration


@pytest.fixture
def project(cloud, alice):
    cloud.keep_deleted(7)
    return cloud.project(alice)


@pytest.fixture
def machine(cloud, alice, project):
    return cloud.launch(alice, project)


def offer(cloud, machine, user):
    return cloud.vms.undo.find_offer(machine.id, actor=acting(user))


def undo(cloud, undo_id, user):
    (became,) = cloud.vms.undo.undo(undo_id, actor=acting(user))
    return became.outcome, became.text


def minimums(cloud, machine):
    return [charge for charge in cloud.charges(machine) if charge.kind == ChargeKind.MINIMUM]


@pytest.mark.parametrize("action", ["stop_vm", "force_off_vm"])
def test_a_machine_that_was_stopped_runs_again_without_a_minimum(cloud, alice, machine, action):
    cloud.live(120)
    before = len(minimums(cloud, machine))
    getattr(cloud.vms, action)(machine.id, actor=acting(alice))
    cloud.worker.work()
    assert cloud.vm(machine).state == VMState.STOPPED
    undo_id = offer(cloud, machine, alice)
    assert undo(cloud, undo_id, alice) == (EachOutcome.DONE, "")
    cloud.worker.work()
    assert cloud.vm(machine).state == VMState.RUNNING
    cloud.clock.advance(5)
    cloud.vms.force_off_vm(machine.id, actor=acting(alice))
    cloud.worker.work()
    cloud.round(3600)
    assert len(minimums(cloud, machine)) == before
    start = next(row for row in cloud.operations(machine) if row.kind == OperationKind.START)
    assert start.details == {"undo": undo_id}
    assert len(events_of(cloud.container.parts.core, "vm.undo")) == 1


def test_it_is_undone_once(cloud, alice, machine):
    cloud.vms.suspend_vm(machine.id, actor=acting(alice))
    cloud.worker.work()
    undo_id = offer(cloud, machine, alice)
    assert undo(cloud, undo_id, alice) == (EachOutcome.DONE, "")
    assert undo(cloud, undo_id, alice) == (EachOutcome.UNCHANGED, "It has been undone already.")
    assert offer(cloud, machine, alice) == ""
    cloud.worker.work()
    assert cloud.vm(machine).state == VMState.RUNNING
    assert len(cloud.run_seconds(machine)) == 1  # it was never off


def test_after_ten_minutes_it_is_too_late(cloud, alice, machine):
    cloud.vms.bin.set_protection(machine.id, True, actor=acting(alice))
    undo_id = offer(cloud, machine, alice)
    cloud.clock.advance(600)
    assert offer(cloud, machine, alice) == ""
    assert undo(cloud, undo_id, alice) == (EachOutcome.REFUSED, "It is too long ago to be undone.")
    assert cloud.vm(machine).protected
    assert cloud.vms.undo.forget_old() == 0
    cloud.clock.advance(24 * 3600 + 1)
    assert cloud.vms.undo.forget_old() == 1
    with pytest.raises(NotFoundError):
        cloud.vms.undo.list_of(undo_id, actor=acting(alice))


def test_what_is_under_way_is_undone_when_it_has_ended(cloud, alice, machine):
    outcomes = []

    def at(step):
        if step == "stop.asked" and not outcomes:
            outcomes.append(undo(cloud, undo_id, alice))

    cloud.vms.stop_vm(machine.id, actor=acting(alice))
    undo_id = offer(cloud, machine, alice)
    cloud.worker.checkpoint = at
    cloud.worker.work()
    assert outcomes == [(EachOutcome.WAITS, "")]
    cloud.worker.work()
    assert cloud.vm(machine).state == VMState.RUNNING
    assert [row.kind for row in cloud.operations(machine)][-2:] == ["stop", "start"]


def test_what_waits_for_a_worker_is_called_off(cloud, alice, machine):
    cloud.vms.stop_vm(machine.id, actor=acting(alice))
    assert undo(cloud, offer(cloud, machine, alice), alice) == (EachOutcome.DONE, "")
    cloud.worker.work()
    assert cloud.operations(machine)[-1].state == OperationState.CANCELLED
    assert (cloud.vm(machine).state, len(cloud.run_seconds(machine))) == (VMState.RUNNING, 1)


def test_a_deleted_machine_comes_back_and_runs(cloud, alice, machine):
    cloud.live(120)
    before = len(minimums(cloud, machine))
    cloud.vms.delete_vm(machine.id, machine.name, actor=acting(alice))
    undo_id = cloud.vms.undo.find_deletion(machine.id)
    assert undo(cloud, undo_id, alice) == (EachOutcome.WAITS, "")  # its power is being cut
    cloud.worker.work()
    vm = cloud.vm(machine)
    assert (vm.state, vm.name, vm.deleted_at) == (VMState.RUNNING, machine.name, None)
    cloud.round(3600)
    assert len(minimums(cloud, machine)) == before
    assert cloud.billing.books.verification.run_hourly().ok


def test_a_killed_worker_goes_on_with_it(cloud, alice, machine):
    cloud.vms.delete_vm(machine.id, machine.name, actor=acting(alice))
    undo_id = cloud.vms.undo.find_deletion(machine.id)
    undo(cloud, undo_id, alice)

    def at(step):
        if step == "undo.put_back":
            raise Killed

    object.__setattr__(cloud.vms.undo, "_core", _with_checkpoint(cloud.vms.undo._core, at))
    with pytest.raises(Killed):
        cloud.worker.work()
    assert cloud.row(machine).deleted_at is not None  # nothing of it was done
    object.__setattr__(cloud.vms.undo, "_core", _with_checkpoint(cloud.vms.undo._core, lambda step: None))
    cloud.restart_worker()
    assert cloud.vms.undo.go_on() == 1
    cloud.worker.work()
    assert cloud.vm(machine).state == VMState.RUNNING


def _with_checkpoint(core, checkpoint):
    return replace(core, checkpoint=checkpoint)


def test_a_machine_that_was_off_comes_back_off(cloud, alice, machine):
    cloud.vms.stop_vm(machine.id, actor=acting(alice))
    cloud.worker.work()
    cloud.vms.delete_vm(machine.id, machine.name, actor=acting(alice))
    cloud.worker.work()
    assert undo(cloud, cloud.vms.undo.find_deletion(machine.id), alice) == (EachOutcome.DONE, "")
    cloud.worker.work()
    assert cloud.vm(machine).state == VMState.STOPPED


def test_its_name_is_taken_meanwhile(cloud, alice, project, machine):
    cloud.vms.delete_vm(machine.id, machine.name, actor=acting(alice))
    cloud.worker.work()
    cloud.launch(alice, project, machine.name)
    outcome, text = undo(cloud, cloud.vms.undo.find_deletion(machine.id), alice)
    assert outcome == EachOutcome.REFUSED
    assert "another machine named" in text
    assert cloud.vms.undo.find_deletion(machine.id)  # refused is not used up


def test_without_credits_it_does_not_run_again(cloud, alice, machine):
    cloud.vms.stop_vm(machine.id, actor=acting(alice))
    cloud.worker.work()
    cloud.set_wallet(alice, 0)
    outcome, text = undo(cloud, offer(cloud, machine, alice), alice)
    assert (outcome, "credits" in text) == (EachOutcome.REFUSED, True)
    assert cloud.vm(machine).state == VMState.STOPPED


def test_what_waited_and_came_to_nothing_says_why(cloud, alice, machine):
    cloud.vms.delete_vm(machine.id, machine.name, actor=acting(alice))
    undo(cloud, cloud.vms.undo.find_deletion(machine.id), alice)
    cloud.set_wallet(alice, 0)
    cloud.worker.work()
    (row,) = cloud.vms.undo.list_of(_newest(cloud, machine), actor=acting(alice))
    assert "credits" in row.problem
    assert cloud.row(machine).deleted_at is not None
    assert cloud.vms.undo.go_on() == 0


def _newest(cloud, machine):
    return cloud._all(select(DbUndo).where(DbUndo.vm_id == machine.id).order_by(DbUndo.id))[-1].id


def test_something_else_came_after_it(cloud, alice, machine):
    cloud.vms.stop_vm(machine.id, actor=acting(alice))
    undo_id = offer(cloud, machine, alice)
    cloud.worker.work()
    cloud.vms.start_vm(machine.id, actor=acting(alice))
    cloud.worker.work()
    assert undo(cloud, undo_id, alice) == (EachOutcome.REFUSED, "Something else has been ordered since.")


def test_labels_name_protection_and_project_go_back(cloud, alice, project, machine):
    me, other = acting(alice), cloud.project(alice, "other")
    cloud.vms.labels.set(machine.id, "env=prod", actor=me)
    cloud.vms.labels.set(machine.id, "env=test, web", actor=me)
    assert undo(cloud, offer(cloud, machine, alice), alice) == (EachOutcome.DONE, "")
    assert [label.text for label in cloud.vms.labels.get(machine.id)] == ["env=prod"]
    cloud.vms.renaming.rename(machine.id, "mail", actor=me)
    assert undo(cloud, offer(cloud, machine, alice), alice) == (EachOutcome.DONE, "")
    assert cloud.vm(machine).name == machine.name
    cloud.vms.bin.set_protection(machine.id, True, actor=me)
    assert undo(cloud, offer(cloud, machine, alice), alice) == (EachOutcome.DONE, "")
    assert not cloud.vm(machine).protected
    cloud.vms.moving.move(machine.id, other.id, actor=me)
    assert undo(cloud, offer(cloud, machine, alice), alice) == (EachOutcome.DONE, "")
    assert cloud.vm(machine).project_id == project.id
    assert offer(cloud, machine, alice) == ""  # an undo is not undone


def test_a_rebuild_is_undone_for_an_hour(cloud, alice, machine):
    wanted = {"image_id": "img_tiny", "confirm_name": machine.name, "access": "new", "user_data": "#!/bin/sh\ntrue\n"}
    cloud.vms.rebuilding.request(machine.id, wanted, alice, actor=acting(alice))
    cloud.worker.work()
    assert cloud.row(machine).user_data
    undo_id = offer(cloud, machine, alice)
    cloud.clock.advance(1800)
    assert undo(cloud, undo_id, alice) == (EachOutcome.DONE, "")
    cloud.worker.work()
    assert not cloud.row(machine).user_data


def test_what_was_changed_again_stays(cloud, alice, machine):
    me = acting(alice)
    cloud.vms.labels.set(machine.id, "env=prod", actor=me)
    undo_id = offer(cloud, machine, alice)
    cloud.vms.labels.set(machine.id, "env=test", actor=me)
    assert undo(cloud, undo_id, alice) == (EachOutcome.REFUSED, "It has been changed again since.")


def test_another_member_undoes_it_if_they_may(cloud, alice, bob, charlie, project, machine):
    cloud.vms.bin.set_protection(machine.id, True, actor=acting(alice))
    undo_id = offer(cloud, machine, alice)
    with pytest.raises(NotFoundError):
        cloud.vms.undo.undo(undo_id, actor=acting(charlie))
    join(cloud.container, project, bob, ProjectRole.VIEWER)
    outcome, text = undo(cloud, undo_id, bob)
    assert (outcome, "Your role" in text) == (EachOutcome.REFUSED, True)
    assert offer(cloud, machine, bob) == ""  # the toast is of one's own doing
    cloud.projects.members.change_role(project.id, bob.id, ProjectRole.MEMBER, actor=acting(alice))
    assert undo(cloud, undo_id, bob) == (EachOutcome.DONE, "")


def test_several_are_undone_together(cloud, alice, project, machine):
    more = [cloud.launch(alice, project, f"web-{number}") for number in (2, 3)]
    ids = [machine.id, *(vm.id for vm in more)]
    together = cloud.vms.undo.new_id("all")
    cloud.vms.bulk.run(Wanted(Change.STOP), ids, actor=acting(alice), together=together)
    cloud.worker.work()
    results = cloud.vms.undo.undo(together, actor=acting(alice))
    assert [each.outcome for each in results] == [EachOutcome.DONE] * 3
    cloud.worker.work()
    assert {cloud.vm(vm).state for vm in (machine, *more)} == {VMState.RUNNING}
    again = cloud.vms.undo.undo(together, actor=acting(alice))
    assert [each.outcome for each in again] == [EachOutcome.UNCHANGED] * 3
