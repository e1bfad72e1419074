"""/account: profile, password, theme."""

import pytest

from tests.conftest import PASSWORD
from tests.functional.conftest import Browser
from tests.page import Page

pytestmark = pytest.mark.integration


def test_saving_the_profile(as_alice):
    answer = as_alice.post("/account", {"name": "Alice Cooper", "time_zone": "Europe/Berlin"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account")
    page = as_alice.page("/account")
    assert page.one("//input[@id='name']").get("value") == "Alice Cooper"
    assert page.one("//select[@name='time_zone']/option[@selected]").get("value") == "Europe/Berlin"
    assert "Your profile is saved" in page.text()


def test_times_are_shown_in_the_account_s_zone(as_alice):
    as_alice.post("/account", {"name": "Alice", "time_zone": "Asia/Tokyo"})
    assert "JST" in as_alice.page("/credits").text()


@pytest.mark.parametrize(
    ("field", "value"), [("name", ""), ("name", "x" * 101), ("time_zone", "Mars/Olympus"), ("time_zone", "")]
)
def test_a_wrong_field_is_said_beside_it(as_alice, field, value):
    answer = as_alice.post("/account", {"name": "Alice", "time_zone": "UTC"} | {field: value})
    assert answer.status_code == 400
    assert set(Page(answer.text).errors()) == {field}


@pytest.mark.asvs("6.2.2")
def test_a_new_password_ends_the_other_sessions(web, as_alice, alice):
    other = Browser(web).log_in(alice)
    answer = as_alice.post("/account/password", {"current": PASSWORD, "new": "another fine password"})
    assert answer.status_code == 303
    assert as_alice.get("/overview").status_code == 200
    assert other.get("/overview").status_code == 303
    Browser(web).log_in(alice, "another fine password")


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ({"current": "wrong wrong wrong", "new": "another fine password"}, {"current"}),
        ({"current": PASSWORD, "new": "short"}, {"new"}),
        ({}, {"current", "new"}),
    ],
)
def test_a_password_that_is_refused(as_alice, data, fields):
    answer = as_alice.post("/account/password", data)
    assert answer.status_code == 400
    page = Page(answer.text)
    assert set(page.errors()) == fields
    assert page.one("//input[@id='name']").get("value") == "Alice"  # the other form is untouched


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_theme_is_kept_in_a_cookie(visitor, theme):
    answer = visitor.post("/account/theme", {"theme": theme}, headers={"Referer": "http://localhost/login?next=/vms"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/vms")
    assert visitor.page("/").root.get("data-bs-theme") == theme
    visitor.post("/account/theme", {"theme": "auto"})
    assert visitor.page("/").root.get("data-bs-theme") is None


@pytest.mark.asvs("3.7.2")
def test_the_theme_leads_back_to_this_site_only(visitor):
    answer = visitor.post("/account/theme", {"theme": "dark"}, headers={"Referer": "http://localhost//evil.example/x"})
    assert answer.headers["Location"] == "/"
    answer = visitor.post("/account/theme", {"theme": "light"}, headers={"Referer": "https://evil.example/x"})
    assert answer.status_code == 400, "another site's form"
    assert visitor.page("/").root.get("data-bs-theme") == "dark"
