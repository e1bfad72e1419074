"""Roles, forced resets and the last admin who can act."""

import pytest
from sqlalchemy import update

from tests.conftest import PASSWORD, make_config, sign_up
from tests.services.people import acting, events_of, session_user, visitor
from zentry_web.composition import build_container
from zentry_web.domain.user import SYSTEM, Role
from zentry_web.models import DbUser
from zentry_web.services.errors import (
    AuthenticationRequiredError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProofRequiredError,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def auth(container):
    return container.get_auth_service()


@pytest.fixture
def access(container):
    return container.get_user_service().access


@pytest.fixture
def second(access, bob, admin):
    """Another admin."""
    return access.change_role(bob.id, Role.ADMIN, actor=acting(admin))


def signed_in(auth, user):
    return auth.login({"email": user.email, "password": PASSWORD}, actor=visitor()).session_token


def told(container, user):
    return [each.title for each in container.get_billing_service().notices.list_notices(user.id)]


@pytest.mark.asvs("8.3.2")
def test_a_role_changes_at_once_and_both_are_told(container, auth, access, core, alice, admin):
    session = signed_in(auth, alice)
    token = auth.tokens.create_personal(alice.id, "ci", ["account:read"], 30, actor=acting(alice))
    assert access.change_role(alice.id, Role.ADMIN, actor=acting(admin)).role == Role.ADMIN
    assert session_user(auth, session) is None
    assert auth.tokens.find_user(token) is None
    (event,) = events_of(core, "user.role")
    assert (event.actor_id, event.owner_id, event.details) == (admin.id, alice.id, {"from": "user", "to": "admin"})
    assert told(container, alice) == ["Your account is now an admin"]
    assert told(container, admin) == ["You made Alice an admin"]
    access.change_role(alice.id, Role.ADMIN, actor=acting(admin))
    assert len(events_of(core, "user.role")) == 1
    assert access.change_role(alice.id, Role.USER, actor=acting(admin)).role == Role.USER


def test_a_link_mailed_before_does_not_open_an_admins_account(auth, access, alice, admin):
    link = auth.make_password_link(alice.id, actor=acting(admin))
    access.change_role(alice.id, Role.ADMIN, actor=acting(admin))
    assert auth.peek_link(link) is None


def test_all_other_admins_are_told_of_a_role(container, access, second, alice, charlie, admin):
    access.change_role(alice.id, Role.ADMIN, actor=acting(admin))
    assert told(container, second)[0] == "Alice is now an admin"
    assert told(container, charlie) == []
    access.change_role(alice.id, Role.USER, actor=acting(second))
    assert told(container, admin)[0] == "Alice is now an ordinary account"


@pytest.mark.asvs("6.4.6")
def test_an_admin_does_not_step_into_one_just_demoted(auth, access, second, admin, clock):
    access.change_role(second.id, Role.USER, actor=acting(admin))
    with pytest.raises(ConflictError, match="24 hours"):
        auth.make_password_link(second.id, actor=acting(admin))
    assert auth.make_password_link(second.id, actor=SYSTEM), "whoever runs the machine may"
    clock.advance(24 * 3600)
    assert auth.make_password_link(second.id, actor=acting(admin))


@pytest.mark.asvs("2.3.5")
def test_an_admin_does_not_make_up_the_second_of_two(container, access, second, alice, admin, clock):
    """``second`` was made an admin just now: for a day it approves nothing that its maker asked for."""
    billing = container.get_billing_service()
    asked = billing.add_credits(alice.id, 2_000_000_000, "Course", actor=acting(admin), idempotency_key="k")
    with pytest.raises(ConflictError, match="24 hours"):
        billing.books.approvals.decide(asked.id, True, actor=acting(second))
    clock.advance(24 * 3600)
    assert billing.books.approvals.decide(asked.id, True, actor=acting(second)).outcome == "approved"


@pytest.mark.error
def test_who_may_not_change_a_role(access, core, container, alice, charlie, admin):
    refused = [
        (PermissionDeniedError, lambda: access.change_role(alice.id, Role.ADMIN, actor=acting(charlie))),
        (ProofRequiredError, lambda: access.change_role(alice.id, Role.ADMIN, actor=acting(admin, proved_at=None))),
        (ConflictError, lambda: access.change_role(admin.id, Role.USER, actor=acting(admin))),
        (NotFoundError, lambda: access.change_role("usr_nobody", Role.ADMIN, actor=acting(admin))),
    ]
    container.get_user_service().set_disabled(charlie.id, True, actor=acting(admin))
    refused.append((ConflictError, lambda: access.change_role(charlie.id, Role.ADMIN, actor=acting(admin))))
    for error, attempt in refused:
        with pytest.raises(error):
            attempt()
    container.get_user_service().closure.request(alice.id, PASSWORD, actor=acting(alice))
    with pytest.raises(ConflictError, match="about to be deleted"):
        access.change_role(alice.id, Role.ADMIN, actor=acting(admin))
    assert events_of(core, "user.role") == []


@pytest.mark.asvs("15.4.2")
@pytest.mark.error
def test_of_two_admins_who_demote_each_other_one_is_left(access, admin, second):
    """The second one's request was made while they were an admin and is looked at when they are none any more."""
    access.change_role(second.id, Role.USER, actor=acting(admin))
    for attempt in (
        lambda: access.change_role(admin.id, Role.USER, actor=acting(second)),
        lambda: access.set_disabled(admin.id, True, actor=acting(second)),
    ):
        with pytest.raises(PermissionDeniedError):
            attempt()


@pytest.mark.error
def test_the_last_admin_who_can_act_stays(access, core, admin, second):
    with core.database.writing() as session, session.begin():
        session.execute(update(DbUser).where(DbUser.id == second.id).values(password_hash=None))
    for attempt in (
        lambda: access.change_role(admin.id, Role.USER, actor=SYSTEM),
        lambda: access.set_disabled(admin.id, True, actor=SYSTEM),
    ):
        with pytest.raises(ConflictError, match="last admin"):
            attempt()
    assert access.change_role(second.id, Role.USER, actor=SYSTEM).role == Role.USER


# -- forced resets ------------------------------------------------------------------------------


@pytest.fixture
def mailing(sqlite_config, clock):
    """Services that send mail."""
    config = make_config(sqlite_config.data, smtp_url="smtp://localhost:2525", mail_from="zentry@example.com")
    built = build_container(config, clock=clock)
    yield built
    built.close()


@pytest.fixture
def mailed(mailing):
    """Alice and an admin where mail is sent."""
    token = mailing.get_auth_service().create_admin("admin@example.com", "Admin")
    return sign_up(mailing, "alice"), mailing.get_auth_service().redeem_link(token, PASSWORD).user


@pytest.mark.asvs("6.4.6")
def test_a_forced_reset_shuts_the_account_and_mails_its_owner_a_link(mailing, mailed):
    alice, admin = mailed
    auth, verification = mailing.get_auth_service(), mailing.get_auth_service().verification
    session = signed_in(auth, alice)
    mailing.get_user_service().access.force_reset(alice.id, actor=acting(admin))
    assert session_user(auth, session) is None
    with pytest.raises(AuthenticationRequiredError):
        auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    mail = verification.claim_mail()
    assert (mail.to_address, "have reset your password" in mail.body) == (alice.email, True)
    secret = mail.body.split("/reset/")[1].split()[0]
    verification.reset_password(secret, "another good password 7", actor=visitor())
    auth.login({"email": alice.email, "password": "another good password 7"}, actor=visitor())
    (event,) = events_of(mailing.parts.core, "user.force_reset")
    assert (event.actor_id, event.owner_id, event.details) == (admin.id, alice.id, {})
    assert secret not in str(event.details)


def test_no_link_is_mailed_once_another_password_was_chosen(mailing, mailed):
    alice, admin = mailed
    auth = mailing.get_auth_service()
    mailing.get_user_service().access.force_reset(alice.id, actor=acting(admin))
    link = auth.make_password_link(alice.id, actor=acting(admin))
    auth.redeem_link(link, "another good password 7")
    assert auth.verification.claim_mail() is None


@pytest.mark.error
def test_whose_password_is_not_reset(mailing, mailed):
    alice, admin = mailed
    users = mailing.get_user_service()
    access = users.access
    bob = sign_up(mailing, "bob")
    access.change_role(bob.id, Role.ADMIN, actor=acting(admin))
    refused = [
        (PermissionDeniedError, lambda: access.force_reset(admin.id, actor=acting(alice))),
        (ProofRequiredError, lambda: access.force_reset(alice.id, actor=acting(admin, proved_at=None))),
        (ConflictError, lambda: access.force_reset(admin.id, actor=acting(admin))),
        (PermissionDeniedError, lambda: access.force_reset(bob.id, actor=acting(admin))),
        (NotFoundError, lambda: access.force_reset("usr_nobody", actor=acting(admin))),
    ]
    users.set_disabled(alice.id, True, actor=acting(admin))
    refused.append((ConflictError, lambda: access.force_reset(alice.id, actor=acting(admin))))
    for error, attempt in refused:
        with pytest.raises(error):
            attempt()
    assert mailing.get_auth_service().verification.claim_mail() is None


@pytest.mark.error
def test_without_mail_there_is_no_reset(access, alice, admin, auth):
    with pytest.raises(ConflictError, match="mail server"):
        access.force_reset(alice.id, actor=acting(admin))
    signed_in(auth, alice)
