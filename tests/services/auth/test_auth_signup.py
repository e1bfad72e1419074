"""Signing up."""

import threading

import pytest
from sqlalchemy import select

from tests.conftest import PASSWORD
from tests.services.people import ELSEWHERE, HOME, acting, events_of, personal_of, visitor
from zentry_web.domain.user import Role
from zentry_web.models import DbAccount, DbUser
from zentry_web.services.errors import RateLimitedError, ValidationError

pytestmark = pytest.mark.integration

ALICE = {"email": "Alice@Example.com", "name": "Alice", "password": PASSWORD}


@pytest.fixture
def auth(container):
    return container.get_auth_service()


def test_a_new_account_has_its_credits_once_and_an_event(auth, container, core):
    user = auth.signup(ALICE, actor=visitor())
    assert (user.email, user.name, user.role, user.time_zone) == ("Alice@example.com", "Alice", Role.USER, "UTC")
    assert container.get_billing_service().get_user_credits(user.id) == 5_000_000
    (event,) = events_of(core, "auth.signup")
    assert (event.actor_id, event.owner_id, event.resource_id) == (user.id, user.id, user.id)
    assert personal_of(core, event.id) == {
        "email": "Alice@example.com",
        "name": "Alice",
        "address": HOME,
        "user_agent": "Firefox",
    }
    assert "lice" not in str(event.details)


@pytest.mark.asvs("11.4.2")
def test_the_password_is_stored_as_argon2id_only(auth, core):
    user = auth.signup(ALICE)
    with core.database.reading() as session:
        stored = session.scalar(select(DbUser.password_hash).where(DbUser.id == user.id))
    assert stored.startswith("$argon2id$")
    assert PASSWORD not in stored


@pytest.mark.error
@pytest.mark.parametrize("again", ["alice@example.com", "ALICE@EXAMPLE.COM", " alice@example.com "])
def test_an_address_with_an_account_is_refused_on_its_field(auth, again):
    auth.signup(ALICE)
    with pytest.raises(ValidationError) as caught:
        auth.signup(ALICE | {"email": again})
    assert set(caught.value.details) == {"email"}


def test_plus_addresses_are_accounts_of_their_own(auth):
    first = auth.signup(ALICE)
    second = auth.signup(ALICE | {"email": "alice+lab@example.com"})
    assert first.id != second.id


@pytest.mark.asvs("2.2.2")
@pytest.mark.error
@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        ({}, {"email", "name", "password"}),
        (ALICE | {"email": "nobody"}, {"email"}),
        (ALICE | {"email": f"{'x' * 65}@example.com"}, {"email"}),  # no mail server takes it
        (ALICE | {"name": "a\x00b"}, {"name"}),
        (ALICE | {"password": "short"}, {"password"}),
        ({"email": 3, "name": [], "password": None}, {"email", "name", "password"}),
    ],
)
def test_what_is_wrong_is_told_per_field_and_nothing_is_made(auth, core, data, wrong):
    with pytest.raises(ValidationError) as caught:
        auth.signup(data)
    assert set(caught.value.details) == wrong
    with core.database.reading() as session:
        assert session.scalar(select(DbUser.id)) is None
        assert session.scalar(select(DbAccount.id).where(DbAccount.owner_id.is_not(None))) is None


@pytest.mark.error
def test_of_two_at_the_same_moment_one_gets_the_account(auth, core):
    outcomes = []

    def try_it():
        try:
            outcomes.append(auth.signup(ALICE).id)
        except ValidationError as error:
            outcomes.append(set(error.details))

    threads = [threading.Thread(target=try_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes.count({"email"}) == 3
    assert len(events_of(core, "auth.signup")) == 1


@pytest.mark.asvs("2.4.1")
@pytest.mark.error
def test_a_crowd_from_one_address_is_slowed_down(auth):
    for number in range(100):
        auth.signup(ALICE | {"email": f"crowd{number}@example.com"}, actor=visitor())
    with pytest.raises(RateLimitedError):
        auth.signup(ALICE | {"email": "crowd100@example.com"}, actor=visitor())
    auth.signup(ALICE | {"email": "elsewhere@example.com"}, actor=visitor(ELSEWHERE))


def test_profile_changes_name_and_zone_and_says_which(auth, core):
    user = auth.signup(ALICE)
    changed = auth.update_profile(user.id, {"name": "Alice B", "time_zone": "Europe/Rome"}, actor=acting(user))
    assert (changed.name, changed.time_zone) == ("Alice B", "Europe/Rome")
    (event,) = events_of(core, "profile.update")
    assert event.details == {"changed": ["name", "time_zone"]}
    assert personal_of(core, event.id)["name"] == "Alice B"
    assert auth.update_profile(user.id, {"name": "Alice B"}, actor=acting(user)) == changed
    assert len(events_of(core, "profile.update")) == 1


@pytest.mark.error
def test_profile_refuses_what_is_no_zone_or_name(auth):
    user = auth.signup(ALICE)
    with pytest.raises(ValidationError) as caught:
        auth.update_profile(user.id, {"name": "", "time_zone": "Nowhere"}, actor=acting(user))
    assert set(caught.value.details) == {"name", "time_zone"}
