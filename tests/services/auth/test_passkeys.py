"""Passkeys: each challenge once and in its place, the site checked, the person verified, copies noticed."""

import json
import threading

import pytest
from sqlalchemy import select

from tests.conftest import PASSWORD, make_config
from tests.services.people import acting, events_of, session_user, visitor
from tests.services.second_factors import give_password, set_up_app
from tests.services.soft_key import PRESENT, SoftKey
from zentry_web.composition import build_container
from zentry_web.domain.people.factor import FactorKind
from zentry_web.domain.user import SignedIn
from zentry_web.models import DbFactor, DbPasskeyChallenge
from zentry_web.services.auth.passkey_ceremony import Ceremony
from zentry_web.services.errors import (
    AuthenticationRequiredError,
    ConflictError,
    NotFoundError,
    ProofRequiredError,
    RateLimitedError,
    ValidationError,
)

pytestmark = pytest.mark.integration
HERE = "a browser's secret"


@pytest.fixture
def auth(container):
    return container.get_auth_service()


@pytest.fixture
def passkeys(auth):
    return auth.passkeys


@pytest.fixture
def token(auth, alice):
    return auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).session_token


def add(passkeys, user, token, key=None, name="Laptop"):
    """Register a key; returns it and the recovery codes shown."""
    key = key or SoftKey()
    asked = passkeys.begin_registration(user.id, token, actor=acting(user))
    codes = passkeys.register(user.id, name, key.create(asked), actor=acting(user), session_token=token)
    return key, codes


@pytest.fixture
def key(passkeys, alice, token):
    return add(passkeys, alice, token)[0]


def log_in(passkeys, key, browser=HERE, **more):
    return passkeys.login(browser, key.get(passkeys.begin_login(browser, actor=visitor()), **more), actor=visitor())


def test_a_passkey_is_registered_and_gives_recovery_codes(auth, core, passkeys, alice, token):
    _, codes = add(passkeys, alice, token, name=" Ana's phone ")
    assert len(set(codes)) == 10
    (found,) = auth.factors.list_factors(alice.id).passkeys
    assert (found.kind, found.name) == (FactorKind.PASSKEY, "Ana's phone")
    assert session_user(auth, token) == alice
    assert add(passkeys, alice, token)[1] == (), "codes come with the first factor only"
    assert len(events_of(core, "auth.factor_add")) == 2


def test_what_is_asked_names_the_site_and_leaves_present_keys_out(passkeys, alice, token, key):
    asked = json.loads(passkeys.begin_registration(alice.id, token, actor=acting(alice)))
    assert asked["rp"] == {"id": "localhost", "name": "Zentry"}
    assert len(asked["excludeCredentials"]) == 1
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert asked["authenticatorSelection"]["residentKey"] == "required"


def test_a_passkey_alone_logs_in(auth, core, passkeys, alice, key, clock):
    signed_in = log_in(passkeys, key)
    assert session_user(auth, signed_in.session_token) == alice
    assert auth.get_session(signed_in.session_token).proved_at == clock.now()
    assert events_of(core, "auth.login")[-1].details == {"factor": "passkey"}


def test_a_passkey_is_the_second_factor(auth, passkeys, alice, key):
    secret = give_password(auth, alice)
    signed_in = passkeys.finish_factor(secret, key.get(passkeys.begin_factor(secret)), actor=visitor())
    assert signed_in.user == alice
    with pytest.raises(AuthenticationRequiredError):
        passkeys.begin_factor(secret)


def test_a_passkey_proves_who_it_is(auth, passkeys, alice, token, key, clock):
    clock.advance(minutes=10)
    asked = passkeys.begin_proof(alice.id, token, actor=acting(alice))
    passkeys.prove(alice.id, token, key.get(asked), actor=acting(alice))
    assert auth.get_session(token).proved_at == clock.now()


def test_a_key_that_does_not_count_works_as_well(passkeys, alice, token):
    key, _ = add(passkeys, alice, token, SoftKey(counts=False))
    assert log_in(passkeys, key).user == log_in(passkeys, key).user == alice


# -- refused ------------------------------------------------------------------------------------


@pytest.mark.error
def test_an_answer_counts_once(passkeys, alice, key):
    answer = key.get(passkeys.begin_login(HERE, actor=visitor()))
    assert passkeys.login(HERE, answer, actor=visitor()).user == alice
    with pytest.raises(AuthenticationRequiredError):
        passkeys.login(HERE, answer, actor=visitor())


@pytest.mark.asvs("2.3.1", "6.6.2")
@pytest.mark.error
def test_an_answer_counts_in_its_browser_and_for_its_purpose_only(auth, passkeys, alice, token, key):
    secret = give_password(auth, alice)
    with pytest.raises(AuthenticationRequiredError):
        passkeys.login("another browser", key.get(passkeys.begin_login(HERE, actor=visitor())), actor=visitor())
    with pytest.raises(ValidationError):
        passkeys.finish_factor(secret, key.get(passkeys.begin_login(secret, actor=visitor())), actor=visitor())
    with pytest.raises(ValidationError):
        passkeys.prove(alice.id, token, key.get(passkeys.begin_login(token, actor=visitor())), actor=acting(alice))


@pytest.mark.error
def test_an_answer_counts_for_five_minutes(auth, passkeys, key, clock):
    answer = key.get(passkeys.begin_login(HERE, actor=visitor()))
    clock.advance(minutes=5)
    with pytest.raises(AuthenticationRequiredError):
        passkeys.login(HERE, answer, actor=visitor())
    assert auth.prune() >= 1


@pytest.mark.error
def test_another_site_a_stranger_at_the_device_and_another_owner_are_refused(passkeys, key, bob):
    key.origin = "http://localhost:9999"
    with pytest.raises(AuthenticationRequiredError):
        log_in(passkeys, key)
    key.origin, key.host = "http://localhost:8080", "evil.example"
    with pytest.raises(AuthenticationRequiredError):
        log_in(passkeys, key)
    key.host, key.flags = "localhost", PRESENT
    with pytest.raises(AuthenticationRequiredError):
        log_in(passkeys, key)
    key.flags = PRESENT | 0x04
    with pytest.raises(AuthenticationRequiredError):
        log_in(passkeys, key, user=bob.id.encode())
    assert isinstance(log_in(passkeys, key), SignedIn)


@pytest.mark.error
def test_a_copied_key_is_noticed_by_its_count(passkeys, key):
    for _ in range(2):
        log_in(passkeys, key)
    key.count = 0
    with pytest.raises(AuthenticationRequiredError):
        log_in(passkeys, key)


@pytest.mark.error
def test_an_unknown_key_and_junk_are_refused(passkeys, core):
    with pytest.raises(AuthenticationRequiredError):
        log_in(passkeys, SoftKey())
    good = json.loads(SoftKey().get(passkeys.begin_login(HERE, actor=visitor())))
    for junk in (
        "",
        "{}",
        "[]",
        "null",
        "x" * 30_000,
        json.dumps(good | {"response": {}}),
        json.dumps(good | {"id": 1}),
    ):
        with pytest.raises(AuthenticationRequiredError):
            passkeys.login(HERE, junk, actor=visitor())
    assert all(event.resource_id == "unknown" for event in events_of(core, "auth.login"))


@pytest.mark.error
def test_junk_registers_nothing(auth, passkeys, alice, token):
    asked = passkeys.begin_registration(alice.id, token, actor=acting(alice))
    unverified, foreign = SoftKey(), SoftKey("http://evil.example")
    unverified.flags = PRESENT
    for answer in ("", "{}", SoftKey().get(asked), unverified.create(asked)):
        with pytest.raises(ValidationError) as caught:
            passkeys.register(alice.id, "x", answer, actor=acting(alice), session_token=token)
        assert set(caught.value.details) == {"credential"}
    asked = passkeys.begin_registration(alice.id, token, actor=acting(alice))
    with pytest.raises(ValidationError):
        passkeys.register(alice.id, "x", foreign.create(asked), actor=acting(alice), session_token=token)
    assert not auth.factors.list_factors(alice.id)


@pytest.mark.error
def test_one_key_belongs_to_one_account(auth, passkeys, alice, bob, token, key):
    other = auth.login({"email": bob.email, "password": PASSWORD}, actor=visitor()).session_token
    with pytest.raises(ConflictError):
        add(passkeys, bob, other, key)


@pytest.mark.error
def test_somebody_elses_key_is_no_second_factor(auth, passkeys, alice, bob, key, clock):
    other = auth.login({"email": bob.email, "password": PASSWORD}, actor=visitor()).session_token
    add(passkeys, bob, other)
    secret = give_password(auth, bob)
    with pytest.raises(ValidationError):
        passkeys.finish_factor(secret, key.get(passkeys.begin_factor(secret)), actor=visitor())


@pytest.mark.error
def test_wrong_passkeys_use_the_attempts_of_a_log_in_up(auth, passkeys, alice, key):
    secret = give_password(auth, alice)
    for _ in range(5):
        with pytest.raises(ValidationError):
            passkeys.finish_factor(secret, "{}", actor=visitor())
    with pytest.raises(AuthenticationRequiredError):
        passkeys.finish_factor(secret, "{}", actor=visitor())


@pytest.mark.error
def test_a_disabled_account_stays_shut(container, passkeys, alice, admin, key):
    container.get_user_service().set_disabled(alice.id, True, actor=acting(admin))
    with pytest.raises(AuthenticationRequiredError):
        log_in(passkeys, key)


def test_of_two_with_one_signature_count_one_gets_in(passkeys, key):
    asked = [passkeys.begin_login(HERE, actor=visitor()) for _ in range(3)]
    answers = []
    for text in asked:  # three copies of the key that all stand at the same count
        key.count = 0
        answers.append(key.get(text))
    results = []

    def enter(answer):
        try:
            results.append(passkeys.login(HERE, answer, actor=visitor()))
        except AuthenticationRequiredError:
            results.append(None)

    threads = [threading.Thread(target=enter, args=(answer,)) for answer in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(each is not None for each in results) == 1


@pytest.mark.error
def test_registering_needs_a_proof_and_is_nobody_elses_business(passkeys, alice, admin, token):
    with pytest.raises(ProofRequiredError):
        passkeys.begin_registration(alice.id, token, actor=acting(alice, proved_at=None))
    with pytest.raises(NotFoundError):
        passkeys.begin_registration(alice.id, token, actor=acting(admin))
    with pytest.raises(NotFoundError):
        passkeys.begin_proof(alice.id, token, actor=acting(admin))


@pytest.mark.error
def test_ten_passkeys_are_enough(passkeys, alice, token):
    for number in range(10):
        add(passkeys, alice, token, name=f"key {number}")
    with pytest.raises(ConflictError):
        passkeys.check_may_add(alice.id, actor=acting(alice))


@pytest.mark.error
def test_asking_is_limited_per_network(passkeys):
    for _ in range(100):
        passkeys.begin_login(HERE, actor=visitor())
    with pytest.raises(RateLimitedError):
        passkeys.begin_login(HERE, actor=visitor())


def test_removing_one_of_two_factors_keeps_the_other(auth, passkeys, alice, token, key, clock):
    set_up_app(auth, alice, clock, session_token=token)
    (found,) = auth.factors.list_factors(alice.id).passkeys
    auth.factors.remove(alice.id, found.id, actor=acting(alice), session_token=token)
    left = auth.factors.list_factors(alice.id)
    assert (left.passkeys, left.app is not None, left.codes_left) == ((), True, 10)
    with pytest.raises(AuthenticationRequiredError):
        log_in(passkeys, key)


def test_erasing_an_account_erases_keys_and_challenges(container, passkeys, core, alice, token, key):
    passkeys.begin_proof(alice.id, token, actor=acting(alice))
    container.get_user_service().erase_personal_data(alice.id, actor=acting(alice))
    with core.database.reading() as session:
        assert session.scalars(select(DbFactor)).all() == session.scalars(select(DbPasskeyChallenge)).all() == []


@pytest.mark.parametrize(
    ("address", "possible"),
    [("https://cloud.example.com", True), ("http://localhost:8080", True), ("http://127.0.0.1:8080", False),
     ("http://[::1]:8080", False), ("", False)],
)  # fmt: skip
def test_passkeys_need_a_host_name(address, possible):
    assert Ceremony(address).possible is possible


@pytest.mark.error
def test_where_there_is_only_an_address_there_are_no_passkeys(config, clock, alice):
    numbered = make_config(config.data, database_url=config.database_url, base_url="http://127.0.0.1:8080")
    built = build_container(numbered, clock=clock)
    with pytest.raises(NotFoundError):
        built.get_auth_service().passkeys.check_may_add(alice.id, actor=acting(alice))
    built.close()
