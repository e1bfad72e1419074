"""One-time links: the way in for admins, whom nobody gives a password."""

import threading

import pytest
from sqlalchemy import select

from tests.conftest import PASSWORD
from tests.services.people import acting, events_of, session_user, visitor
from zentry_web.domain.user import FIRST_ADMIN_EMAIL, Role
from zentry_web.models import DbOneTimeLink
from zentry_web.services.errors import NotFoundError, PermissionDeniedError, ValidationError

pytestmark = pytest.mark.integration


@pytest.fixture
def auth(container):
    return container.get_auth_service()


def test_the_first_admin_takes_the_account_over_and_is_signed_in(auth, container, core):
    token = auth.ensure_first_admin_link()
    assert auth.peek_link(token).email == FIRST_ADMIN_EMAIL
    signed_in = auth.redeem_link(token, PASSWORD, "Root", "root@example.com", actor=visitor())
    assert (signed_in.user.role, signed_in.user.email, signed_in.user.name) == (Role.ADMIN, "root@example.com", "Root")
    assert session_user(auth, signed_in.session_token) == signed_in.user
    assert auth.login({"email": "root@example.com", "password": PASSWORD}, actor=visitor()).user == signed_in.user
    assert container.get_billing_service().get_user_credits(signed_in.user.id) == 5_000_000
    (event,) = events_of(core, "auth.link_redeemed")
    assert (event.actor_id, event.owner_id) == (signed_in.user.id, signed_in.user.id)


@pytest.mark.asvs("6.3.2")
def test_every_start_gives_a_fresh_link_until_an_admin_has_a_password(auth):
    first, second = auth.ensure_first_admin_link(), auth.ensure_first_admin_link()
    assert first != second
    assert auth.peek_link(first) is None
    user = auth.redeem_link(second, PASSWORD, actor=visitor()).user
    assert user.email == FIRST_ADMIN_EMAIL
    assert auth.ensure_first_admin_link() is None


@pytest.mark.asvs("6.4.1")
def test_a_link_works_once(auth):
    token = auth.create_admin("ops@example.com", "Ops")
    auth.redeem_link(token, PASSWORD, actor=visitor())
    assert auth.peek_link(token) is None
    with pytest.raises(NotFoundError):
        auth.redeem_link(token, "another password", actor=visitor())


def test_a_link_works_once_for_two_at_the_same_moment(auth):
    token, results = auth.create_admin("ops@example.com", "Ops"), []

    def redeem(password):
        try:
            results.append(auth.redeem_link(token, password, actor=visitor()).user.email)
        except NotFoundError:
            results.append(None)

    threads = [threading.Thread(target=redeem, args=(f"{PASSWORD} {number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results, key=str) == [None, None, "ops@example.com"]


@pytest.mark.asvs("6.4.1")
@pytest.mark.error
def test_a_link_expires_after_a_day(auth, clock):
    token = auth.create_admin("ops@example.com", "Ops")
    clock.advance(hours=24)
    assert auth.peek_link(token) is None
    with pytest.raises(NotFoundError):
        auth.redeem_link(token, PASSWORD, actor=visitor())


@pytest.mark.error
def test_a_bad_password_does_not_use_the_link_up(auth):
    token = auth.ensure_first_admin_link()
    with pytest.raises(ValidationError) as caught:
        auth.redeem_link(token, "short", "", "nonsense", actor=visitor())
    assert set(caught.value.details) == {"password", "name", "email"}
    assert auth.peek_link(token) is not None


@pytest.mark.error
def test_only_the_first_admins_link_changes_the_address(auth, alice):
    token = auth.create_admin("ops@example.com", "Ops")
    with pytest.raises(ValidationError) as caught:
        auth.redeem_link(token, PASSWORD, "Ops", "someone@example.com", actor=visitor())
    assert set(caught.value.details) == {"email"}
    assert auth.redeem_link(token, PASSWORD, "Ops", "OPS@example.com", actor=visitor()).user.email == "ops@example.com"


@pytest.mark.error
def test_the_first_admin_cannot_take_an_address_that_has_an_account(auth, alice):
    token = auth.ensure_first_admin_link()
    with pytest.raises(ValidationError) as caught:
        auth.redeem_link(token, PASSWORD, "Root", alice.email, actor=visitor())
    assert set(caught.value.details) == {"email"}
    assert auth.peek_link(token) is not None


def test_the_command_line_makes_an_account_an_admin_and_ends_its_sessions(auth, alice):
    session_token = auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).session_token
    token = auth.create_admin(alice.email, "Alice")
    assert session_user(auth, session_token) is None
    assert auth.redeem_link(token, "another password", actor=visitor()).user.role == Role.ADMIN


@pytest.mark.error
def test_an_admin_cannot_take_an_existing_account_over(auth, admin, alice, bob):
    with pytest.raises(ValidationError):
        auth.create_admin(alice.email, "Alice", actor=acting(admin))
    with pytest.raises(PermissionDeniedError):
        auth.create_admin("new@example.com", "New", actor=acting(bob))
    assert auth.peek_link(auth.create_admin("new@example.com", "New", actor=acting(admin))).role == Role.ADMIN


@pytest.mark.error
def test_no_admin_makes_a_link_to_an_admin_who_has_no_factor_yet(auth, admin):
    other = auth.redeem_link(auth.create_admin("other@example.com", "Other"), PASSWORD, actor=visitor())
    for target in (other.user, admin):
        with pytest.raises(PermissionDeniedError, match="create-admin"):
            auth.make_password_link(target.id, actor=acting(admin))
    assert session_user(auth, other.session_token) == other.user  # nor does the attempt end sessions


def test_whoever_had_a_password_is_told_that_a_link_set_another(auth, container, admin, alice):
    notices = container.get_billing_service().notices
    auth.redeem_link(auth.make_password_link(alice.id, actor=acting(admin)), "another password", actor=visitor())
    assert [each.title for each in notices.list_notices(alice.id)] == ["Your password was changed"]
    assert notices.list_notices(admin.id) == []  # their first password


def test_only_a_hash_of_the_link_is_stored(auth, core):
    token = auth.ensure_first_admin_link()
    with core.database.reading() as session:
        row = session.scalars(select(DbOneTimeLink)).one()
    assert token != row.token_hash
    assert auth.peek_link(row.token_hash) is None


@pytest.mark.error
def test_a_link_of_a_disabled_account_is_void(auth, container, admin):
    token = auth.create_admin("ops@example.com", "Ops")
    user = auth.peek_link(token)
    container.get_user_service().set_disabled(user.id, True, actor=acting(admin))
    assert auth.peek_link(token) is None
    with pytest.raises(NotFoundError):
        auth.redeem_link(token, PASSWORD, actor=visitor())
