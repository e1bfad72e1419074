"""Changing the address: both mailboxes agree, either calls it off, and nobody learns who has an account."""

import re
import threading
from dataclasses import replace

import pytest
from sqlalchemy import select

from tests.conftest import PASSWORD, make_config, sign_up
from tests.services.people import Statements, acting, events_of, personal_of, session_user, visitor
from tests.services.second_factors import set_up_app
from zentry_web.composition import build_container
from zentry_web.domain.people.factor import FactorNeeded
from zentry_web.models import DbEmailChange, DbEmailConfirmation, DbUser
from zentry_web.services.errors import (
    AuthenticationRequiredError,
    ConflictError,
    NotFoundError,
    ProofRequiredError,
    RateLimitedError,
    ValidationError,
)

pytestmark = pytest.mark.integration
NEW = "alice.new@example.org"


@pytest.fixture
def container(config, clock):
    settings = {"database_url": config.database_url, "smtp_url": "smtp://127.0.0.1:1"}
    built = build_container(make_config(config.data, **settings), clock=clock)
    yield built
    built.close()


@pytest.fixture
def auth(container):
    return container.get_auth_service()


@pytest.fixture
def changes(auth):
    return auth.email_change


@pytest.fixture
def mails(changes):
    """All mails that wait, by address: (subject, body, secret or '')."""

    def take():
        found = {}
        while (mail := changes.claim_mail()) is not None:
            changes.record_sent(mail)
            link = re.search(r"/email/(\S+)", mail.body)
            found[mail.to_address] = (mail.subject, mail.body, link[1] if link else "")
        return found

    return take


@pytest.fixture
def asked(changes, mails, alice):
    """Both secrets of a change: of the old and the new address."""
    changes.request(alice.id, NEW, actor=acting(alice))
    found = mails()
    return found[alice.email][2], found[NEW][2]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_address_changes_when_both_have_agreed(auth, changes, container, core, alice, asked, order):
    here, there = (
        auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).session_token for _ in range(2)
    )
    assert changes.confirm(asked[order[0]], actor=visitor()) is None
    assert container.get_user_service().get_user(alice.id).email == alice.email
    done = changes.confirm(asked[order[1]], actor=visitor(), session_token=here)
    assert done.email == NEW
    assert session_user(auth, here).email == NEW
    assert session_user(auth, there) is None
    assert auth.login({"email": NEW, "password": PASSWORD}, actor=visitor()).user.id == alice.id
    with pytest.raises(AuthenticationRequiredError):
        auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    (event,) = events_of(core, "auth.email_change")
    assert (event.actor_id, event.owner_id, event.details) == (alice.id, alice.id, {})
    assert personal_of(core, event.id)["old_email"] == alice.email
    with core.database.reading() as session:
        assert session.get(DbUser, alice.id).email_proven_at is not None


def test_both_addresses_are_told(container, changes, alice, asked):
    for secret in asked:
        changes.confirm(secret, actor=visitor())
    notices = container.get_billing_service().notices
    told = []
    while (mail := notices.claim_mail()) is not None:
        notices.record_sent(mail)
        if "e-mail address was changed" in mail.subject:
            told.append(mail.to_address)
    assert sorted(told) == sorted([alice.email, NEW])
    assert notices.list_notices(alice.id)[0].title == "Your e-mail address was changed"


def test_a_link_works_once_and_for_a_day(changes, clock, asked):
    old, new = asked
    changes.confirm(old, actor=visitor())
    with pytest.raises(NotFoundError):
        changes.confirm(old, actor=visitor())
    assert changes.peek(new).is_new
    clock.advance(hours=24)
    assert changes.peek(new) is None
    with pytest.raises(NotFoundError):
        changes.confirm(new, actor=visitor())


@pytest.mark.parametrize("side", [0, 1])
def test_either_mailbox_calls_it_off(changes, container, alice, asked, side):
    changes.confirm(asked[1 - side], actor=visitor())
    changes.refuse(asked[side], actor=visitor())
    for secret in asked:
        with pytest.raises(NotFoundError):
            changes.confirm(secret, actor=visitor())
    with pytest.raises(NotFoundError):
        changes.refuse(asked[side], actor=visitor())
    assert changes.find_open(alice.id) is None
    assert container.get_user_service().get_user(alice.id).email == alice.email


def test_its_owner_calls_it_off(changes, core, alice, bob, asked):
    with pytest.raises(NotFoundError):
        changes.cancel(alice.id, actor=acting(bob))
    assert changes.find_open(alice.id).new_email == NEW
    changes.cancel(alice.id, actor=acting(alice))
    changes.cancel(alice.id, actor=acting(alice))
    assert len(events_of(core, "auth.email_change_off")) == 1
    assert changes.peek(asked[0]) is None


def test_a_later_change_takes_the_place_of_an_earlier_one(changes, mails, alice, asked):
    changes.request(alice.id, "third@example.org", actor=acting(alice))
    assert changes.peek(asked[1]) is None
    assert set(mails()) == {alice.email, "third@example.org"}


@pytest.mark.asvs("6.3.8")
def test_a_taken_address_looks_the_same_to_who_asks(changes, core, mails, alice, bob):
    with Statements(core.database) as free:
        changes.request(alice.id, "free@example.org", actor=acting(alice))
    of_free = mails()
    with Statements(core.database) as taken:
        changes.request(alice.id, "BOB@example.com", actor=acting(alice))
    of_taken = mails()
    assert taken.count == free.count  # nobody even looks
    shapes = [re.sub(r"\S+@\S+|/email/\S+", "…", found[alice.email][1]) for found in (of_free, of_taken)]
    assert shapes[0] == shapes[1]
    assert of_taken["BOB@example.com"][2] == ""
    assert "has one of its own already" in of_taken["BOB@example.com"][1].replace("\n", " ")
    assert changes.confirm(of_taken[alice.email][2], actor=visitor()) is None  # and there it stays


def test_an_address_taken_meanwhile_is_not_taken_over(auth, container, changes, alice, asked):
    changes.confirm(asked[0], actor=visitor())
    auth.signup({"email": NEW, "name": "Faster", "password": PASSWORD})
    with pytest.raises(ConflictError):
        changes.confirm(asked[1], actor=visitor())
    assert container.get_user_service().get_user(alice.id).email == alice.email


@pytest.mark.asvs("15.4.2")
def test_two_who_agree_at_the_same_moment_change_it_once(changes, container, core, alice, asked):
    results = []

    def agree(secret):
        results.append(changes.confirm(secret, actor=visitor()))

    threads = [threading.Thread(target=agree, args=(secret,)) for secret in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(found is not None for found in results) == [False, True]
    assert container.get_user_service().get_user(alice.id).email == NEW
    assert len(events_of(core, "auth.email_change")) == 1


@pytest.mark.asvs("6.6.2")
def test_all_that_waited_is_void(auth, clock, changes, alice, asked):
    app, _ = set_up_app(auth, alice, clock)
    waiting = auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor())
    assert isinstance(waiting, FactorNeeded)
    auth.verification.request_reset(alice.email, actor=visitor())
    reset = auth.verification.claim_mail().body.partition("/reset/")[2].split()[0]
    for secret in asked:
        changes.confirm(secret, actor=visitor())
    assert auth.verification.peek_reset(reset) is None
    with pytest.raises(AuthenticationRequiredError):
        auth.pending.finish_with_code(waiting.secret, app.next_code(), actor=visitor())


@pytest.mark.asvs("7.5.1")
@pytest.mark.error
def test_asking_needs_a_proof_ones_own_account_and_an_address(changes, alice, bob, admin):
    with pytest.raises(ProofRequiredError):
        changes.request(alice.id, NEW, actor=replace(acting(alice), proved_at=None))
    for stranger in (acting(bob), acting(admin)):
        with pytest.raises(NotFoundError):
            changes.request(alice.id, NEW, actor=stranger)
        with pytest.raises(NotFoundError):
            changes.find_open(alice.id, actor=stranger)
    for wrong in ("", "nonsense", alice.email, "x\x00@example.com", "a\n@example.com", f"{'x' * 300}@example.com"):
        with pytest.raises(ValidationError) as caught:
            changes.request(alice.id, wrong, actor=acting(alice))
        assert set(caught.value.details) == {"email"}
    assert changes.claim_mail() is None


@pytest.mark.error
def test_nobody_mails_a_stranger_all_day(changes, alice, bob):
    for person in (alice, bob, alice):
        changes.request(person.id, "stranger@example.org", actor=acting(person))
    with pytest.raises(RateLimitedError):
        changes.request(bob.id, "stranger@example.org", actor=acting(bob))


@pytest.mark.error
def test_a_disabled_account_changes_nothing(changes, container, alice, admin, asked):
    container.get_user_service().set_disabled(alice.id, True, actor=acting(admin))
    assert changes.peek(asked[0]) is None
    with pytest.raises(NotFoundError):
        changes.confirm(asked[0], actor=visitor())


def test_a_mail_that_was_not_taken_comes_again_with_another_secret(changes, clock, alice):
    changes.request(alice.id, NEW, actor=acting(alice))
    first = changes.claim_mail()
    changes.record_failed(first, "busy")
    changes.record_sent(changes.claim_mail())
    assert changes.claim_mail() is None
    clock.advance(minutes=1)
    again = changes.claim_mail()
    assert (again.id, again.attempt) == (first.id, 2)
    secrets = [re.search(r"/email/(\S+)", mail.body)[1] for mail in (first, again)]
    assert [changes.peek(secret) is not None for secret in secrets] == [False, True]


def test_only_hashes_are_stored_and_all_goes_in_a_week_or_with_the_account(
    container, auth, changes, core, clock, alice, asked
):
    with core.database.reading() as session:
        hashes = session.scalars(select(DbEmailConfirmation.token_hash)).all()
    assert not set(hashes) & set(asked)
    clock.advance(days=8)
    auth.prune()
    with core.database.reading() as session:
        assert session.scalars(select(DbEmailChange)).all() == []
    changes.request(alice.id, NEW, actor=acting(alice))
    container.get_user_service().erase_personal_data(alice.id)
    with core.database.reading() as session:
        assert session.scalars(select(DbEmailConfirmation)).all() == []


def test_the_command_line_changes_it_for_who_lost_the_mailbox(auth, changes, core, alice, bob, admin):
    token = auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).session_token
    with pytest.raises(NotFoundError):
        changes.set_email(alice.id, NEW, actor=acting(admin))
    with pytest.raises(ValidationError):
        changes.set_email(alice.id, bob.email)
    assert changes.set_email(alice.id, NEW).email == NEW
    assert session_user(auth, token) is None
    assert len(events_of(core, "auth.email_change")) == 1


@pytest.mark.error
def test_without_a_mail_server_it_is_not_offered(tmp_path, migrated_sqlite, clock, sqlite_config):
    built = build_container(make_config(sqlite_config.data), clock=clock)
    user = sign_up(built, "erin")
    changes = built.get_auth_service().email_change
    assert not changes.enabled
    with pytest.raises(NotFoundError):
        changes.request(user.id, NEW, actor=acting(user))
    built.close()
