"""Members of a project and invitations to it."""

import re
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.conftest import sign_up
from tests.services.people import acting, events_of, join, personal_of
from zentry_web.adapters.letters import Letters, MailSettings
from zentry_web.domain.projects.project import ProjectRole
from zentry_web.domain.projects.team import MAX_INVITATIONS
from zentry_web.models import DbProjectInvitation, DbProjectMember
from zentry_web.services.errors import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServiceError,
    ValidationError,
)
from zentry_web.services.projects.invitations import Invitations
from zentry_web.web.output.targets import path_of

pytestmark = pytest.mark.integration

OWNER, ADMIN, MEMBER, RESTRICTED, VIEWER = ProjectRole
TO_DORA = {"email": "dora@example.com", "role": "member"}


@pytest.fixture
def projects(container):
    return container.get_project_service()


@pytest.fixture
def lab(projects, alice):
    return projects.create_project({"name": "Lab"}, alice, actor=acting(alice))


@pytest.fixture
def mailed(projects, core, container):
    """Invitations where a mail server is set."""
    mail = MailSettings(True, Letters("http://zentry.test", path_of))
    return Invitations(replace(core, mail=mail), container.billing.notices, container.billing.settings)


def roles(projects, lab):
    return {member.name: str(member.role) for member in projects.members.list_members(lab.id)}


def told(container, user):
    return [notice.title for notice in container.get_billing_service().notices.list_notices(user.id)]


# -- members --------------------------------------------------------------------------------------


def test_members_are_listed_and_addresses_told_to_those_who_manage_them(container, projects, lab, alice, bob, charlie):
    join(container, lab, bob, VIEWER)
    join(container, lab, charlie, ADMIN)
    found = projects.members.list_members(lab.id, actor=acting(charlie))
    assert [(each.name, each.role, each.is_manageable) for each in found] == [
        ("Alice", "owner", False), ("Charlie", "admin", False), ("Bob", "viewer", True)
    ]  # fmt: skip
    assert all(each.email for each in found)
    seen = projects.members.list_members(lab.id, actor=acting(bob))
    assert [each.email for each in seen] == ["", "", "bob@example.com"]
    assert not any(each.is_manageable for each in seen)


def test_another_role_counts_at_once(container, core, projects, lab, alice, bob):
    join(container, lab, bob, VIEWER)
    projects.members.change_role(lab.id, bob.id, ADMIN, actor=acting(alice))
    assert projects.rename_project(lab.id, "Ours", actor=acting(bob)).name == "Ours"
    projects.members.change_role(lab.id, bob.id, ADMIN, actor=acting(alice))
    (event,) = events_of(core, "member.role")
    assert (event.resource_id, event.project_id, event.details) == (
        bob.id,
        lab.id,
        {"role": "admin", "before": "viewer"},
    )
    assert told(container, bob) == ["Your role in Lab is now “admin”"]


@pytest.mark.error
def test_nobody_gives_or_takes_more_than_their_role_may(container, projects, lab, alice, bob, charlie):
    join(container, lab, bob, ADMIN)
    join(container, lab, charlie, ADMIN)
    members = projects.members
    for attempt in (
        lambda: members.change_role(lab.id, charlie.id, VIEWER, actor=acting(bob)),
        lambda: members.change_role(lab.id, bob.id, OWNER, actor=acting(bob)),
        lambda: members.change_role(lab.id, bob.id, OWNER, actor=acting(alice)),
        lambda: members.change_role(lab.id, alice.id, ADMIN, actor=acting(alice)),
        lambda: members.remove(lab.id, charlie.id, actor=acting(bob)),
        lambda: members.remove(lab.id, alice.id, actor=acting(bob)),
        lambda: members.remove(lab.id, alice.id, actor=acting(alice)),
        lambda: projects.invitations.invite(lab.id, TO_DORA | {"role": "admin"}, actor=acting(bob)),
        lambda: projects.invitations.invite(lab.id, TO_DORA | {"role": "owner"}, actor=acting(alice)),
    ):
        with pytest.raises(PermissionDeniedError):
            attempt()
    assert roles(projects, lab) == {"Alice": "owner", "Bob": "admin", "Charlie": "admin"}


@pytest.mark.error
@pytest.mark.parametrize("role", [MEMBER, RESTRICTED, VIEWER])
def test_others_manage_nobody(container, projects, lab, alice, bob, role):
    join(container, lab, bob, role)
    for attempt in (
        lambda: projects.members.change_role(lab.id, bob.id, ADMIN, actor=acting(bob)),
        lambda: projects.members.remove(lab.id, alice.id, actor=acting(bob)),
        lambda: projects.invitations.invite(lab.id, TO_DORA, actor=acting(bob)),
        lambda: projects.invitations.list_open(lab.id, actor=acting(bob)),
        lambda: projects.invitations.revoke(lab.id, "inv_none", actor=acting(bob)),
    ):
        with pytest.raises(PermissionDeniedError):
            attempt()


@pytest.mark.error
def test_strangers_find_nothing(projects, lab, alice, charlie):
    for attempt in (
        lambda: projects.members.list_members(lab.id, actor=acting(charlie)),
        lambda: projects.members.change_role(lab.id, alice.id, VIEWER, actor=acting(charlie)),
        lambda: projects.members.remove(lab.id, alice.id, actor=acting(charlie)),
        lambda: projects.members.leave(lab.id, actor=acting(charlie)),
        lambda: projects.invitations.invite(lab.id, TO_DORA, actor=acting(charlie)),
        lambda: projects.invitations.list_open(lab.id, actor=acting(charlie)),
        lambda: projects.invitations.revoke(lab.id, "inv_none", actor=acting(charlie)),
        lambda: projects.members.change_role(lab.id, charlie.id, VIEWER, actor=acting(alice)),
        lambda: projects.members.remove(lab.id, charlie.id, actor=acting(alice)),
    ):
        with pytest.raises(NotFoundError):
            attempt()


def test_who_is_removed_or_leaves_is_out_and_their_invitations_end(container, core, projects, lab, alice, bob, charlie):
    join(container, lab, bob, ADMIN)
    link = projects.invitations.invite(lab.id, TO_DORA, actor=acting(bob)).secret
    projects.members.remove(lab.id, bob.id, actor=acting(alice))
    with pytest.raises(NotFoundError):
        projects.get_project(lab.id, actor=acting(bob))
    with pytest.raises(NotFoundError):
        projects.invitations.accept(link, actor=acting(charlie))
    assert told(container, bob) == ["You do not belong to the project Lab any more"]
    join(container, lab, charlie, MEMBER)
    projects.members.leave(lab.id, actor=acting(charlie))
    assert roles(projects, lab) == {"Alice": "owner"}
    assert [len(events_of(core, action)) for action in ("member.remove", "member.leave")] == [1, 1]


@pytest.mark.error
def test_an_owner_does_not_leave(projects, lab, alice):
    with pytest.raises(ConflictError):
        projects.members.leave(lab.id, actor=acting(alice))


# -- invitations ----------------------------------------------------------------------------------


def test_whoever_has_the_link_may_join_once(container, core, projects, lab, alice, bob, charlie):
    made = projects.invitations.invite(lab.id, TO_DORA, actor=acting(alice))
    seen = projects.invitations.peek(made.secret)
    assert (seen.project_name, seen.role, seen.inviter_name) == ("Lab", "member", "Alice")
    assert projects.invitations.accept(made.secret, actor=acting(bob)) == lab.id
    assert roles(projects, lab) == {"Alice": "owner", "Bob": "member"}
    assert projects.invitations.peek(made.secret) is None
    with pytest.raises(NotFoundError):
        projects.invitations.accept(made.secret, actor=acting(charlie))
    assert told(container, alice) == ["Bob joined Lab as member"]
    (event,) = events_of(core, "member.invite")
    assert event.details == {"role": "member"}
    assert personal_of(core, event.id)["email"] == "dora@example.com"
    with core.database.reading() as session:
        stored = session.query(DbProjectInvitation).one()
        assert made.secret not in str(vars(stored))


def test_accepting_twice_leads_to_the_project_both_times(core, projects, lab, alice, bob, charlie):
    secret = projects.invitations.invite(
        lab.id, {"email": bob.email, "role": "viewer"}, actor=acting(alice)
    ).secret  # fmt: skip
    for _ in range(2):
        assert projects.invitations.accept(secret, actor=acting(bob)) == lab.id
    assert len(events_of(core, "member.join")) == 1
    with pytest.raises(NotFoundError):
        projects.invitations.accept(secret, actor=acting(charlie))
    projects.members.remove(lab.id, bob.id, actor=acting(alice))
    with pytest.raises(NotFoundError):
        projects.invitations.accept(secret, actor=acting(bob))


def test_of_two_who_accept_at_once_one_joins(projects, lab, alice, bob, charlie):
    secret = projects.invitations.invite(lab.id, TO_DORA, actor=acting(alice)).secret
    outcomes = []

    def accept(user):
        try:
            projects.invitations.accept(secret, actor=acting(user))
            outcomes.append("joined")
        except ServiceError:
            outcomes.append("refused")

    threads = [threading.Thread(target=accept, args=[user]) for user in (bob, charlie)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["joined", "refused"]
    assert len(roles(projects, lab)) == 2


def test_who_belongs_to_it_does_not_use_a_link_up(projects, lab, alice, bob):
    secret = projects.invitations.invite(lab.id, TO_DORA, actor=acting(alice)).secret
    assert projects.invitations.accept(secret, actor=acting(alice)) == lab.id
    assert roles(projects, lab) == {"Alice": "owner"}
    assert projects.invitations.accept(secret, actor=acting(bob)) == lab.id
    assert roles(projects, lab) == {"Alice": "owner", "Bob": "member"}


@pytest.mark.error
def test_who_is_in_is_not_invited_and_of_others_nothing_is_said(container, projects, lab, alice, bob, charlie):
    join(container, lab, bob, VIEWER)
    join(container, lab, charlie, ADMIN)
    for email, words in (("bob@example.com", "belong to this project already"), ("Charlie@Example.com", "yourself")):
        with pytest.raises(ValidationError) as caught:
            projects.invitations.invite(lab.id, {"email": email, "role": "viewer"}, actor=acting(charlie))
        assert words in caught.value.details["email"]
    projects.members.leave(lab.id, actor=acting(bob))
    assert projects.invitations.invite(lab.id, {"email": "bob@example.com", "role": "viewer"}, actor=acting(charlie))


def test_a_dead_link_lets_nobody_in_who_left(container, projects, lab, alice, bob):
    secret = projects.invitations.invite(lab.id, TO_DORA, actor=acting(alice)).secret
    projects.invitations.accept(secret, actor=acting(bob))
    projects.members.leave(lab.id, actor=acting(bob))
    with pytest.raises(NotFoundError):
        projects.invitations.accept(secret, actor=acting(bob))


def test_leaving_twice_is_leaving_once(container, core, projects, lab, alice, bob, charlie):
    join(container, lab, bob, VIEWER)
    for _ in range(2):
        projects.members.leave(lab.id, actor=acting(bob))
    assert len(events_of(core, "member.leave")) == 1
    join(container, lab, bob, VIEWER)
    projects.members.remove(lab.id, bob.id, actor=acting(alice))
    projects.members.leave(lab.id, actor=acting(bob))
    with pytest.raises(NotFoundError):
        projects.members.leave(lab.id, actor=acting(charlie))


@pytest.mark.error
def test_declined_withdrawn_replaced_and_old_links_are_dead(container, clock, projects, lab, alice, bob):
    invitations, by_alice = projects.invitations, acting(alice)
    declined = invitations.invite(lab.id, TO_DORA, actor=by_alice)
    invitations.decline(declined.secret, actor=acting(bob))
    withdrawn = invitations.invite(lab.id, TO_DORA, actor=by_alice)
    invitations.revoke(lab.id, withdrawn.id, actor=by_alice)
    replaced = invitations.invite(lab.id, TO_DORA, actor=by_alice)
    old = invitations.invite(lab.id, TO_DORA | {"email": "DORA@example.com"}, actor=by_alice)
    assert [each.id for each in invitations.list_open(lab.id, actor=by_alice)] == [old.id]
    clock.advance(days=7)
    assert invitations.list_open(lab.id, actor=by_alice) == []
    for link in (declined, withdrawn, replaced, old):
        assert invitations.peek(link.secret) is None
        for attempt in (invitations.accept, invitations.decline):
            with pytest.raises(NotFoundError):
                attempt(link.secret, actor=acting(bob))
    for attempt in (withdrawn.id, "inv_none"):
        with pytest.raises(NotFoundError):
            invitations.revoke(lab.id, attempt, actor=by_alice)
    assert told(container, alice) == ["An invitation to Lab was declined"]
    clock.advance(days=31)
    assert invitations.prune() == 4


@pytest.mark.error
def test_a_deleted_project_cannot_be_joined(projects, lab, alice, bob):
    secret = projects.invitations.invite(lab.id, TO_DORA, actor=acting(alice)).secret
    projects.delete_project(lab.id, actor=acting(alice))
    assert projects.invitations.peek(secret) is None
    with pytest.raises(NotFoundError):
        projects.invitations.accept(secret, actor=acting(bob))


@pytest.mark.error
@pytest.mark.parametrize(("field", "value"), [("email", "nobody"), ("email", ""), ("role", "king"), ("role", None)])
def test_what_was_typed_wrong_is_said_on_its_field(projects, lab, alice, field, value):
    with pytest.raises(ValidationError) as caught:
        projects.invitations.invite(lab.id, TO_DORA | {field: value}, actor=acting(alice))
    assert set(caught.value.details) == {field}


@pytest.mark.error
def test_inviting_has_an_end(clock, projects, lab, alice):
    def invite(number):
        return projects.invitations.invite(lab.id, TO_DORA | {"email": f"d{number}@example.com"}, actor=acting(alice))

    for number in range(30):
        invite(number)
    with pytest.raises(RateLimitedError):
        invite(30)
    clock.advance(hours=2)
    for number in range(30, MAX_INVITATIONS):
        invite(number)
    with pytest.raises(ConflictError):
        invite(MAX_INVITATIONS)
    assert len(projects.invitations.list_open(lab.id)) == MAX_INVITATIONS


def test_the_link_is_in_the_mail_alone(mailed, core, lab, alice, bob, clock):
    made = mailed.invite(lab.id, TO_DORA, actor=acting(alice))
    assert made.secret == ""
    first = mailed.claim_mail()
    assert (first.to_address, first.subject) == ("dora@example.com", "You are invited to a project on Zentry")
    assert "Alice invites you to the project “Lab”" in first.body
    assert mailed.claim_mail() is None
    mailed.record_failed(first, "no route")
    clock.advance(seconds=31)
    second = mailed.claim_mail()
    dead, alive = (re.search(r"http://zentry.test/invitations/(\S+)", mail.body).group(1) for mail in (first, second))
    mailed.record_sent(second)
    clock.advance(hours=2)
    assert mailed.claim_mail() is None
    assert mailed.peek(dead) is None
    assert mailed.accept(alive, actor=acting(bob)) == lab.id
    with core.database.reading() as session:
        stored = session.query(DbProjectInvitation).one()
        assert (stored.run_at, stored.outcome, stored.user_id) == (None, "accepted", bob.id)


def test_inviting_does_not_tell_who_has_an_account(mailed, lab, alice, bob):
    known = mailed.invite(lab.id, {"email": bob.email, "role": "viewer"}, actor=acting(alice))
    unknown = mailed.invite(lab.id, TO_DORA | {"role": "viewer"}, actor=acting(alice))
    same = {"id": "", "email": ""}
    assert replace(known, **same) == replace(unknown, **same)
    assert mailed.claim_mail().subject == mailed.claim_mail().subject


def test_an_erased_account_leaves_no_trace_in_teams(container, core, projects, lab, alice, bob):
    projects.invitations.invite(lab.id, {"email": bob.email, "role": "viewer"}, actor=acting(alice))
    join(container, lab, bob, ADMIN)
    projects.invitations.invite(lab.id, TO_DORA, actor=acting(bob))
    container.get_user_service().erase_personal_data(bob.id, actor=acting(bob))
    assert roles(projects, lab) == {"Alice": "owner"}
    with core.database.reading() as session:
        assert session.query(DbProjectInvitation).count() == 0
        assert session.query(DbProjectMember).count() == 1


def test_a_launch_after_the_removal_is_refused(container, projects, lab, alice):
    dora = sign_up(container, "dora")
    join(container, lab, dora, MEMBER)
    projects.members.remove(lab.id, dora.id, actor=acting(alice))
    chosen = {"project_id": lab.id, "name": "web", "size_id": "size_nano", "image_id": "img_tiny"}
    with pytest.raises(NotFoundError):
        container.get_vm_service().create_vm(chosen, dora, actor=acting(dora))


def test_links_end_after_a_week(clock, projects, lab, alice):
    made = projects.invitations.invite(lab.id, TO_DORA, actor=acting(alice))
    assert made.expires_at - clock.now() == timedelta(days=7)
