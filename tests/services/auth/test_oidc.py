"""Signing in through an OpenID provider, against one that runs on loopback."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import structlog
from sqlalchemy import select

from tests.conftest import PASSWORD, make_config
from tests.oidc_issuer import CLIENT_SECRET, local_issuer, settings_for
from tests.services.people import acting, events_of, session_user, visitor
from tests.services.second_factors import set_up_app
from zentry_web.composition import build_container
from zentry_web.config import Config
from zentry_web.domain.people.factor import FactorNeeded
from zentry_web.domain.people.oidc import Linked, MailSent, OidcPurpose, Proved
from zentry_web.domain.user import SignedIn
from zentry_web.models import DbIdentity, DbOidcFlow
from zentry_web.services.errors import (
    AuthenticationRequiredError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProofRequiredError,
    ProviderUnavailableError,
    ValidationError,
)

pytestmark = pytest.mark.integration

BROWSER = "a-browser-secret-of-the-test"


@pytest.fixture
def issuer(clock):
    with local_issuer(clock) as running:
        yield running


@pytest.fixture
def container(config, clock, issuer):
    built = build_container(
        make_config(config.data, database_url=config.database_url, **settings_for(issuer)), clock=clock
    )
    yield built
    built.close()


@pytest.fixture
def auth(container):
    return container.get_auth_service()


def fetch(url):
    """What the provider sends a browser back with."""
    answer = requests.get(url, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    back = urlsplit(answer.headers["Location"])
    assert back.path == "/login/oidc/callback"
    return {name: values[0] for name, values in parse_qs(back.query).items()}


@pytest.fixture
def go(auth):
    """There and back: what it comes to, and where it leads."""

    def once(actor=None, purpose=OidcPurpose.SIGN_IN, session_token=None, target="", browser=BROWSER):
        actor = actor or visitor()
        mine = actor.id if purpose != OidcPurpose.SIGN_IN else None
        departure = auth.oidc.begin(browser, actor=actor, purpose=purpose, user_id=mine, target=target)
        return auth.oidc.finish(browser, fetch(departure.url), actor=actor, session_token=session_token)

    return once


@pytest.fixture
def dora(go):
    """Somebody who came through the provider."""
    return go()[0]


def identities(core):
    with core.database.reading() as session:
        return [(row.user_id, row.issuer, row.subject) for row in session.scalars(select(DbIdentity))]


# -- signing in -----------------------------------------------------------------------------------


def test_a_new_person_gets_an_account_with_the_starting_credits(auth, container, core, go, issuer):
    signed_in, target = go(target="/vms/new")
    assert target == "/vms/new"
    assert (signed_in.user.email, signed_in.user.name) == ("dora@example.com", "Dora")
    assert session_user(auth, signed_in.session_token) == signed_in.user
    assert container.get_billing_service().get_user_credits(signed_in.user.id) == 5_000_000
    assert identities(core) == [(signed_in.user.id, issuer.url, "248289761001")]
    with pytest.raises(AuthenticationRequiredError):  # there is no password to guess
        auth.login({"email": "dora@example.com", "password": ""}, actor=visitor())


@pytest.mark.asvs("10.5.2")
def test_the_second_time_it_is_the_same_account_whatever_the_address_is_then(core, go, issuer, dora):
    issuer.person |= {"email": "new-name@example.com", "email_verified": False, "name": "Somebody"}
    again, _ = go()
    assert again.user == dora.user
    assert len(identities(core)) == 1


@pytest.mark.asvs("6.8.1")
def test_another_subject_with_the_same_address_is_somebody_else(core, go, issuer, dora):
    issuer.person |= {"sub": "another"}
    with pytest.raises(ConflictError, match="Log in to it as always"):
        go()
    assert len(identities(core)) == 1


@pytest.mark.asvs("6.8.1")
def test_an_account_with_the_address_is_not_taken_over(auth, core, go, issuer, alice):
    issuer.person |= {"email": "ALICE@example.com"}
    with pytest.raises(ConflictError, match="security page"):
        go()
    assert identities(core) == []
    assert auth.list_sessions(alice.id) == []


@pytest.mark.asvs("2.4.1")
def test_a_mailbox_gets_the_starting_credits_once(container, go, issuer):
    issuer.person |= {"email": "dora@gmail.com"}
    go()
    issuer.person |= {"sub": "2", "email": "d.o.r.a+2@gmail.com"}
    second, _ = go()
    assert container.get_billing_service().get_user_credits(second.user.id) == 0


@pytest.mark.parametrize("verified", [False, None, "false", "", 1, ["true"]])
def test_an_address_the_provider_does_not_vouch_for_opens_nothing(auth, core, go, issuer, alice, verified):
    issuer.person |= {"email_verified": verified}
    for email in ("dora@example.com", "alice@example.com"):  # and it does not tell which has an account
        issuer.person |= {"email": email}
        with pytest.raises(ConflictError, match="does not say that your e-mail address is confirmed"):
            go()
    assert identities(core) == []


@pytest.mark.parametrize("verified", [True, "true", "True"])
def test_the_forms_in_which_providers_say_yes_count(go, issuer, verified):
    issuer.person |= {"email_verified": verified}
    assert go()[0].user.email == "dora@example.com"


def test_whether_it_is_confirmed_may_come_from_the_userinfo_endpoint_for_the_same_address_only(go, issuer):
    issuer.person.pop("email_verified")
    issuer.userinfo = {"sub": issuer.person["sub"], "email": "another@example.com", "email_verified": True}
    with pytest.raises(ConflictError, match="does not say"):
        go()
    issuer.userinfo |= {"email": issuer.person["email"]}
    assert go()[0].user.email == "dora@example.com"


def test_with_a_mail_server_an_unproved_address_is_proved_by_mail(config, clock, issuer):
    settings = settings_for(issuer, smtp_url="smtp://127.0.0.1:1")
    built = build_container(make_config(config.data, database_url=config.database_url, **settings), clock=clock)
    oidc, verification = built.get_auth_service().oidc, built.get_auth_service().verification
    issuer.person |= {"email_verified": False}
    departure = oidc.begin(BROWSER, actor=visitor())
    assert oidc.finish(BROWSER, fetch(departure.url), actor=visitor())[0] == MailSent()
    secret = verification.claim_mail().body.partition("/signup/")[2].split()[0]
    assert verification.finish_signup(secret, PASSWORD, actor=visitor()).user.email == "dora@example.com"
    built.close()


@pytest.mark.error
def test_the_rules_of_sign_up_count_here_too_and_known_people_still_get_in(container, core, go, issuer, dora, admin):
    settings = container.get_billing_service().settings
    settings.change("signup_domains", "corp.example", 0, actor=acting(admin))
    issuer.person |= {"sub": "2", "email": "new@example.com"}
    with pytest.raises(ValidationError, match=r"corp\.example"):
        go()
    issuer.person |= {"email": "new@corp.example"}
    assert isinstance(go()[0], SignedIn)
    settings.change("signup", "closed", 0, actor=acting(admin))
    issuer.person |= {"sub": "3", "email": "newer@corp.example"}
    with pytest.raises(ConflictError, match="Nobody can sign up"):
        go()
    issuer.person |= {"sub": "248289761001"}
    assert go()[0].user == dora.user
    assert len(identities(core)) == 2


@pytest.mark.error
def test_no_address_at_all_is_told(go, issuer):
    issuer.person.pop("email")
    with pytest.raises(ConflictError, match="tells no e-mail address"):
        go()


def test_the_address_may_come_from_the_userinfo_endpoint_of_the_same_person(go, issuer):
    email = {"email": issuer.person.pop("email"), "email_verified": issuer.person.pop("email_verified")}
    issuer.userinfo = email | {"sub": "somebody else"}
    with pytest.raises(ConflictError):
        go()
    issuer.userinfo = email | {"sub": issuer.person["sub"]}
    assert go()[0].user.email == "dora@example.com"


@pytest.mark.asvs("6.3.4", "6.8.4")
def test_the_second_factor_is_asked_for_all_the_same(auth, clock, go, dora):
    app, _ = set_up_app(auth, dora.user, clock)
    answer, _ = go()
    assert isinstance(answer, FactorNeeded)
    assert auth.list_sessions(dora.user.id) == []
    entered = auth.pending.finish_with_code(answer.secret, app.next_code(), actor=visitor())
    assert isinstance(entered, SignedIn)


@pytest.mark.error
def test_a_disabled_account_stays_out(auth, container, go, dora, admin):
    container.get_user_service().set_disabled(dora.user.id, True, actor=acting(admin))
    with pytest.raises(AuthenticationRequiredError):
        go()
    assert auth.list_sessions(dora.user.id) == []


# -- what does not check out ----------------------------------------------------------------------


@pytest.mark.asvs("6.8.2", "9.1.1", "9.1.2", "10.5.1", "10.5.4")
@pytest.mark.error
@pytest.mark.parametrize(
    "wrong",
    ["signature", "unknown_key", "hs256", "none", "nonce", "no_nonce", "audience", "azp", "issuer", "expired", "future",
     "subject"],
)  # fmt: skip
def test_a_token_that_is_wrong_lets_nobody_in(core, go, issuer, wrong):
    issuer.wrong = wrong
    with pytest.raises(AuthenticationRequiredError, match="does not check out"):
        go()
    assert identities(core) == []
    issuer.wrong = ""
    assert isinstance(go()[0], SignedIn)


@pytest.mark.asvs("9.1.3")
def test_new_keys_of_the_provider_are_fetched(clock, auth, go, issuer, dora, monkeypatch):
    issuer.turn_key()
    with pytest.raises(AuthenticationRequiredError):  # it was asked less than a minute ago
        go()
    monkeypatch.setattr("zentry_web.adapters.oidc.authlib_provider.KEYS_AT_LEAST_SECONDS", 0)
    assert go()[0].user == dora.user


@pytest.mark.asvs("7.6.2", "10.1.2", "10.2.1")
@pytest.mark.error
def test_an_answer_counts_once_in_the_browser_it_belongs_to_for_ten_minutes(auth, clock, core):
    answers = [fetch(auth.oidc.begin(BROWSER, actor=visitor()).url) for _ in range(3)]
    with pytest.raises(AuthenticationRequiredError, match="another browser"):
        auth.oidc.finish("another-browser", answers[0], actor=visitor())
    assert isinstance(auth.oidc.finish(BROWSER, answers[0], actor=visitor())[0], SignedIn)
    with pytest.raises(AuthenticationRequiredError, match="another browser"):
        auth.oidc.finish(BROWSER, answers[0], actor=visitor())
    swapped = answers[1] | {"code": answers[2]["code"]}  # a code that belongs to another question
    with pytest.raises(AuthenticationRequiredError, match="check out"):
        auth.oidc.finish(BROWSER, swapped, actor=visitor())
    clock.advance(minutes=10)
    with pytest.raises(AuthenticationRequiredError, match="too long"):
        auth.oidc.finish(BROWSER, answers[2], actor=visitor())
    assert auth.oidc.prune() == 1
    with core.database.reading() as session:
        assert session.scalars(select(DbOidcFlow)).all() == []


@pytest.mark.error
def test_the_person_may_say_no(auth, go, issuer):
    issuer.fails = "deny"
    with pytest.raises(AuthenticationRequiredError, match="did not confirm"):
        go()
    issuer.fails = ""
    answer = fetch(auth.oidc.begin(BROWSER, actor=visitor()).url) | {"iss": "https://evil.example"}
    with pytest.raises(AuthenticationRequiredError, match="did not confirm"):
        auth.oidc.finish(BROWSER, answer, actor=visitor())


@pytest.mark.asvs("16.5.2")
@pytest.mark.error
@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/keys"])
def test_a_provider_that_is_away_is_told_and_passwords_still_work(auth, go, issuer, alice, path):
    issuer.fails = path
    with pytest.raises(ProviderUnavailableError, match="log in with"):
        go()
    assert auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).user == alice


@pytest.mark.asvs("10.5.3")
@pytest.mark.error
@pytest.mark.parametrize(
    "documents",
    [{"issuer": "https://evil.example"}, {"token_endpoint": "http://evil.example/token"}, {"jwks_uri": None}],
)
def test_a_discovery_document_that_is_wrong_is_not_followed(go, issuer, documents):
    issuer.documents = documents
    with pytest.raises(ProviderUnavailableError):
        go()


@pytest.mark.asvs("10.1.1", "16.2.5")
def test_neither_logs_nor_events_have_the_secrets(auth, core, go, issuer, alice):
    with structlog.testing.capture_logs() as logs:
        go()
        issuer.wrong = "signature"
        with pytest.raises(AuthenticationRequiredError):
            go()
    (_, sent) = next(seen for seen in issuer.seen if seen[0] == "/token")
    kept = str(logs) + str([(event.action, event.details) for event in events_of(core, "auth.signup")])
    for secret in (CLIENT_SECRET, sent["code"], sent["code_verifier"], "dora@example.com"):
        assert secret not in kept


def test_the_provider_is_never_asked_inside_a_transaction(auth, core, issuer, monkeypatch):
    provider, open_session = auth.oidc._provider, core.database.open_session
    inside = []
    for name in ("authorization_url", "exchange"):
        real = getattr(provider, name)

        def watched(*arguments, real=real):
            inside.append(open_session.get())
            return real(*arguments)

        monkeypatch.setattr(provider, name, watched)
    departure = auth.oidc.begin(BROWSER, actor=visitor())
    auth.oidc.finish(BROWSER, fetch(departure.url), actor=visitor())
    assert inside == [None, None]


# -- linking --------------------------------------------------------------------------------------


def test_an_account_is_linked_from_within_and_opens_from_then_on(auth, container, core, go, alice):
    token = auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).session_token
    with pytest.raises(ProofRequiredError):
        go(acting(alice, proved_at=None), OidcPurpose.LINK, token)
    assert go(acting(alice), OidcPurpose.LINK, token)[0] == Linked()
    assert go(acting(alice), OidcPurpose.LINK, token)[0] == Linked()  # twice is once
    assert go()[0].user == alice
    assert len(events_of(core, "auth.oidc_link")) == 1
    notices = container.get_billing_service().notices.list_notices(alice.id)
    assert "Acme ID can sign you in" in notices[-1].title


@pytest.mark.error
def test_nobody_links_what_is_linked_or_while_logged_in_as_somebody_else(auth, go, issuer, dora, alice, bob):
    with pytest.raises(ConflictError, match="another Zentry account"):
        go(acting(alice), OidcPurpose.LINK, "token")
    issuer.person |= {"sub": "of alice"}
    departure = auth.oidc.begin(BROWSER, actor=acting(alice), purpose=OidcPurpose.LINK, user_id=alice.id)
    answer = fetch(departure.url)
    with pytest.raises(AuthenticationRequiredError, match="logged out meanwhile"):
        auth.oidc.finish(BROWSER, answer, actor=acting(bob), session_token="token")
    go(acting(alice), OidcPurpose.LINK, "token")
    issuer.person |= {"sub": "a second one"}
    with pytest.raises(ConflictError, match="Unlink it first"):
        go(acting(alice), OidcPurpose.LINK, "token")
    with pytest.raises(NotFoundError):
        auth.oidc.begin(BROWSER, actor=acting(bob), purpose=OidcPurpose.LINK, user_id=alice.id)


@pytest.mark.error
def test_the_only_way_in_stays(auth, go, dora, alice, admin):
    actor = acting(dora.user)
    (identity,) = auth.oidc.ways_in(dora.user.id, actor=actor).identities
    with pytest.raises(ConflictError, match="only way in"):
        auth.oidc.unlink(dora.user.id, identity.id, actor=actor)
    for stranger in (acting(alice), acting(admin)):
        with pytest.raises(NotFoundError):
            auth.oidc.unlink(dora.user.id, identity.id, actor=stranger)
    with pytest.raises(ProofRequiredError):
        auth.oidc.unlink(dora.user.id, identity.id, actor=replace(actor, proved_at=None))
    auth.change_password(dora.user.id, "", PASSWORD, actor=actor)
    auth.oidc.unlink(dora.user.id, identity.id, actor=actor)
    with pytest.raises(ConflictError, match="Log in to it as always"):
        go()


# -- accounts without a password ------------------------------------------------------------------


@pytest.mark.error
def test_a_first_password_needs_a_recent_proof_and_is_nobody_elses_to_set(auth, clock, dora, admin):
    actor = acting(dora.user)
    with pytest.raises(ProofRequiredError):
        auth.change_password(dora.user.id, "", PASSWORD, actor=replace(actor, proved_at=None))
    with pytest.raises(NotFoundError):
        auth.change_password(dora.user.id, "", PASSWORD, actor=acting(admin))
    auth.change_password(dora.user.id, "", PASSWORD, actor=actor)
    with pytest.raises(ValidationError):  # from now on the present one is asked for
        auth.change_password(dora.user.id, "", "another long password", actor=actor)


@pytest.mark.asvs("7.6.1")
def test_the_provider_proves_it_again_where_there_is_no_factor(auth, clock, go, issuer, dora):
    clock.advance(minutes=10)
    actor, token = acting(dora.user), dora.session_token
    assert go(actor, OidcPurpose.PROVE, token)[0] == Proved()
    assert auth.get_session(token).proved_at == clock.now()
    asked = [fields for path, fields in issuer.seen if path == "/authorize"][-1]
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")


@pytest.mark.asvs("6.8.4", "7.6.1")
@pytest.mark.error
def test_a_proof_that_is_old_anothers_or_around_the_factor_is_none(auth, clock, core, go, issuer, dora):
    clock.advance(minutes=10)
    actor, token, before = acting(dora.user), dora.session_token, auth.get_session(dora.session_token).proved_at
    issuer.auth_age = timedelta(hours=3).total_seconds()
    with pytest.raises(PermissionDeniedError):
        go(actor, OidcPurpose.PROVE, token)
    issuer.auth_age, issuer.says_when = 0, False  # a provider that tells no time may have asked nobody
    with pytest.raises(PermissionDeniedError):
        go(actor, OidcPurpose.PROVE, token)
    issuer.says_when = True
    issuer.person |= {"sub": "somebody else"}
    with pytest.raises(PermissionDeniedError):
        go(actor, OidcPurpose.PROVE, token)
    issuer.person |= {"sub": "248289761001"}
    set_up_app(auth, dora.user, clock, token)
    with pytest.raises(PermissionDeniedError):
        go(actor, OidcPurpose.PROVE, token)
    assert auth.get_session(token).proved_at == before
    assert [event.outcome for event in events_of(core, "auth.proof")] == ["refused"] * 4


def test_the_account_can_be_deleted_without_a_password(container, core, dora):
    users, user_id = container.get_user_service(), dora.user.id
    users.closure.request(user_id, "", actor=acting(dora.user))
    users.erase_personal_data(user_id)
    assert identities(core) == []


# -- settings -------------------------------------------------------------------------------------


@pytest.mark.asvs("12.3.1")
@pytest.mark.error
@pytest.mark.parametrize(
    "settings",
    [
        {"oidc_issuer": "http://id.example.com", "oidc_client_id": "x"},
        {"oidc_issuer": "https://id.example.com?x=1", "oidc_client_id": "x"},
        {"oidc_issuer": "id.example.com", "oidc_client_id": "x"},
        {"oidc_issuer": "https://id.example.com"},
        {"oidc_client_id": "x"},
        {"oidc_issuer": "https://id.example.com", "oidc_client_id": "x", "oidc_scopes": "email"},
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(settings):
    with pytest.raises(ValueError, match="ZENTRY_OIDC"):
        Config(**settings)


@pytest.mark.asvs("13.3.2")
def test_the_clients_secret_is_not_shown():
    config = Config(oidc_issuer="https://id.example.com", oidc_client_id="x", oidc_client_secret="hush-hush")
    assert "hush-hush" not in repr(config)


def test_without_a_provider_there_is_nothing_to_sign_in_through(tmp_path, migrated_sqlite, clock):
    built = build_container(Config(data=tmp_path, compute="simulator", environment="test"), clock=clock)
    oidc = built.get_auth_service().oidc
    assert oidc.provider_name == ""
    with pytest.raises(NotFoundError):
        oidc.begin(BROWSER, actor=visitor())
    built.close()
