"""Sign-up and forgotten passwords by mail: nothing before the link comes back, and nothing told to strangers."""

import re
import threading

import pytest
from sqlalchemy import func, select

from tests.conftest import PASSWORD, make_config
from tests.services.people import acting, events_of, session_user, visitor
from zentry_web.composition import build_container
from zentry_web.domain.user import Actor, Role
from zentry_web.models import DbMailRequest, DbOutbox, DbUser
from zentry_web.services.errors import (
    AuthenticationRequiredError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ValidationError,
)

pytestmark = pytest.mark.integration
NEW = "another horse battery"


@pytest.fixture
def container(config, clock):
    """A Zentry that sends mail."""
    mailing = make_config(config.data, database_url=config.database_url, smtp_url="smtp://127.0.0.1:1")
    built = build_container(mailing, clock=clock)
    yield built
    built.close()


@pytest.fixture
def auth(container):
    return container.get_auth_service()


@pytest.fixture
def by_mail(auth):
    return auth.verification


def post(by_mail):
    """Every mail that waits, as a mail server takes them."""
    taken = []
    while (mail := by_mail.claim_mail()) is not None:
        by_mail.record_sent(mail)
        taken.append(mail)
    return taken


def secret_in(mail):
    return re.search(r"/(?:signup|reset)/(\S+)", mail.body)[1]


def ask(by_mail, email="dora@example.com"):
    """Sign up and return the link's secret."""
    by_mail.request_signup({"email": email, "name": "Dora"}, actor=visitor())
    (mail,) = post(by_mail)
    assert mail.to_address == email
    return secret_in(mail)


def test_an_account_is_made_when_the_link_comes_back(by_mail, auth, container, core):
    secret = ask(by_mail)
    with core.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(DbUser)) == 0
        stored = session.scalars(select(DbMailRequest)).one()
    assert secret not in str(vars(stored)), "only a hash of the secret is kept"
    assert by_mail.peek_signup(secret).email == "dora@example.com"
    signed_in = by_mail.finish_signup(secret, PASSWORD, actor=visitor())
    with core.database.reading() as session:
        assert session.scalar(select(DbUser.email_proven_at)) is not None
    assert session_user(auth, signed_in.session_token) == signed_in.user
    assert auth.login({"email": "dora@example.com", "password": PASSWORD}, actor=visitor()).user == signed_in.user
    assert container.get_billing_service().get_user_credits(signed_in.user.id) == 5_000_000
    assert by_mail.peek_signup(secret) is None
    with pytest.raises(NotFoundError):
        by_mail.finish_signup(secret, PASSWORD, actor=visitor())


@pytest.mark.asvs("6.3.8")
def test_a_known_address_gets_another_mail_and_the_same_answer(by_mail, alice):
    by_mail.request_signup({"email": alice.email.upper(), "name": "Mallory"}, actor=visitor())
    (mail,) = post(by_mail)
    assert mail.to_address == alice.email
    assert "account already" in mail.body
    assert "Mallory" not in mail.body


def test_a_strangers_name_is_not_mailed(by_mail):
    by_mail.request_signup({"email": "dora@example.com", "name": "Win a prize at evil"}, actor=visitor())
    (mail,) = post(by_mail)
    assert "prize" not in mail.body


def test_starting_credits_come_once_per_mailbox(by_mail, container):
    billing = container.get_billing_service()
    first = by_mail.finish_signup(ask(by_mail, "a.na@gmail.com"), PASSWORD, actor=visitor()).user
    second = by_mail.finish_signup(ask(by_mail, "ana+2@gmail.com"), PASSWORD, actor=visitor()).user
    other = by_mail.finish_signup(ask(by_mail, "ana+2@example.com"), PASSWORD, actor=visitor()).user
    assert [billing.get_user_credits(user.id) for user in (first, second, other)] == [5_000_000, 0, 5_000_000]


def test_two_who_open_one_link_at_once_make_one_account(by_mail):
    secret, results = ask(by_mail), []

    def finish(number):
        try:
            results.append(by_mail.finish_signup(secret, f"{PASSWORD} {number}", actor=visitor()).user.email)
        except (NotFoundError, ConflictError):
            results.append(None)

    threads = [threading.Thread(target=finish, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results, key=str) == [None, None, "dora@example.com"]


@pytest.mark.error
def test_two_links_for_one_address_make_one_account(by_mail):
    first, second = ask(by_mail), ask(by_mail)
    by_mail.finish_signup(first, PASSWORD, actor=visitor())
    with pytest.raises(ConflictError):
        by_mail.finish_signup(second, PASSWORD, actor=visitor())


@pytest.mark.error
def test_a_signup_link_lasts_a_day_and_survives_a_bad_password(by_mail, clock):
    secret = ask(by_mail)
    with pytest.raises(ValidationError):
        by_mail.finish_signup(secret, "short", actor=visitor())
    clock.advance(hours=23)
    assert by_mail.peek_signup(secret) is not None
    clock.advance(hours=1)
    assert by_mail.peek_signup(secret) is None
    with pytest.raises(NotFoundError):
        by_mail.finish_signup(secret, PASSWORD, actor=visitor())


@pytest.mark.error
def test_a_mail_server_that_is_down_is_asked_again_for_a_day(by_mail, clock):
    by_mail.request_signup({"email": "dora@example.com", "name": "Dora"}, actor=visitor())
    first = by_mail.claim_mail()
    assert by_mail.claim_mail() is None, "claimed for a minute"
    by_mail.record_failed(first, "down")
    clock.advance(seconds=31)
    second = by_mail.claim_mail()
    assert second.attempt == 2
    assert by_mail.peek_signup(secret_in(first)) is None, "the newest mail's secret counts"
    by_mail.record_sent(first)  # an answer of the older attempt: too late to mean anything
    by_mail.record_failed(second, "down")
    clock.advance(hours=25)
    assert by_mail.claim_mail() is None
    clock.advance(days=7)
    assert by_mail.prune() == 1


def test_a_forgotten_password_is_set_anew_by_mail(by_mail, auth, alice, core, container):
    open_one = auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    by_mail.request_reset(alice.email, actor=visitor())
    (mail,) = post(by_mail)
    secret = secret_in(mail)
    assert by_mail.peek_reset(secret).id == alice.id
    assert by_mail.reset_password(secret, NEW, actor=visitor()).id == alice.id
    assert session_user(auth, open_one.session_token) is None
    with pytest.raises(AuthenticationRequiredError):
        auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    assert auth.login({"email": alice.email, "password": NEW}, actor=visitor()).user.id == alice.id
    (event,) = events_of(core, "auth.password_reset")
    assert event.owner_id == alice.id
    assert "changed" in container.get_billing_service().notices.list_notices(alice.id)[0].title
    with pytest.raises(NotFoundError):
        by_mail.reset_password(secret, PASSWORD, actor=visitor())


@pytest.mark.asvs("6.3.8")
@pytest.mark.error
def test_unknown_and_disabled_accounts_get_no_mail_and_no_other_answer(by_mail, container, bob, admin):
    container.get_user_service().set_disabled(bob.id, True, actor=acting(admin))
    by_mail.request_reset(bob.email, actor=visitor())
    by_mail.request_reset("nobody@example.com", actor=visitor())
    by_mail.request_signup({"email": bob.email, "name": "Bob"}, actor=visitor())
    assert post(by_mail) == []
    assert by_mail.claim_mail() is None


@pytest.mark.asvs("6.4.1", "6.6.2")
@pytest.mark.error
def test_a_reset_link_lasts_an_hour_and_only_resets(by_mail, auth, alice, clock):
    by_mail.request_reset(alice.email, actor=visitor())
    (mail,) = post(by_mail)
    assert auth.peek_link(secret_in(mail)) is None, "it does not sign in"
    with pytest.raises(NotFoundError):
        auth.redeem_link(secret_in(mail), NEW, actor=visitor())
    clock.advance(hours=1)
    assert by_mail.peek_reset(secret_in(mail)) is None


@pytest.mark.asvs("6.6.3")
@pytest.mark.error
def test_nobody_is_mailed_more_than_three_times_an_hour(by_mail, clock):
    for _ in range(3):
        by_mail.request_reset("dora@example.com", actor=visitor())
    with pytest.raises(RateLimitedError):
        by_mail.request_reset("Dora@example.com", actor=visitor("198.51.100.77"))
    clock.advance(hours=2)
    by_mail.request_reset("dora@example.com", actor=visitor())


@pytest.mark.error
def test_bad_fields_are_told_and_nothing_is_asked(by_mail):
    with pytest.raises(ValidationError) as caught:
        by_mail.request_signup({"email": "nonsense", "name": ""}, actor=visitor())
    assert set(caught.value.details) == {"email", "name"}
    assert by_mail.claim_mail() is None


# -- sessions -------------------------------------------------------------------------------------


def test_sessions_are_listed_and_ended_one_by_one(auth, alice, bob):
    here = auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    there = auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor("198.51.100.9"))
    listed = auth.list_sessions(alice.id, actor=acting(alice), session_token=here.session_token)
    assert [(each.address, each.is_current) for each in sorted(listed, key=lambda each: each.is_current)] == [
        ("198.51.100.9", False),
        ("203.0.113.5", True),
    ]
    other = next(each for each in listed if not each.is_current)
    assert there.session_token not in other.id
    with pytest.raises(NotFoundError):
        auth.end_session(bob.id, other.id, actor=acting(bob))
    with pytest.raises(NotFoundError):
        auth.list_sessions(alice.id, actor=acting(bob))
    auth.end_session(alice.id, other.id, actor=acting(alice))
    assert session_user(auth, there.session_token) is None
    assert session_user(auth, here.session_token) is not None
    with pytest.raises(NotFoundError):
        auth.end_session(alice.id, other.id, actor=acting(alice))


def test_a_log_in_from_another_browser_is_told(auth, alice, container, core):
    notices = container.get_billing_service().notices
    log_in = {"email": alice.email, "password": PASSWORD}

    def come(agent):
        auth.login(log_in, actor=Actor("anonymous", Role.USER, address="203.0.113.5", user_agent=agent))

    come("Mozilla/5.0 (X11; Linux) Firefox/140.0")
    come("Mozilla/5.0 (X11; Linux) Firefox/141.0")
    assert notices.list_notices(alice.id) == []
    come("Mozilla/5.0 (Windows NT 10.0) Firefox/141.0")
    (told,) = notices.list_notices(alice.id)
    assert "Firefox on Windows" in told.body
    with core.database.reading() as session:
        assert session.scalars(select(DbOutbox.to_address)).all() == [alice.email]


@pytest.mark.asvs("16.3.1")
def test_log_ins_are_listed_with_those_refused(auth, alice, container):
    with pytest.raises(AuthenticationRequiredError):
        auth.login({"email": alice.email, "password": "wrong"}, actor=visitor("198.51.100.9"))
    auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    people = container.get_user_service()
    found = people.list_sign_ins(alice.id, actor=acting(alice))
    assert [(event.outcome, event.personal.get("address")) for event in found] == [
        ("succeeded", "203.0.113.5"),
        ("refused", "198.51.100.9"),
    ]


@pytest.mark.asvs("6.4.6")
def test_an_admin_makes_a_link_and_never_chooses_the_password(auth, alice, bob, admin):
    session = auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    with pytest.raises(PermissionDeniedError):
        auth.make_password_link(alice.id, actor=acting(bob))
    token = auth.make_password_link(alice.id, actor=acting(admin))
    assert session_user(auth, session.session_token) is None
    assert auth.redeem_link(token, NEW, actor=visitor()).user.id == alice.id
    assert auth.login({"email": alice.email, "password": NEW}, actor=visitor()).user.id == alice.id
