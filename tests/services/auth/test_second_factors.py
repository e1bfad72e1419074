"""Authenticator apps and recovery codes: set up, asked for, used once, and never gone around."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.conftest import PASSWORD
from tests.services.people import ELSEWHERE, HOME, acting, events_of, session_user, visitor
from tests.services.second_factors import App, give_password, set_up_app
from zentry_web.domain.event import Outcome
from zentry_web.domain.people.factor import FactorKind, FactorNeeded
from zentry_web.domain.user import SYSTEM, SignedIn
from zentry_web.models import DbFactor, DbNotice, DbPendingLogin, DbRecoveryCode
from zentry_web.services.auth_service import AuthService
from zentry_web.services.errors import (
    AuthenticationRequiredError,
    ConflictError,
    NotFoundError,
    ProofRequiredError,
    RateLimitedError,
    ValidationError,
)
from zentry_web.services.shared.secret_box import CannotOpen, SecretBox

pytestmark = pytest.mark.integration
NEW = "another horse battery"


@pytest.fixture
def auth(container):
    return container.get_auth_service()


@pytest.fixture
def phone_and_codes(auth, alice, clock):
    return set_up_app(auth, alice, clock)


@pytest.fixture
def phone(phone_and_codes):
    return phone_and_codes[0]


@pytest.fixture
def codes(phone_and_codes):
    return phone_and_codes[1]


def titles(core, user):
    with core.database.reading() as session:
        return list(session.scalars(select(DbNotice.title).where(DbNotice.user_id == user.id).order_by(DbNotice.id)))


def at_once(count, work):
    """What ``work(number)`` gives in as many threads; an error by its class."""
    results = []

    def run(number):
        try:
            results.append(work(number))
        except Exception as error:  # judged by the test
            results.append(type(error))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


# -- setting up ---------------------------------------------------------------------------------


@pytest.mark.asvs("6.5.4")
def test_an_app_is_set_up_by_its_code_and_gives_ten_recovery_codes(auth, core, alice, phone, codes):
    factors = auth.factors.list_factors(alice.id, actor=acting(alice))
    assert (factors.app.kind, factors.codes_left, len(set(codes))) == (FactorKind.APP, 10, 10)
    assert all(len(code) == 19 and code.count("-") == 3 for code in codes)
    assert "An authenticator app was added to your account" in titles(core, alice)
    assert [event.details for event in events_of(core, "auth.factor_add")] == [{"kind": "app"}]


@pytest.mark.asvs("6.5.2")
def test_no_secret_and_no_code_is_stored_in_the_clear(auth, core, alice, clock):
    setup = auth.factors.begin_app(alice.id, actor=acting(alice))
    codes = auth.factors.confirm_app(alice.id, setup.sealed, App(setup.secret, clock).code(), actor=acting(alice))
    with core.database.reading() as session:
        stored = str([vars(row) for row in session.scalars(select(DbFactor))])
        stored += str([vars(row) for row in session.scalars(select(DbRecoveryCode))])
    assert setup.secret not in stored
    assert not any(code.replace("-", "") in stored for code in codes)
    assert setup.secret not in setup.sealed


@pytest.mark.error
def test_a_wrong_code_sets_nothing_up(auth, alice):
    setup = auth.factors.begin_app(alice.id, actor=acting(alice))
    for code in ("000000", "", "abcdef", "12345", "1234567"):
        with pytest.raises(ValidationError) as caught:
            auth.factors.confirm_app(alice.id, setup.sealed, code, actor=acting(alice))
        assert set(caught.value.details) == {"code"}
    assert not auth.factors.list_factors(alice.id)


def test_setting_an_app_up_twice_shows_codes_that_work_both_times(auth, core, alice, clock):
    setup = auth.factors.begin_app(alice.id, actor=acting(alice))
    app = App(setup.secret, clock)
    first, second = (
        auth.factors.confirm_app(alice.id, setup.sealed, app.code(), actor=acting(alice)) for _ in range(2)
    )
    assert len(second) == len(first)
    assert not set(first) & set(second)
    assert len(events_of(core, "auth.factor_add")) == 1
    auth.pending.finish_with_code(give_password(auth, alice), second[0], actor=visitor())
    assert auth.factors.confirm_app(alice.id, setup.sealed, app.code(), actor=acting(alice)) == ()  # one is spent


@pytest.mark.error
def test_a_setup_is_for_one_account_and_half_an_hour(auth, alice, bob, clock):
    setup = auth.factors.begin_app(alice.id, actor=acting(alice))
    phone = App(setup.secret, clock)
    with pytest.raises(ValidationError):
        auth.factors.confirm_app(bob.id, setup.sealed, phone.code(), actor=acting(bob))
    with pytest.raises(ValidationError):
        auth.factors.confirm_app(alice.id, setup.sealed[:-8] + "AAAAAAA=", phone.code(), actor=acting(alice))
    assert auth.factors.same_app(alice.id, setup.sealed, actor=acting(alice)).secret == setup.secret
    clock.advance(minutes=31)
    with pytest.raises(ValidationError):
        auth.factors.confirm_app(alice.id, setup.sealed, phone.code(), actor=acting(alice))
    assert auth.factors.same_app(alice.id, setup.sealed, actor=acting(alice)).secret != setup.secret


def test_another_phone_takes_the_place_of_the_first(auth, alice, phone, codes, clock):
    clock.advance(30)
    second, more = set_up_app(auth, alice, clock)
    assert more == ()
    assert len(auth.factors.list_factors(alice.id).factors) == 1
    secret = give_password(auth, alice)
    with pytest.raises(ValidationError):
        auth.pending.finish_with_code(secret, phone.next_code(), actor=visitor())
    assert isinstance(auth.pending.finish_with_code(secret, second.code(), actor=visitor()), SignedIn)


@pytest.mark.asvs("7.4.3")
def test_the_first_factor_ends_every_other_session(auth, alice, clock):
    tokens = [auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).session_token for _ in range(2)]
    set_up_app(auth, alice, clock, session_token=tokens[0])
    assert [session_user(auth, token) for token in tokens] == [alice, None]


@pytest.mark.error
def test_factors_are_nobody_elses_business(auth, alice, admin, phone):
    factor = auth.factors.list_factors(alice.id).app
    for call in (
        lambda: auth.factors.list_factors(alice.id, actor=acting(admin)),
        lambda: auth.factors.begin_app(alice.id, actor=acting(admin)),
        lambda: auth.factors.remove(alice.id, factor.id, actor=acting(admin)),
        lambda: auth.factors.remove(admin.id, factor.id, actor=acting(admin)),
        lambda: auth.factors.new_codes(alice.id, actor=acting(admin)),
        lambda: auth.factors.reset(alice.id, actor=acting(admin)),
    ):
        with pytest.raises(NotFoundError):
            call()


# -- logging in ---------------------------------------------------------------------------------


@pytest.mark.asvs("2.3.1", "6.3.3")
def test_a_log_in_needs_the_code_and_gets_a_session_only_then(auth, core, alice, phone, clock):
    secret = give_password(auth, alice)
    assert session_user(auth, secret) is None
    assert events_of(core, "auth.login") == []
    signed_in = auth.pending.finish_with_code(secret, phone.next_code(), actor=visitor())
    assert session_user(auth, signed_in.session_token) == alice
    assert auth.get_session(signed_in.session_token).proved_at == clock.now()
    assert [event.details for event in events_of(core, "auth.login")] == [{"factor": "app"}]
    with pytest.raises(AuthenticationRequiredError):
        auth.pending.finish_with_code(secret, phone.next_code(), actor=visitor())


@pytest.mark.asvs("6.5.1")
def test_a_code_works_once_also_that_of_the_setup(auth, alice, phone, clock):
    first = give_password(auth, alice)
    with pytest.raises(ValidationError):
        auth.pending.finish_with_code(first, phone.code(), actor=visitor())
    code = phone.next_code()
    auth.pending.finish_with_code(first, code, actor=visitor())
    second = give_password(auth, alice)
    with pytest.raises(ValidationError):
        auth.pending.finish_with_code(second, code, actor=visitor())
    auth.pending.finish_with_code(second, phone.next_code(), actor=visitor())


@pytest.mark.asvs("6.5.5", "6.5.8")
def test_a_phones_clock_may_be_one_step_away_and_no_more(auth, alice, phone, clock):
    clock.advance(minutes=10)
    secret = give_password(auth, alice)
    for step in (-2, 2):
        with pytest.raises(ValidationError):
            auth.pending.finish_with_code(secret, phone.code(step), actor=visitor())
    auth.pending.finish_with_code(secret, f" {phone.code(1)[:3]} {phone.code(1)[3:]} ", actor=visitor())
    again = give_password(auth, alice)
    with pytest.raises(ValidationError):  # older than the last one taken
        auth.pending.finish_with_code(again, phone.code(-1), actor=visitor())


@pytest.mark.asvs("6.5.1", "15.4.2")
def test_of_two_with_one_code_at_once_one_gets_in(auth, alice, phone):
    secrets, code = [give_password(auth, alice) for _ in range(4)], phone.next_code()
    results = at_once(4, lambda number: auth.pending.finish_with_code(secrets[number], code, actor=visitor()))
    assert sum(isinstance(each, SignedIn) for each in results) == 1
    assert results.count(ValidationError) == 3


def test_one_waiting_log_in_opens_one_session(auth, alice, codes, phone):
    secret = give_password(auth, alice)
    results = at_once(4, lambda number: auth.pending.finish_with_code(secret, codes[number], actor=visitor()))
    assert sum(isinstance(each, SignedIn) for each in results) == 1
    assert auth.factors.list_factors(alice.id).codes_left == 9, "a refused one keeps its code"


@pytest.mark.asvs("6.4.4", "6.5.1")
def test_a_recovery_code_works_once_and_is_told(auth, core, alice, codes):
    signed_in = auth.pending.finish_with_code(give_password(auth, alice), codes[3].lower(), actor=visitor())
    assert session_user(auth, signed_in.session_token) == alice
    assert auth.factors.list_factors(alice.id).codes_left == 9
    assert "A recovery code was used" in titles(core, alice)
    with pytest.raises(ValidationError):
        auth.pending.finish_with_code(give_password(auth, alice), codes[3], actor=visitor())


def test_somebody_elses_recovery_code_is_wrong(auth, alice, bob, codes, clock):
    set_up_app(auth, bob, clock)
    with pytest.raises(ValidationError):
        auth.pending.finish_with_code(give_password(auth, bob), codes[0], actor=visitor())


def test_new_codes_replace_the_old(auth, alice, codes):
    fresh = auth.factors.new_codes(alice.id, actor=acting(alice))
    secret = give_password(auth, alice)
    with pytest.raises(ValidationError):
        auth.pending.finish_with_code(secret, codes[0], actor=visitor())
    auth.pending.finish_with_code(secret, fresh[0], actor=visitor())


@pytest.mark.error
def test_codes_without_a_factor_are_refused(auth, alice):
    with pytest.raises(ConflictError):
        auth.factors.new_codes(alice.id, actor=acting(alice))


# -- what a log-in that waits may do ------------------------------------------------------------


@pytest.mark.asvs("6.5.5")
@pytest.mark.error
def test_a_waiting_log_in_lasts_five_minutes(auth, alice, phone, clock):
    secret = give_password(auth, alice)
    assert auth.pending.find_factors(secret).app is not None
    clock.advance(minutes=5)
    assert auth.pending.find_factors(secret) is None
    with pytest.raises(AuthenticationRequiredError):
        auth.pending.finish_with_code(secret, phone.code(), actor=visitor())
    assert auth.prune() >= 1


@pytest.mark.asvs("16.3.3")
@pytest.mark.error
def test_five_wrong_codes_end_a_log_in_and_are_told(auth, core, alice, phone):
    secret = give_password(auth, alice)
    for _ in range(5):
        with pytest.raises(ValidationError):
            auth.pending.finish_with_code(secret, "000000", actor=visitor())
    with pytest.raises(AuthenticationRequiredError):
        auth.pending.finish_with_code(secret, phone.next_code(), actor=visitor())
    assert "Wrong codes after your password" in titles(core, alice)
    refused = events_of(core, "auth.factor")
    assert [event.outcome for event in refused] == [Outcome.REFUSED] * 5
    assert {event.owner_id for event in refused} == {alice.id}


@pytest.mark.error
def test_many_at_once_get_no_more_attempts(auth, alice, phone):
    secret = give_password(auth, alice)
    results = at_once(8, lambda _: auth.pending.finish_with_code(secret, "000000", actor=visitor()))
    assert results.count(ValidationError) == 5
    assert results.count(AuthenticationRequiredError) == 3


def guess(auth, alice, address):
    """Guess until it is refused for its number; returns how many guesses there were."""
    for count in range(1000):
        if count % 5 == 0:
            secret = give_password(auth, alice, address)
        try:
            auth.pending.finish_with_code(secret, "000000", actor=visitor(address))
        except ValidationError:
            continue
        except RateLimitedError:
            return count
    raise AssertionError("never refused")


@pytest.mark.asvs("6.3.1")
@pytest.mark.error
def test_guesses_from_everywhere_are_limited_and_shut_the_owner_out_of_nothing(auth, alice, phone, codes):
    signed_in = auth.pending.finish_with_code(give_password(auth, alice), phone.next_code(), actor=visitor(HOME))
    assert signed_in.user == alice
    guesses = sum(guess(auth, alice, f"198.51.100.{number}") for number in range(8))
    assert guesses == 50, "over all networks that were never signed in from"
    assert isinstance(
        auth.pending.finish_with_code(give_password(auth, alice, HOME), phone.next_code(), actor=visitor(HOME)),
        SignedIn,
    )
    travelling = give_password(auth, alice, "192.0.2.77")
    with pytest.raises(RateLimitedError):
        auth.pending.finish_with_code(travelling, phone.next_code(), actor=visitor("192.0.2.77"))
    assert isinstance(auth.pending.finish_with_code(travelling, codes[0], actor=visitor("192.0.2.77")), SignedIn)


def test_right_codes_are_not_counted(auth, alice, phone):
    for _ in range(15):
        secret = give_password(auth, alice, ELSEWHERE)
        auth.pending.finish_with_code(secret, phone.next_code(), actor=visitor(ELSEWHERE))


# -- no way around it ---------------------------------------------------------------------------


def test_an_admins_link_sets_the_password_and_asks_for_the_factor(auth, alice, admin, phone):
    token = auth.make_password_link(alice.id, actor=acting(admin))
    answer = auth.redeem_link(token, NEW, actor=visitor())
    assert isinstance(answer, FactorNeeded)
    assert auth.list_sessions(alice.id) == []
    assert isinstance(auth.pending.finish_with_code(answer.secret, phone.next_code(), actor=visitor()), SignedIn)


@pytest.mark.asvs("6.4.3")
def test_a_reset_password_opens_nothing_without_the_factor(auth, container, alice, phone):
    verification = auth.verification
    verification.request_reset(alice.email, actor=visitor())
    secret = verification.claim_mail().body.partition("/reset/")[2].split()[0]
    verification.reset_password(secret, NEW, actor=visitor())
    assert auth.list_sessions(alice.id) == []
    waiting = give_password(auth, alice, password=NEW)
    assert auth.pending.finish_with_code(waiting, phone.next_code(), actor=visitor()).user == alice


@pytest.mark.error
def test_a_log_in_that_waits_ends_with_password_and_account(auth, container, alice, admin, phone, clock):
    first = give_password(auth, alice)
    auth.change_password(alice.id, PASSWORD, NEW, actor=acting(alice))
    second = give_password(auth, alice, password=NEW)
    auth.end_sessions(alice.id, actor=acting(alice))
    third = give_password(auth, alice, password=NEW)
    container.get_user_service().set_disabled(alice.id, True, actor=acting(admin))
    for secret in (first, second, third):
        assert auth.pending.find_factors(secret) is None
        with pytest.raises(AuthenticationRequiredError):
            auth.pending.finish_with_code(secret, phone.next_code(), actor=visitor())


@pytest.mark.asvs("6.4.4")
def test_the_command_line_takes_lost_factors_away(auth, core, alice, phone):
    assert auth.factors.reset(alice.id, actor=SYSTEM) == 1
    assert isinstance(auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()), SignedIn)
    assert len(events_of(core, "auth.factor_reset")) == 1


@pytest.mark.asvs("14.2.4")
def test_erasing_an_account_erases_its_factors(auth, container, core, alice, phone):
    give_password(auth, alice)
    container.get_user_service().erase_personal_data(alice.id, actor=acting(alice))
    with core.database.reading() as session:
        for table in (DbFactor, DbRecoveryCode, DbPendingLogin):
            assert session.scalars(select(table)).all() == []


@pytest.mark.error
def test_an_admins_last_factor_stays_where_admins_must_have_one(core, container, admin, clock):
    strict = AuthService(core, container.billing, replace(container.parts.auth, admins_need_factor=True))
    set_up_app(strict, admin, clock)
    factor = strict.factors.list_factors(admin.id).app
    with pytest.raises(ConflictError):
        strict.factors.remove(admin.id, factor.id, actor=acting(admin))


@pytest.mark.asvs("7.4.3")
def test_removing_the_last_factor_takes_codes_and_other_sessions_along(auth, core, alice, phone, codes):
    kept, other = (
        auth.pending.finish_with_code(give_password(auth, alice), code, actor=visitor()).session_token
        for code in codes[:2]
    )
    factor = auth.factors.list_factors(alice.id).app
    auth.factors.remove(alice.id, factor.id, actor=acting(alice), session_token=kept)
    assert session_user(auth, kept) == alice
    assert session_user(auth, other) is None
    assert auth.factors.list_factors(alice.id).codes_left == 0
    assert isinstance(auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()), SignedIn)


# -- proving it again ---------------------------------------------------------------------------


@pytest.mark.asvs("7.5.1")
def test_what_changes_factors_needs_a_recent_proof(auth, alice, admin, bob, phone, clock):
    stale = acting(alice, proved_at=clock.now() - timedelta(minutes=5))
    factor = auth.factors.list_factors(alice.id).app
    for call in (
        lambda: auth.factors.begin_app(alice.id, actor=stale),
        lambda: auth.factors.confirm_app(alice.id, "", "000000", actor=stale),
        lambda: auth.factors.remove(alice.id, factor.id, actor=stale),
        lambda: auth.factors.new_codes(alice.id, actor=replace(stale, proved_at=None)),
        lambda: auth.make_password_link(bob.id, actor=replace(acting(admin), proved_at=None)),
        lambda: auth.create_admin("new@example.com", "New", actor=replace(acting(admin), proved_at=None)),
    ):
        with pytest.raises(ProofRequiredError):
            call()


def test_the_password_proves_it_where_there_is_no_factor(auth, alice, clock):
    token = auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).session_token
    clock.advance(minutes=10)
    auth.proofs.prove(alice.id, token, PASSWORD, actor=acting(alice))
    assert auth.get_session(token).proved_at == clock.now()
    with pytest.raises(ValidationError) as caught:
        auth.proofs.prove(alice.id, token, "wrong", actor=acting(alice))
    assert set(caught.value.details) == {"password"}


def test_the_factor_proves_it_where_there_is_one(auth, core, alice, phone, codes, clock):
    token = auth.pending.finish_with_code(give_password(auth, alice), codes[0], actor=visitor()).session_token
    clock.advance(minutes=10)
    with pytest.raises(ValidationError) as caught:
        auth.proofs.prove(alice.id, token, PASSWORD, actor=acting(alice))
    assert set(caught.value.details) == {"code"}
    code = phone.code()
    auth.proofs.prove(alice.id, token, code, actor=acting(alice))
    assert auth.get_session(token).proved_at == clock.now()
    with pytest.raises(ValidationError):
        auth.proofs.prove(alice.id, token, code, actor=acting(alice))
    assert [event.details.get("by") for event in events_of(core, "auth.proof")] == [None, "app", None]


@pytest.mark.error
def test_proofs_are_limited_per_session(auth, alice):
    tokens = [auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).session_token for _ in range(2)]
    for _ in range(10):
        with pytest.raises(ValidationError):
            auth.proofs.prove(alice.id, tokens[0], "wrong", actor=acting(alice))
    with pytest.raises(RateLimitedError):
        auth.proofs.prove(alice.id, tokens[0], PASSWORD, actor=acting(alice))
    auth.proofs.prove(alice.id, tokens[1], PASSWORD, actor=acting(alice))


def test_a_rotated_session_keeps_its_proof(auth, alice, clock):
    signed_in = auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    proved = clock.now()
    clock.advance(minutes=10)
    assert auth.get_session(auth.refresh_token(signed_in.session_token).session_token).proved_at == proved


# -- the box ------------------------------------------------------------------------------------


@pytest.mark.asvs("11.3.3")
@pytest.mark.error
def test_what_is_sealed_opens_for_the_same_use_and_key_only(clock):
    box, other = SecretBox("one"), SecretBox("two")
    sealed = box.seal("secret", use="a", now=clock.now())
    assert box.unseal(sealed, use="a", now=clock.now()) == "secret"
    for opener, use in ((box, "b"), (other, "a")):
        with pytest.raises(CannotOpen):
            opener.unseal(sealed, use=use, now=clock.now())
    for junk in ("", "é", "x" * 50):
        with pytest.raises(CannotOpen):
            box.unseal(junk, use="a", now=clock.now())
    assert box.keyed_hash("x", use="a") != other.keyed_hash("x", use="a") != box.keyed_hash("x", use="b")


def test_two_zentrys_are_two_entries_in_an_app(auth, alice):
    """Apps keep one secret for issuer and address: the second Zentry's must not take the place of the first's."""
    uri = auth.factors.begin_app(alice.id, actor=acting(alice)).uri
    assert "issuer=Zentry%20%28localhost%29" in uri
