"""/login/oidc and /account/oidc: through a provider on loopback and back."""

from urllib.parse import urlsplit

import pytest
import requests

from tests.conftest import PASSWORD, make_config
from tests.functional.conftest import Browser
from tests.oidc_issuer import local_issuer, settings_for
from tests.page import Page
from tests.services.people import acting
from tests.services.second_factors import set_up_app

pytestmark = pytest.mark.integration


@pytest.fixture
def issuer(clock):
    with local_issuer(clock) as running:
        yield running


@pytest.fixture
def config(sqlite_config, issuer):
    return make_config(sqlite_config.data, **settings_for(issuer))


def alert(answer):
    return " ".join(Page(answer.text).one("//*[@role='alert']").itertext())


def follow(browser, leaving):
    """From the page that leads to the provider, there and back."""
    assert leaving.status_code == 200, leaving.text
    page = Page(leaving.text)
    url = page.one("//a[starts-with(normalize-space(.), 'Continue to Acme ID')]").get("href")
    assert url in page.one("//meta[@http-equiv='refresh']").get("content")
    back = urlsplit(requests.get(url, allow_redirects=False, timeout=10).headers["Location"])
    return browser.get(f"{back.path}?{back.query}")


def test_a_new_person_comes_in_and_gets_where_they_wanted(visitor, issuer):
    page = visitor.page("/login?next=/vms/new")
    form = page.one("//form[@action='/login/oidc']")
    assert "Continue with Acme ID" in page.text()
    kept = form.xpath(".//input[@name='next']/@value")[0]
    leaving = visitor.post("/login/oidc", {"next": kept})
    assert leaving.headers["Cache-Control"] == "no-store"
    assert leaving.headers["Content-Security-Policy"].count("form-action 'self'") == 1
    answer = follow(visitor, leaving)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/vms/new")
    assert "Dora" in visitor.page("/overview").text()
    assert "Continue with Acme ID" in Browser(visitor.client.application).page("/signup").text()


@pytest.mark.asvs("3.7.2")
@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_nobody_is_led_to_another_site(visitor, target):
    answer = follow(visitor, visitor.post("/login/oidc", {"next": target}))
    assert answer.headers["Location"] == "/overview"


def test_an_address_with_an_account_is_told_what_to_do_and_does_it(visitor, issuer, alice):
    issuer.person |= {"email": alice.email}
    answer = follow(visitor, visitor.post("/login/oidc"))
    assert answer.status_code == 409
    assert "Log in to it as always" in alert(answer)
    visitor.log_in(alice)
    page = visitor.page("/account/security")
    assert page.find("//form[@action='/account/oidc/link']")
    answer = follow(visitor, visitor.post("/account/oidc/link"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account/security")
    page = visitor.page("/account/security")
    assert alice.email in page.text()
    (unlink,) = page.find("//a[contains(@href, '/unlink')]/@href")
    again = Browser(visitor.client.application)
    assert follow(again, again.post("/login/oidc")).headers["Location"] == "/overview"
    assert "Alice" in again.page("/overview").text()
    assert visitor.post(unlink).headers["Location"] == "/account/security"
    assert not visitor.page("/account/security").find("//a[contains(@href, '/unlink')]")


@pytest.mark.error
def test_what_goes_wrong_is_said_on_the_log_in_page(visitor, issuer):
    answer = visitor.get("/login/oidc/callback?state=made-up&code=x")
    assert answer.status_code == 401
    assert Page(answer.text).find("//form[@action='/login']")
    issuer.wrong = "signature"
    assert follow(visitor, visitor.post("/login/oidc")).status_code == 401
    issuer.wrong, issuer.fails = "", "/token"
    answer = follow(visitor, visitor.post("/login/oidc"))
    assert answer.status_code == 503
    assert "log in with that" in alert(answer)


@pytest.mark.error
def test_a_provider_that_is_away_leaves_the_log_in_page_as_it_is(visitor, issuer, alice):
    issuer.fails = "/.well-known/openid-configuration"
    answer = visitor.post("/login/oidc", {"next": "/vms"})
    assert answer.status_code == 503
    assert Page(answer.text).one("//form[@action='/login']//input[@name='next']").get("value") == "/vms"
    visitor.log_in(alice)
    assert visitor.post("/account/oidc/link").status_code == 503


@pytest.mark.error
def test_nonsense_in_the_answer_is_no_error_500(visitor):
    for query in ("", "?state=%00&code=%00", f"?state={'x' * 9000}&code=y", "?error=access_denied&state=a"):
        assert visitor.get(f"/login/oidc/callback{query}").status_code == 401


def test_the_factor_is_asked_for_after_the_provider(visitor, web, container, clock, issuer):
    follow(visitor, visitor.post("/login/oidc"))
    auth = container.get_auth_service()
    user = container.get_user_service().list_users(search="dora@example.com")[0].user
    app, _ = set_up_app(auth, user, clock)
    again = Browser(web)
    answer = follow(again, again.post("/login/oidc", {"next": "/vms"}))
    assert answer.headers["Location"] == "/login/factor"
    assert again.get("/overview").status_code == 303
    assert again.post("/login/factor", {"code": app.next_code()}).headers["Location"] == "/vms"


def test_who_has_no_password_confirms_with_the_provider_and_sets_one(visitor, clock, issuer):
    follow(visitor, visitor.post("/login/oidc"))
    page = visitor.page("/account")
    assert not page.find("//input[@name='current']")
    assert "Set a password" in page.text()
    assert not visitor.page("/account/leave").find("//input[@name='password']")
    clock.advance(minutes=10)
    answer = visitor.post("/account/tokens", {"name": "ci", "scopes": "vms:read", "days": "5"})
    assert answer.status_code == 303
    page = visitor.page(answer.headers["Location"])
    assert page.find("//form[@action='/account/oidc/confirm']")
    assert not page.find("//input[@name='password']")
    answer = follow(visitor, visitor.post("/account/oidc/confirm", {"next": "/account/tokens"}))
    assert "What you wanted to do has not been done yet" in answer.text
    answer = visitor.post("/account/password", {"current": "", "new": PASSWORD})
    assert answer.headers["Location"] == "/account"
    assert visitor.page("/account").find("//input[@name='current']")


@pytest.mark.error
def test_a_password_that_is_there_is_still_asked_for(as_alice, container, alice):
    answer = as_alice.post("/account/password", {"current": "", "new": "another long password"})
    assert answer.status_code == 400
    assert set(Page(answer.text).errors()) == {"current"}
    assert as_alice.post("/account/leave", {"password": ""}).status_code == 400


@pytest.mark.error
def test_linking_needs_a_recent_proof_and_links_are_ones_own(as_alice, as_charlie, container, clock, alice, issuer):
    follow(as_alice, as_alice.post("/account/oidc/link"))
    identity = container.get_auth_service().oidc.ways_in(alice.id, actor=acting(alice)).identities[0]
    assert as_charlie.post(f"/account/oidc/{identity.id}/unlink").status_code == 404
    clock.advance(minutes=10)
    answer = as_alice.post(f"/account/oidc/{identity.id}/unlink")
    assert answer.headers["Location"].startswith("/account/confirm")
    assert as_alice.post("/account/oidc/link").headers["Location"].startswith("/account/confirm")
