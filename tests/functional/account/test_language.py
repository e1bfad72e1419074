"""The language of pages: the account's, else the one chosen in the browser, else what the browser asks for."""

import pytest
from sqlalchemy import select

from tests.conftest import PASSWORD
from tests.functional.conftest import Browser
from zentry_web.models import DbUser

pytestmark = pytest.mark.integration
GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}
PROFILE = {"name": "Alice", "time_zone": "UTC"}


def spoken(answer):
    assert f'<html lang="{answer.headers["Content-Language"]}' in answer.text
    return answer.headers["Content-Language"]


def test_a_visitor_is_answered_as_the_browser_asks(visitor):
    answer = visitor.get("/", headers=GERMAN)
    assert spoken(answer) == "de"
    assert "Accept-Language" in answer.vary
    assert spoken(visitor.get("/")) == "en"
    assert spoken(visitor.get("/", headers={"Accept-Language": "tlh"})) == "en"


def test_a_visitor_chooses_a_language_in_the_foot_of_the_page(visitor):
    page = visitor.page("/login")
    assert [each.text for each in page.find("//form[contains(@action, '/language')]//button")] == ["English", "Deutsch"]
    assert visitor.post("/account/language", {"language": "de"}).status_code == 303
    assert spoken(visitor.get("/login")) == "de"
    visitor.post("/account/language", {"language": "tlh"})
    assert spoken(visitor.get("/login")) == "en"


def test_the_account_s_choice_counts_most(as_alice):
    assert "Übersicht" in as_alice.get("/overview", headers=GERMAN).text
    as_alice.post("/account", PROFILE | {"language": "en"})
    assert spoken(as_alice.get("/overview", headers=GERMAN)) == "en"
    as_alice.post("/account", PROFILE | {"language": "de"})
    answer = as_alice.get("/account")
    assert spoken(answer) == "de"
    assert "23.11.2026, 14:05 · 1.234,56" in answer.text


@pytest.mark.error
def test_a_language_that_is_not_there_is_refused(as_alice):
    assert as_alice.post("/account", PROFILE | {"language": "tlh"}).status_code == 400


def test_programs_are_answered_in_english(visitor):
    answer = visitor.get("/api/v1/vms", headers=GERMAN)
    assert answer.status_code == 401
    assert answer.headers.get("Content-Language", "en") == "en"


def test_who_signs_up_keeps_the_language_of_the_browser(web, container):
    browser = Browser(web)
    data = {"email": "erika@example.com", "name": "Erika", "password": PASSWORD, "stamp": ""}
    page = browser.page("/signup")
    data["stamp"] = page.one("//input[@name='stamp']").get("value")
    assert browser.post("/signup", data, headers=GERMAN).status_code == 303
    with container.parts.core.database.reading() as session:
        assert session.scalar(select(DbUser.language).where(DbUser.email == "erika@example.com")) == "de"
    assert spoken(browser.get("/overview")) == "de"


def test_a_notice_is_written_in_its_reader_s_language(as_alice, container, alice):
    as_alice.post("/account", PROFILE | {"language": "de"})
    as_alice.post("/account/password", {"current": PASSWORD, "new": "another horse battery"})
    (told, *_) = container.get_billing_service().notices.list_notices(alice.id)
    assert told.title == "Ihr Passwort wurde geändert"
