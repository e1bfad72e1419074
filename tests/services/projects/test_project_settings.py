"""Description, colour and archive of a project."""

import threading

import pytest

from tests.services.people import acting, delete, events_of, join, personal_of
from zentry_web.domain.projects.project import ProjectAction, ProjectColour
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError, ValidationError

pytestmark = pytest.mark.integration


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)


@pytest.fixture
def settings(cloud):
    return cloud.projects.settings


def stop(cloud, user, vm):
    cloud.vms.stop_vm(vm.id, actor=acting(user))
    cloud.worker.work()


def names(cloud, user, **more):
    return [each.project.name for each in cloud.projects.list_projects(user.id, actor=acting(user), **more)]


def test_name_description_and_colour_are_set_together(cloud, core, alice, project, settings):
    data = {"name": "Shop", "description": " Two lines,\r\nof text. ", "colour": "teal"}
    settings.update(project.id, data, actor=acting(alice))
    found = cloud.projects.get_project(project.id, actor=acting(alice))
    assert (found.name, found.description, found.colour) == ("Shop", "Two lines,\nof text.", ProjectColour.TEAL)
    settings.update(project.id, data, actor=acting(alice))  # nothing changes
    (update,) = events_of(core, "project.update")
    (rename,) = events_of(core, "project.rename")
    assert update.details == {"changed": ["description", "colour"]}
    assert personal_of(core, rename.id)["project_before"] == "main"
    settings.update(project.id, {"name": "Shop"}, actor=acting(alice))
    found = cloud.projects.get_project(project.id, actor=acting(alice))
    assert (found.description, found.colour) == ("", None)


@pytest.mark.error
@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"description": "x" * 501}, "description"), ({"description": "a\x00b"}, "description"),
        ({"description": "a\u202eb"}, "description"), ({"colour": "mauve"}, "colour"), ({"name": ""}, "name"),
        ({"name": "OTHER"}, "name"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_whole(cloud, alice, project, settings, data, field):
    cloud.project(alice, "other")
    with pytest.raises(ValidationError) as refused:
        settings.update(project.id, {"name": "New", "description": "new", "colour": "red"} | data, actor=acting(alice))
    assert set(refused.value.details) == {field}
    assert cloud.projects.get_project(project.id) == project


def test_nothing_begins_in_an_archived_project(cloud, core, alice, charlie, project, settings):
    vm = cloud.launch(alice, project)
    with pytest.raises(ConflictError, match="still on"):
        settings.archive(project.id, actor=acting(alice))
    stop(cloud, alice, vm)
    settings.archive(project.id, actor=acting(alice))
    settings.archive(project.id, actor=acting(alice))
    assert len(events_of(core, "project.archive")) == 1
    who = acting(alice)
    for attempt in (
        lambda: cloud.ask(alice, project, "more"),
        lambda: cloud.vms.start_vm(vm.id, actor=who),
        lambda: cloud.vms.resize_vm(vm.id, "size_micro", actor=who),
        lambda: cloud.projects.invitations.invite(project.id, {"email": "x@example.com", "role": "viewer"}, actor=who),
    ):
        with pytest.raises(ConflictError, match="archived"):
            attempt()
    found = cloud.vm(vm)
    assert (found.state, found.is_archived, found.may("start"), found.may("delete")) == (
        VMState.STOPPED, True, False, True,
    )  # fmt: skip
    assert (names(cloud, alice), names(cloud, alice, archived=True)) == ([], ["main"])
    assert cloud.projects.list_choices(alice.id, actor=who, action=ProjectAction.LAUNCH) == []
    settings.unarchive(project.id, actor=who)
    settings.unarchive(project.id, actor=who)
    assert len(events_of(core, "project.unarchive")) == 1
    assert (names(cloud, alice), names(cloud, alice, archived=None)) == (["main"], ["main"])
    assert cloud.vms.start_vm(vm.id, actor=who)


def test_an_archived_project_can_be_cleared_and_deleted(container, cloud, alice, project, settings):
    vm = cloud.launch(alice, project)
    stop(cloud, alice, vm)
    settings.archive(project.id, actor=acting(alice))
    delete(container, alice, vm)
    cloud.projects.delete_project(project.id, actor=acting(alice))
    assert names(cloud, alice, archived=None) == []


def test_an_open_invitation_waits_until_the_project_is_taken_out(cloud, alice, charlie, project, settings):
    invited = cloud.projects.invitations.invite(
        project.id, {"email": "x@example.com", "role": "viewer"}, actor=acting(alice)
    )
    settings.archive(project.id, actor=acting(alice))
    with pytest.raises(ConflictError, match="archived"):
        cloud.projects.invitations.accept(invited.secret, actor=acting(charlie))
    settings.unarchive(project.id, actor=acting(alice))
    assert cloud.projects.invitations.accept(invited.secret, actor=acting(charlie)) == project.id


def test_what_credits_had_stopped_does_not_return_into_the_archive(cloud, alice, project, settings):
    vm = cloud.launch(alice, project)
    cloud.set_wallet(alice, 0)
    for _ in range(40):
        cloud.round(120)
        cloud.land()
        for stop in cloud.billing.runs.renew_holds():
            cloud.vms.landing.stop_for_credit(stop)
        cloud.worker.work()
    assert cloud.row(vm).credit_stopped_at is not None
    settings.archive(project.id, actor=acting(alice))
    cloud.set_wallet(alice, 50_000_000)
    cloud.land()
    cloud.round(60)
    assert (cloud.vm(vm).state, cloud.row(vm).credit_stopped_at) == (VMState.STOPPED, None)
    cloud.assert_sound()


def test_a_launch_and_archiving_at_once_leave_nothing_on_in_the_archive(cloud, alice, settings):
    for number in range(5):
        project, outcomes = cloud.project(alice, f"p{number}"), {}

        def attempt(what, work, outcomes=outcomes):
            try:
                work()
                outcomes[what] = True
            except ConflictError:
                outcomes[what] = False

        jobs = {
            "launch": lambda project=project: cloud.ask(alice, project),
            "archive": lambda project=project: settings.archive(project.id, actor=acting(alice)),
        }
        threads = [threading.Thread(target=attempt, args=job) for job in jobs.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert outcomes["launch"] != outcomes["archive"]


def test_joining_and_archiving_at_once_come_one_after_the_other(cloud, core, alice, bob, project, settings):
    """Whoever joins while it is archived waits or makes that wait: nobody joins an archived project."""
    invitations = cloud.projects.invitations
    made = invitations.invite(project.id, {"email": "bob@example.com", "role": "viewer"}, actor=acting(alice))
    order, began = [], threading.Event()

    def archive():
        began.set()
        settings.archive(project.id, actor=acting(alice))
        order.append("archived")

    other = threading.Thread(target=archive)
    log = invitations._log

    def joined(*args):
        log(*args)
        other.start()
        began.wait(10)
        other.join(0.5)  # it cannot end while this transaction is open
        order.append("joined")

    invitations._log = joined
    invitations.accept(made.secret, actor=acting(bob))
    other.join(30)
    assert order == ["joined", "archived"]
    assert cloud.projects.get_project(project.id, actor=acting(bob)).is_archived
    (join_event,), (archive_event,) = events_of(core, "member.join"), events_of(core, "project.archive")
    assert join_event.seq < archive_event.seq


@pytest.mark.error
def test_an_archived_project_lets_nobody_in_and_keeps_the_door(cloud, alice, bob, project, settings):
    invitations = cloud.projects.invitations
    made = invitations.invite(project.id, {"email": "bob@example.com", "role": "viewer"}, actor=acting(alice))
    settings.archive(project.id, actor=acting(alice))
    with pytest.raises(ConflictError, match="archived"):
        invitations.accept(made.secret, actor=acting(bob))
    settings.unarchive(project.id, actor=acting(alice))
    assert invitations.accept(made.secret, actor=acting(bob)) == project.id


@pytest.mark.error
def test_members_look_admins_of_the_project_decide_strangers_see_nothing(cloud, alice, bob, charlie, project, settings):
    join(cloud.container, project, bob, "member")
    for attempt in (settings.archive, settings.unarchive, lambda each, actor: settings.update(each, {}, actor=actor)):
        with pytest.raises(PermissionDeniedError):
            attempt(project.id, actor=acting(bob))
        with pytest.raises(NotFoundError):
            attempt(project.id, actor=acting(charlie))


def test_an_erased_account_leaves_no_description(cloud, alice, project, settings):
    settings.update(project.id, {"name": "main", "description": "call me: 555"}, actor=acting(alice))
    cloud.container.get_user_service().erase_personal_data(alice.id, actor=acting(alice))
    assert cloud.projects.get_project(project.id).description == ""
