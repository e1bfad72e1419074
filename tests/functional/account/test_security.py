"""/account/security: sessions and log-ins."""

import re

import pytest

from tests.conftest import PASSWORD
from tests.functional.conftest import Browser
from tests.services.people import visitor
from zentry_web.services.errors import AuthenticationRequiredError

pytestmark = pytest.mark.integration


def session_ids(browser):
    page = browser.page("/account/security")
    return [link.get("href").split("/")[3] for link in page.find("//a[contains(@href, '/end')]")]


@pytest.mark.asvs("7.5.2")
def test_sessions_are_shown_and_ended(web, alice, as_alice):
    second = Browser(web).log_in(alice)
    page = as_alice.page("/account/security")
    assert "this one" in page.text()
    other = next(each for each in session_ids(as_alice) if each.startswith("ses_"))
    answer = as_alice.post(f"/account/sessions/{other}/end")
    assert answer.headers["Location"] == "/account/security"
    assert second.get("/overview").headers["Location"].startswith("/login")
    assert as_alice.get("/overview").status_code == 200


@pytest.mark.asvs("7.5.2")
def test_all_others_end_at_once(web, alice, as_alice):
    others = [Browser(web).log_in(alice) for _ in range(2)]
    as_alice.post("/account/sessions/end-others")
    for other in others:
        assert other.get("/overview").status_code == 303
    assert "Ended 2 other sessions" in as_alice.get("/account/security").text


@pytest.mark.asvs("7.5.2")
@pytest.mark.error
def test_a_strangers_session_cannot_be_ended(web, alice, as_alice, as_charlie):
    second = Browser(web).log_in(alice)
    other = next(each for each in session_ids(as_alice) if each.startswith("ses_"))
    assert as_charlie.post(f"/account/sessions/{other}/end").status_code == 404
    assert second.get("/overview").status_code == 200


def test_an_admin_makes_a_password_link_that_is_shown_once(as_admin, alice, visitor, web):
    page = as_admin.post(f"/admin/users/{alice.id}/password-link")
    assert page.status_code == 200
    link = page.text.partition('data-copy="')[2].partition('"')[0]
    path = "/" + link.split("/", 3)[3]
    assert "Choose your password" in visitor.get(path).text
    answer = visitor.post(path, {"email": alice.email, "name": alice.name, "password": "another horse battery"})
    assert answer.headers["Location"] == "/overview"


def test_no_password_link_is_offered_or_made_for_an_admin(as_admin, admin):
    page = as_admin.page(f"/admin/users/{admin.id}")
    assert not page.find("//a[contains(@href, 'password-link')]")
    assert as_admin.post(f"/admin/users/{admin.id}/password-link").status_code == 403


def test_the_sign_in_history_goes_back_to_the_first(web, container, alice, as_alice):
    """Page by page, newest first, each once, refused ones among them; it does not end at some number."""
    auth = container.get_auth_service()
    for number in range(70):
        if number % 10 == 0:
            with pytest.raises(AuthenticationRequiredError):
                auth.login({"email": alice.email, "password": "wrong"}, actor=visitor(f"192.0.2.{number}"))
        else:
            auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor(f"192.0.2.{number}"))
    seen, url = [], "/account/security"
    while url:
        page = as_alice.page(url)
        (card,) = page.find("//section[@id='sign-ins']")
        seen.append(re.findall(r"192\.0\.2\.(\d+)", "".join(card.itertext())))
        links = page.find("//section[@id='sign-ins']//a[@rel='next']")
        url = links[0].get("href") if links else None
        assert not url or url.endswith("#sign-ins")
    assert [int(number) for part in seen for number in part] == list(range(69, -1, -1))
    assert len(seen) == 3
    assert all(len(part) <= 30 for part in seen)


@pytest.mark.parametrize("before", ["9" * 30, "-1", "0", "x", "%00"])
def test_the_history_shrugs_at_nonsense(as_alice, before):
    as_alice.page(f"/account/security?before={before}")
