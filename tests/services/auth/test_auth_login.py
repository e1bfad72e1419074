"""Logging in: what is told, what is counted, what is recorded."""

from dataclasses import replace

import pytest
from sqlalchemy import select, update

from tests.conftest import PASSWORD
from tests.services.people import ELSEWHERE, HOME, acting, events_of, personal_of, session_user, visitor
from zentry_web.domain.user import ANONYMOUS_ID
from zentry_web.models import DbAuthSession, DbUser
from zentry_web.services.auth.password_login import WRONG_LOGIN
from zentry_web.services.auth_service import AuthService
from zentry_web.services.errors import AuthenticationRequiredError, RateLimitedError

pytestmark = pytest.mark.integration

RIGHT = {"email": "alice@example.com", "password": PASSWORD}
WRONG = RIGHT | {"password": "not the password"}


@pytest.fixture
def auth(container):
    return container.get_auth_service()


def refused(auth, credentials, actor=None):
    with pytest.raises(AuthenticationRequiredError) as caught:
        auth.login(credentials, actor=actor or visitor())
    return caught.value


@pytest.mark.asvs("7.2.2")
def test_log_in_opens_a_session_and_records_it(auth, core, alice, clock):
    signed_in = auth.login(RIGHT | {"email": " ALICE@example.com"}, actor=visitor())
    assert signed_in.user == alice
    assert session_user(auth, signed_in.session_token) == alice
    (event,) = events_of(core, "auth.login")
    assert (event.actor_id, event.owner_id, event.outcome) == (alice.id, alice.id, "succeeded")
    assert personal_of(core, event.id) == {"address": HOME, "user_agent": "Firefox"}


@pytest.mark.asvs("7.2.3")
def test_only_a_hash_of_the_session_secret_is_stored(auth, core, alice):
    token = auth.login(RIGHT, actor=visitor()).session_token
    assert len(token) >= 43
    with core.database.reading() as session:
        row = session.scalars(select(DbAuthSession)).one()
    assert token not in (row.token_hash, row.user_agent, row.address)
    assert len(row.token_hash) == 64
    assert session_user(auth, row.token_hash) is None


@pytest.mark.asvs("6.3.8")
@pytest.mark.error
def test_every_refusal_reads_the_same(auth, container, admin, alice, bob):
    container.get_user_service().set_disabled(bob.id, True, actor=acting(admin))
    auth.create_admin("waiting@example.com", "Waiting")  # an account without a password yet
    for credentials in (
        WRONG,
        {"email": "nobody@example.com", "password": PASSWORD},
        {"email": "bob@example.com", "password": PASSWORD},
        {"email": "waiting@example.com", "password": PASSWORD},
        {"email": "", "password": ""},
        {"email": None, "password": None},
        {"email": "alice@example.com", "password": "x" * 100_000},
        {"email": "a" * 100_000, "password": PASSWORD},
        {"email": "a\x00b@example.com", "password": "\x00" * 9},
        {},
    ):
        error = refused(auth, credentials)
        assert (error.message, error.error_code, error.details) == (WRONG_LOGIN, "AUTHENTICATION_REQUIRED", {})


@pytest.mark.asvs("6.3.8")
@pytest.mark.error
def test_an_unknown_account_costs_a_hash_too(auth, alice, monkeypatch):
    verified = []
    real = auth._passwords._hasher.__class__.verify

    def counting(self, stored, password):
        verified.append(stored)
        return real(self, stored, password)

    monkeypatch.setattr("argon2.PasswordHasher.verify", counting)
    refused(auth, {"email": "nobody@example.com", "password": PASSWORD})
    refused(auth, WRONG)
    assert len(verified) == 2
    assert verified[0].split("$")[3] == verified[1].split("$")[3]  # with the same parameters


@pytest.mark.asvs("16.3.1")
@pytest.mark.error
def test_a_refused_log_in_is_recorded_without_the_address_in_its_details(auth, core, alice):
    refused(auth, WRONG)
    refused(auth, {"email": "nobody@example.com", "password": PASSWORD})
    refused(auth, {"email": "my secret password", "password": ""})
    known, unknown, slip = events_of(core, "auth.login")
    assert {event.outcome for event in (known, unknown, slip)} == {"refused"}
    assert {event.actor_id for event in (known, unknown, slip)} == {ANONYMOUS_ID}
    assert (known.resource_id, known.owner_id) == (alice.id, alice.id)
    assert (unknown.resource_id, unknown.details) == ("unknown", {})
    assert personal_of(core, unknown.id)["email"] == "nobody@example.com"
    assert "email" not in personal_of(core, slip.id)


@pytest.mark.asvs("6.3.1")
@pytest.mark.error
def test_the_eleventh_wrong_attempt_waits_but_the_owner_gets_in_from_elsewhere(auth, alice, clock):
    for _ in range(2):
        for _ in range(5):
            refused(auth, WRONG)
        clock.advance(70)
    with pytest.raises(RateLimitedError) as caught:
        auth.login(RIGHT, actor=visitor())
    assert 600 < caught.value.details["retry_after"] <= 960
    assert auth.login(RIGHT, actor=visitor(ELSEWHERE)).user == alice
    clock.advance(caught.value.details["retry_after"])
    assert auth.login(RIGHT, actor=visitor()).user == alice


@pytest.mark.asvs("6.3.1")
@pytest.mark.error
def test_who_goes_on_guessing_waits_longer_and_longer(auth, alice, clock):
    waits = []
    while not waits or waits[-1] <= 960:
        try:
            refused(auth, WRONG)
        except RateLimitedError as error:
            waits.append(error.details["retry_after"])
            assert auth.login(RIGHT, actor=visitor(ELSEWHERE)).user == alice
            clock.advance(waits[-1])
    first, second, *_, last = waits
    assert first <= 64 < 600 < second <= 960
    assert 1800 < last <= 3840
    assert auth.login(RIGHT, actor=visitor()).user == alice


def test_a_right_password_clears_the_count(auth, alice):
    for _ in range(6):
        for _ in range(4):
            refused(auth, WRONG)
        auth.login(RIGHT, actor=visitor())


@pytest.mark.asvs("6.3.1")
@pytest.mark.error
def test_one_address_cannot_try_a_hundred_accounts(auth, alice):
    for number in range(100):
        refused(auth, {"email": f"user{number}@example.com", "password": PASSWORD})
    with pytest.raises(RateLimitedError):
        auth.login({"email": "user100@example.com", "password": PASSWORD}, actor=visitor())
    assert auth.login(RIGHT, actor=visitor(ELSEWHERE)).user == alice


def test_an_office_behind_one_address_logs_in_all_day(auth, alice):
    for _ in range(110):
        auth.login(RIGHT, actor=visitor())


@pytest.mark.asvs("11.2.2")
def test_raised_parameters_rehash_at_the_next_log_in(container, core, alice):
    settings = replace(container.parts.auth, argon2_memory_kib=128, argon2_time_cost=2)
    stronger = AuthService(core, container.billing, settings)
    signed_in = stronger.login(RIGHT, actor=visitor())
    with core.database.reading() as session:
        stored = session.scalar(select(DbUser.password_hash).where(DbUser.id == alice.id))
    assert "m=128,t=2" in stored
    assert container.get_auth_service().login(RIGHT, actor=visitor()).user == signed_in.user


@pytest.mark.error
def test_a_password_changed_while_it_was_being_checked_is_wrong(auth, core, alice, monkeypatch):
    def overtaken(_stored, _password):
        with core.database.writing() as session:
            session.execute(update(DbUser).where(DbUser.id == alice.id).values(password_hash="other"))
            session.commit()
        return True

    monkeypatch.setattr(auth._passwords, "verify", overtaken)
    monkeypatch.setattr(auth._passwords, "needs_rehash", lambda _: False)
    refused(auth, RIGHT)


def test_whoever_the_browser_was_before_did_not_log_in(auth, core, alice, bob):
    auth.login(RIGHT, actor=acting(bob))
    (event,) = events_of(core, "auth.login")
    assert (event.actor_id, event.owner_id) == (alice.id, alice.id)


@pytest.mark.asvs("7.2.4")
def test_logging_in_over_an_old_session_ends_it(auth, alice):
    old = auth.login(RIGHT, actor=visitor()).session_token
    new = auth.login(RIGHT, actor=visitor(), replaces=old).session_token
    assert session_user(auth, old) is None
    assert session_user(auth, new) == alice


@pytest.mark.asvs("6.2.10")
def test_a_password_works_for_years(auth, alice, clock):
    clock.advance(5 * 366 * 86_400)
    assert auth.login({"email": alice.email, "password": PASSWORD}).user.id == alice.id
