"""Tokens for programs: rotation, reuse, scopes and their end."""

import threading

import pytest
from sqlalchemy import select

from tests.conftest import PASSWORD
from tests.services.people import acting, events_of, visitor
from tests.services.second_factors import set_up_app
from zentry_web.domain.people.token import TokenScope
from zentry_web.models import DbApiToken
from zentry_web.services.errors import (
    AuthenticationRequiredError,
    ConflictError,
    NotFoundError,
    ProofRequiredError,
    ValidationError,
)

pytestmark = pytest.mark.integration


@pytest.fixture
def auth(container):
    return container.get_auth_service()


@pytest.fixture
def tokens(auth):
    return auth.tokens


@pytest.fixture
def pair(tokens, alice):
    return tokens.issue({"email": alice.email, "password": PASSWORD}, actor=visitor())


def test_a_pair_opens_the_account_and_leaves_no_session(tokens, auth, pair, alice, core):
    assert tokens.find_user(pair.access_token) == (alice, frozenset(TokenScope))
    assert tokens.find_user(pair.refresh_token) is None
    assert auth.list_sessions(alice.id) == []
    with core.database.reading() as session:
        stored = str([vars(row) for row in session.scalars(select(DbApiToken))])
    assert pair.access_token not in stored
    assert pair.refresh_token not in stored


@pytest.mark.asvs("10.4.8")
def test_an_access_token_lasts_a_quarter_of_an_hour_and_a_family_thirty_days(tokens, pair, clock):
    clock.advance(minutes=14, seconds=59)
    assert tokens.find_user(pair.access_token) is not None
    clock.advance(seconds=1)
    assert tokens.find_user(pair.access_token) is None
    following = tokens.refresh(pair.refresh_token, actor=visitor())
    assert following.refresh_expires_in == 30 * 86400 - 900, "refreshing does not make it last longer"
    clock.advance(days=30)
    with pytest.raises(AuthenticationRequiredError):
        tokens.refresh(following.refresh_token, actor=visitor())


@pytest.mark.asvs("10.4.5")
@pytest.mark.error
def test_a_refresh_token_that_comes_twice_ends_its_family_and_the_owner_is_told(tokens, pair, alice, core, container):
    other = tokens.issue({"email": alice.email, "password": PASSWORD}, actor=visitor())
    following = tokens.refresh(pair.refresh_token, actor=visitor())
    with pytest.raises(AuthenticationRequiredError):
        tokens.refresh(pair.refresh_token, actor=visitor())
    assert tokens.find_user(following.access_token) is None
    with pytest.raises(AuthenticationRequiredError):
        tokens.refresh(following.refresh_token, actor=visitor())
    assert tokens.find_user(other.access_token) is not None, "another log-in has nothing to do with it"
    assert len(events_of(core, "token.reuse")) == 1
    (told,) = container.get_billing_service().notices.list_notices(alice.id)
    assert "twice" in told.title


@pytest.mark.asvs("10.4.5")
def test_two_who_refresh_at_once_never_both_keep_a_pair(tokens, pair):
    results = []

    def refresh():
        try:
            results.append(tokens.refresh(pair.refresh_token, actor=visitor()))
        except AuthenticationRequiredError:
            results.append(None)

    threads = [threading.Thread(target=refresh) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    pairs = [result for result in results if result]
    assert (len(results), len(pairs)) == (4, 1)
    assert tokens.find_user(pairs[0].access_token) is None, "the second came too late for a copy: all ended"


def test_personal_tokens_have_scopes_a_name_and_a_last_use(tokens, alice, clock):
    secret = tokens.create_personal(alice.id, "backup", ["vms:read"], 30, actor=acting(alice))
    assert tokens.find_user(secret) == (alice, frozenset({TokenScope.VMS_READ}))
    (listed,) = tokens.list_personal(alice.id, actor=acting(alice))
    assert (listed.name, listed.scopes, listed.last_used_at) == ("backup", (TokenScope.VMS_READ,), clock.now())
    clock.advance(days=30)
    assert tokens.find_user(secret) is None
    assert tokens.list_personal(alice.id) == []


@pytest.mark.error
def test_other_peoples_tokens_are_not_there(tokens, alice, bob):
    tokens.create_personal(alice.id, "backup", ["vms:read"], 30, actor=acting(alice))
    (listed,) = tokens.list_personal(alice.id)
    for attempt in (
        lambda: tokens.list_personal(alice.id, actor=acting(bob)),
        lambda: tokens.end_personal(bob.id, listed.id, actor=acting(bob)),
        lambda: tokens.create_personal(alice.id, "x", ["vms:read"], 1, actor=acting(bob)),
    ):
        with pytest.raises(NotFoundError):
            attempt()
    tokens.end_personal(alice.id, listed.id, actor=acting(alice))
    with pytest.raises(NotFoundError):
        tokens.end_personal(alice.id, listed.id, actor=acting(alice))


@pytest.mark.error
def test_what_is_wrong_with_a_new_token_is_told_by_field(tokens, alice):
    with pytest.raises(ValidationError) as caught:
        tokens.create_personal(alice.id, "", ["everything"], 0, actor=acting(alice))
    assert set(caught.value.details) == {"name", "scopes", "days"}
    for number in range(50):
        tokens.create_personal(alice.id, f"n{number}", ["vms:read"], 1)
    with pytest.raises(ConflictError):
        tokens.create_personal(alice.id, "one more", ["vms:read"], 1)


def test_a_changed_password_ends_pairs_and_a_reset_ends_all(tokens, auth, pair, alice, admin):
    personal = tokens.create_personal(alice.id, "backup", ["vms:read"], 30)
    here = auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).session_token
    auth.change_password(alice.id, PASSWORD, "another horse battery", actor=acting(alice), session_token=here)
    assert tokens.find_user(pair.access_token) is None
    assert tokens.find_user(personal) is not None
    auth.make_password_link(alice.id, actor=acting(admin))
    assert tokens.find_user(personal) is None


def test_old_tokens_are_pruned(tokens, pair, alice, clock, core):
    tokens.revoke(pair.refresh_token, actor=visitor())
    clock.advance(days=31)
    assert tokens.prune() == 2
    with core.database.reading() as session:
        assert session.scalars(select(DbApiToken)).all() == []


@pytest.mark.asvs("6.3.4")
def test_an_account_with_a_second_factor_sends_its_code_as_well(container, tokens, alice, clock):
    app, codes = set_up_app(container.get_auth_service(), alice, clock)
    log_in = {"email": alice.email, "password": PASSWORD}
    for wrong in ({}, {"code": ""}, {"code": "000000"}, {"code": app.code()}):
        with pytest.raises(ValidationError) as caught:
            tokens.issue(log_in | wrong, actor=visitor())
        assert set(caught.value.details) == {"code"}
    for right in (app.next_code(), codes[0]):
        pair = tokens.issue(log_in | {"code": right}, actor=visitor())
        assert tokens.find_user(pair.access_token)[0] == alice
    assert container.get_auth_service().list_sessions(alice.id) == []


@pytest.mark.asvs("7.5.3", "10.3.4")
@pytest.mark.error
def test_a_personal_token_needs_a_recent_proof(tokens, alice, clock):
    with pytest.raises(ProofRequiredError):
        tokens.create_personal(alice.id, "x", ["vms:read"], 1, actor=acting(alice, proved_at=None))
