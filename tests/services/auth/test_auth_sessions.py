"""Sessions are rows: they end at once, by themselves, and for everyone who should be out."""

import shutil
import threading
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.conftest import PASSWORD, make_config, sign_up
from tests.services.people import Statements, acting, events_of, session_user, visitor
from zentry_web.composition import build_container
from zentry_web.models import DbAuthSession, DbOneTimeLink
from zentry_web.services.errors import (
    AuthenticationRequiredError,
    ConflictError,
    NotFoundError,
    RateLimitedError,
    ValidationError,
)

pytestmark = pytest.mark.integration

NEW = "a better password"


@pytest.fixture
def auth(container):
    return container.get_auth_service()


@pytest.fixture
def log_in(auth):
    def once(name="alice", password=PASSWORD):
        return auth.login({"email": f"{name}@example.com", "password": password}, actor=visitor()).session_token

    return once


@pytest.mark.asvs("7.2.1")
def test_finding_the_user_takes_one_statement(auth, core, alice, log_in):
    token = log_in()
    with Statements(core.database) as statements:
        assert session_user(auth, token) == alice
    assert len([text for text in statements.texts if text.startswith("SELECT")]) == 1
    assert not [text for text in statements.texts if text.startswith("UPDATE")]


@pytest.mark.asvs("7.2.1")
@pytest.mark.parametrize("token", ["", "x", "x" * 10_000, "\x00"])
def test_nonsense_is_nobody(auth, alice, token):
    assert session_user(auth, token) is None


def test_last_seen_is_written_every_five_minutes_at_most(auth, core, alice, log_in, clock):
    token = log_in()
    seen = []
    for minutes in (0, 2, 2, 2, 2):
        clock.advance(minutes=minutes)
        session_user(auth, token)
        with core.database.reading() as session:
            seen.append(session.scalars(select(DbAuthSession.last_seen_at)).one())
    assert len(set(seen)) == 2


@pytest.mark.asvs("7.3.1", "7.3.2")
def test_an_unused_session_ends_after_a_week_a_used_one_after_thirty_days(auth, alice, log_in, clock):
    unused, used = log_in(), log_in()
    for _ in range(29):
        clock.advance(days=1)
        assert session_user(auth, used) is not None
    assert session_user(auth, unused) is None
    clock.advance(days=1)
    assert session_user(auth, used) is None


def test_logging_out_ends_this_session_only(auth, core, alice, log_in):
    one, other = log_in(), log_in()
    auth.logout(one, actor=acting(alice))
    auth.logout(one, actor=acting(alice))
    auth.logout("unknown", actor=visitor())
    assert session_user(auth, one) is None
    assert session_user(auth, other) == alice
    assert len(events_of(core, "auth.logout")) == 1


def test_refreshing_gives_a_new_secret_and_keeps_the_end(auth, alice, log_in, clock):
    old = log_in()
    begun = clock.now()
    clock.advance(days=3)
    fresh = auth.refresh_token(old, actor=acting(alice))
    assert fresh.session_token != old
    assert fresh.expires_at == begun + timedelta(days=30)
    assert session_user(auth, old) is None
    assert session_user(auth, fresh.session_token) == alice
    with pytest.raises(AuthenticationRequiredError):
        auth.refresh_token(old, actor=acting(alice))


def test_of_two_refreshes_at_once_one_wins(auth, core, alice, log_in):
    old, results = log_in(), []

    def refresh():
        try:
            results.append(auth.refresh_token(old, actor=acting(alice)).session_token)
        except AuthenticationRequiredError:
            results.append(None)

    threads = [threading.Thread(target=refresh) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results.count(None) == 2
    with core.database.reading() as session:
        assert len(session.scalars(select(DbAuthSession).where(DbAuthSession.ended_at.is_(None))).all()) == 1


def test_ending_all_sessions_may_keep_one(auth, alice, bob, log_in):
    kept, gone, foreign = log_in(), log_in(), log_in("bob")
    assert auth.end_sessions(alice.id, actor=acting(alice), keep=kept) == 1
    assert session_user(auth, kept) == alice
    assert session_user(auth, gone) is None
    assert session_user(auth, foreign) == bob
    assert auth.end_sessions(alice.id, actor=acting(alice)) == 1
    assert session_user(auth, kept) is None


@pytest.mark.asvs("7.4.2")
def test_a_disabled_account_is_out_at_its_next_click(auth, container, admin, alice, log_in):
    token = log_in()
    container.get_user_service().set_disabled(alice.id, True, actor=acting(admin))
    assert session_user(auth, token) is None
    container.get_user_service().set_disabled(alice.id, False, actor=acting(admin))
    assert session_user(auth, token) is None
    assert session_user(auth, log_in()) == alice


@pytest.mark.asvs("7.4.3")
def test_a_new_password_ends_the_other_sessions(auth, core, alice, log_in):
    mine, other = log_in(), log_in()
    auth.change_password(alice.id, PASSWORD, NEW, actor=acting(alice), session_token=mine)
    assert session_user(auth, mine) == alice
    assert session_user(auth, other) is None
    assert session_user(auth, log_in(password=NEW)) == alice
    with pytest.raises(AuthenticationRequiredError):
        log_in()
    (event,) = events_of(core, "auth.password_change")
    assert (event.outcome, event.owner_id, event.details) == ("succeeded", alice.id, {})


@pytest.mark.asvs("6.2.3")
@pytest.mark.error
@pytest.mark.parametrize(
    ("current", "new", "field"),
    [("wrong password", NEW, "current"), (None, NEW, "current"), (PASSWORD, "short", "new"), (PASSWORD, None, "new")],
)
def test_a_password_change_is_refused_on_the_wrong_field(auth, alice, log_in, current, new, field):
    token = log_in()
    with pytest.raises(ValidationError) as caught:
        auth.change_password(alice.id, current, new, actor=acting(alice))
    assert set(caught.value.details) == {field}
    assert session_user(auth, token) == alice


@pytest.mark.asvs("6.2.3")
@pytest.mark.error
def test_the_present_password_cannot_be_guessed_from_a_stolen_session(auth, core, alice):
    for _ in range(10):
        with pytest.raises(ValidationError):
            auth.change_password(alice.id, "a guess", NEW, actor=acting(alice))
    with pytest.raises(RateLimitedError):
        auth.change_password(alice.id, PASSWORD, NEW, actor=acting(alice))
    assert {event.outcome for event in events_of(core, "auth.password_change")} == {"refused"}


@pytest.mark.error
def test_strangers_are_told_there_is_no_such_account(auth, alice, charlie):
    stranger = acting(charlie)
    for attempt in (
        lambda: auth.update_profile(alice.id, {"name": "Mine"}, actor=stranger),
        lambda: auth.change_password(alice.id, PASSWORD, NEW, actor=stranger),
        lambda: auth.end_sessions(alice.id, actor=stranger),
        lambda: auth.update_profile("usr_nobody", {"name": "Mine"}),
    ):
        with pytest.raises(NotFoundError):
            attempt()


@pytest.mark.error
def test_two_password_changes_at_once_do_not_overwrite_each_other(auth, alice, monkeypatch):
    def overtaken(_stored, _password):
        monkeypatch.undo()
        auth.change_password(alice.id, PASSWORD, "the first of two", actor=acting(alice))
        return True

    monkeypatch.setattr(auth._passwords, "verify", overtaken)
    with pytest.raises(ConflictError):
        auth.change_password(alice.id, PASSWORD, "the second of two", actor=acting(alice))


def test_upkeep_deletes_what_ended_long_ago(auth, core, alice, log_in, clock):
    auth.logout(log_in(), actor=acting(alice))
    auth.create_admin("ops@example.com", "Ops")
    assert auth.prune() == 0
    clock.advance(days=32)
    token = log_in()
    assert auth.prune() >= 2
    with core.database.reading() as session:
        assert len(session.scalars(select(DbAuthSession)).all()) == 1
        assert session.scalars(select(DbOneTimeLink)).all() == []
    assert session_user(auth, token) == alice


@pytest.mark.asvs("7.3.1")
def test_both_time_outs_are_settings(tmp_path, migrated_sqlite, clock):
    folder = tmp_path / "short"
    shutil.copytree(migrated_sqlite, folder)
    container = build_container(make_config(folder, session_days=3, session_idle_days=2), clock=clock)
    auth, user = container.get_auth_service(), sign_up(container, "dora")
    idle, used = (
        auth.login({"email": user.email, "password": PASSWORD}, actor=visitor()).session_token for _ in range(2)
    )
    clock.advance(days=1)
    assert session_user(auth, used) == user
    clock.advance(days=1, minutes=1)
    assert session_user(auth, idle) is None
    assert session_user(auth, used) == user
    clock.advance(hours=23, minutes=59)
    assert session_user(auth, used) is None
    container.close()


# -- another secret twice a day -------------------------------------------------------------------


@pytest.mark.asvs("7.3.2")
def test_a_new_secret_counts_once_it_is_shown_and_the_end_stays(auth, core, alice, log_in, clock):
    old = log_in()
    assert not auth.get_session(old).is_due
    clock.advance(hours=12)
    assert auth.get_session(old).is_due
    new = auth.renew_session(old)
    assert session_user(auth, old) == alice, "the answer may have got lost"
    with core.database.reading() as session:
        until = session.scalars(select(DbAuthSession.expires_at)).one()
    assert session_user(auth, new) == alice
    assert not auth.get_session(new).is_due
    with core.database.reading() as session:
        row = session.scalars(select(DbAuthSession)).one()
    assert row.expires_at == until
    assert not {old, new} & {row.token_hash, row.previous_hash, row.next_hash}


@pytest.mark.asvs("7.4.1", "16.3.3")
@pytest.mark.error
def test_an_old_secret_that_comes_again_ends_the_session_and_is_told(auth, container, core, alice, log_in, clock):
    old, other = log_in(), log_in()
    clock.advance(hours=12)
    new = auth.renew_session(old)
    session_user(auth, new)
    clock.advance(minutes=2)
    assert session_user(auth, old) == alice, "what was under way when the new secret arrived"
    clock.advance(seconds=1)
    assert session_user(auth, old) is None
    assert session_user(auth, new) is None, "nobody knows which of the two is the thief"
    assert session_user(auth, other) == alice
    assert session_user(auth, old) is None
    assert len(events_of(core, "auth.session_reuse")) == 1
    assert "in use twice" in container.get_billing_service().notices.list_notices(alice.id)[0].title


def test_of_pages_opened_at_once_one_brings_the_secret_and_a_lost_one_is_made_up_for(auth, alice, log_in, clock):
    old = log_in()
    clock.advance(hours=12)
    lost = auth.renew_session(old)
    assert auth.renew_session(old) is None
    clock.advance(minutes=1)
    new = auth.renew_session(old)
    assert session_user(auth, lost) is None
    assert session_user(auth, new) == alice
    again = auth.renew_session(old)  # an answer under way put the old cookie back
    assert again is None or session_user(auth, again) == alice


def test_every_secret_of_a_session_means_it(auth, alice, log_in, clock):
    old, other = log_in(), log_in()
    clock.advance(hours=12)
    new = auth.renew_session(old)
    auth.end_sessions(alice.id, actor=acting(alice), keep=new)
    assert session_user(auth, other) is None
    assert session_user(auth, new) == alice
    assert [each.is_current for each in auth.list_sessions(alice.id, session_token=old)] == [True]
    auth.logout(old, actor=acting(alice))
    assert session_user(auth, new) is None


@pytest.mark.parametrize("what", ["disable", "password", "role"])
def test_what_ends_a_session_ends_its_next_secret_too(auth, container, alice, admin, log_in, clock, what):
    old = log_in()
    clock.advance(hours=12)
    new = auth.renew_session(old)
    people = container.get_user_service()
    if what == "disable":
        people.set_disabled(alice.id, True, actor=acting(admin))
    elif what == "password":
        auth.change_password(alice.id, PASSWORD, NEW, actor=acting(alice))
    else:
        auth.create_admin(alice.email, "Alice")
    assert session_user(auth, new) is None
    assert session_user(auth, old) is None
