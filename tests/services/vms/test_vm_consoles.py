"""Tickets for consoles: 30 seconds, once, for one person in one session at one machine; and who may stay."""

import pytest

from tests.conftest import PASSWORD
from tests.services.people import HOME, acting, events_of, join, personal_of, visitor
from zentry_web.domain.projects.project import ProjectRole
from zentry_web.domain.vms.console import PER_PERSON, ConsoleEnd
from zentry_web.services.errors import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ValidationError,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice, "Website")


@pytest.fixture
def vm(cloud, alice, project):
    return cloud.launch(alice, project, "web")


@pytest.fixture
def consoles(container):
    return container.vms.consoles


@pytest.fixture
def log_in(container):
    """A new browser session of somebody; its secret."""
    return lambda user: container.auth.login({"email": user.email, "password": PASSWORD}, actor=visitor()).session_token


def opened(consoles, vm, user, session, kind="text"):
    ticket = consoles.order(vm.id, kind, session, actor=acting(user))
    return consoles.redeem(vm.id, ticket.token, session, actor=acting(user))


def test_a_ticket_opens_one_console_and_the_activity_says_who_when_and_from_where(
    consoles, container, vm, alice, log_in, clock
):
    session = log_in(alice)
    console = opened(consoles, vm, alice, session, "screen")
    (begun,) = events_of(container.parts.core, "vm.console")
    assert (begun.actor_id, begun.vm_id, begun.details["kind"]) == (alice.id, vm.id, "screen")
    assert personal_of(container.parts.core, begun.id)["address"] == HOME
    clock.advance(minutes=3)
    consoles.end(console.id, ConsoleEnd.LEFT)
    consoles.end(console.id, ConsoleEnd.OFF)  # once more is no error
    (ended,) = events_of(container.parts.core, "vm.console_end")
    assert (ended.details["seconds"], ended.details["why"]) == (180, "left")


def test_a_ticket_is_good_once(consoles, vm, alice, log_in):
    session = log_in(alice)
    ticket = consoles.order(vm.id, "text", session, actor=acting(alice))
    consoles.redeem(vm.id, ticket.token, session, actor=acting(alice))
    with pytest.raises(PermissionDeniedError):
        consoles.redeem(vm.id, ticket.token, session, actor=acting(alice))


def test_a_ticket_is_good_for_thirty_seconds(consoles, vm, alice, log_in, clock):
    session = log_in(alice)
    ticket = consoles.order(vm.id, "text", session, actor=acting(alice))
    clock.advance(seconds=30)
    with pytest.raises(PermissionDeniedError):
        consoles.redeem(vm.id, ticket.token, session, actor=acting(alice))


def test_a_ticket_is_bound_to_person_session_and_machine(consoles, cloud, project, vm, alice, bob, container, log_in):
    session, other = log_in(alice), cloud.launch(alice, project, "other")
    join(container, project, bob, "member")
    ticket = consoles.order(vm.id, "text", session, actor=acting(alice))
    for machine, shown, user in ((vm, log_in(alice), alice), (vm, session, bob), (other, session, alice)):
        with pytest.raises(PermissionDeniedError):
            consoles.redeem(machine.id, ticket.token, shown, actor=acting(user))
    consoles.redeem(vm.id, ticket.token, session, actor=acting(alice))


def test_who_may_open_one(consoles, vm, container, project, alice, bob, charlie, log_in):
    with pytest.raises(NotFoundError):
        consoles.order(vm.id, "text", log_in(charlie), actor=acting(charlie))
    join(container, project, bob, "viewer")
    with pytest.raises(PermissionDeniedError):
        consoles.order(vm.id, "text", log_in(bob), actor=acting(bob))
    with pytest.raises(ValidationError):
        consoles.order(vm.id, "telepathy", log_in(alice), actor=acting(alice))


def test_a_machine_that_is_off_has_none_but_its_path_can_be_tested(consoles, cloud, vm, alice, log_in):
    cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.live(6)
    with pytest.raises(ConflictError, match="off"):
        consoles.order(vm.id, "text", log_in(alice), actor=acting(alice))
    consoles.order(vm.id, "test", log_in(alice), actor=acting(alice))


def test_nobody_has_more_than_a_dozen_open(consoles, vm, alice, log_in, clock):
    session = log_in(alice)
    ids = [opened(consoles, vm, alice, session).id for _ in range(PER_PERSON)]
    with pytest.raises(RateLimitedError):
        opened(consoles, vm, alice, session)
    consoles.end(ids[0], ConsoleEnd.LEFT)
    opened(consoles, vm, alice, session)


def end_session(container, session, **_):
    container.auth.logout(session, actor=visitor())


def lose_role(container, project, bob, alice, **_):
    container.projects.members.change_role(project.id, bob.id, ProjectRole.VIEWER, actor=acting(alice))


def remove(container, project, bob, alice, **_):
    container.projects.members.remove(project.id, bob.id, actor=acting(alice))


def disable(container, bob, admin, **_):
    container.users.set_disabled(bob.id, True, actor=acting(admin))


def delete_machine(cloud, vm, alice, **_):
    cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.live(6)


@pytest.mark.parametrize("happens", [end_session, lose_role, remove, disable, delete_machine])
def test_a_console_may_not_stay_when_the_right_to_it_ends(
    happens, consoles, cloud, container, project, vm, alice, bob, admin, log_in
):
    join(container, project, bob, "restricted")
    session, own = log_in(bob), log_in(alice)
    console, of_alice = opened(consoles, vm, bob, session).id, opened(consoles, vm, alice, own).id
    assert consoles.find_ended([console, of_alice]) == set()
    happens(
        cloud=cloud, container=container, project=project, vm=vm, alice=alice, bob=bob, admin=admin, session=session
    )
    gone = consoles.find_ended([console, of_alice])
    assert console in gone
    assert (of_alice in gone) == (happens is delete_machine)


def test_an_admin_of_zentry_stays_while_they_are_one(consoles, container, vm, admin, log_in):
    console = opened(consoles, vm, admin, log_in(admin)).id
    assert consoles.find_ended([console]) == set()


def test_a_console_follows_its_session_to_the_next_secret(consoles, container, vm, alice, log_in, clock):
    session = log_in(alice)
    console = opened(consoles, vm, alice, session).id
    for _ in range(3):
        clock.advance(hours=13)
        session = container.auth.renew_session(session)
        assert container.auth.get_session(session) is not None
        assert consoles.find_ended([console]) == set()


def test_one_whose_process_was_killed_ends_when_it_was_last_heard(consoles, container, vm, alice, log_in, clock):
    session = log_in(alice)
    console = opened(consoles, vm, alice, session).id
    clock.advance(seconds=20)
    consoles.find_ended([console])
    assert consoles.end_lost() == 0
    clock.advance(seconds=31)
    assert consoles.end_lost() == 1
    (ended,) = events_of(container.parts.core, "vm.console_end")
    assert (ended.details["seconds"], ended.details["why"]) == (20, "lost")
    clock.advance(days=31)
    assert consoles.prune() == 1
