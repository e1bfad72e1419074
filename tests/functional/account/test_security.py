"""/account/security: sessions and log-ins."""

import pytest

from tests.functional.conftest import Browser

pytestmark = pytest.mark.integration


def session_ids(browser):
    page = browser.page("/account/security")
    return [form.get("action").split("/")[3] for form in page.find("//form[contains(@action, '/end')]")]


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
    assert not page.find("//form[contains(@action, 'password-link')]")
    assert as_admin.post(f"/admin/users/{admin.id}/password-link").status_code == 403
