"""/login and /logout."""

import pytest

from tests.conftest import PASSWORD
from tests.functional.conftest import Browser
from tests.page import Page

pytestmark = pytest.mark.integration


def test_logging_in_leads_to_the_overview(visitor, alice):
    answer = visitor.post("/login", {"email": alice.email, "password": PASSWORD})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/overview")
    assert "Alice" in visitor.page("/overview").text()


def test_logging_in_leads_back_to_where_one_wanted_to_go(visitor, alice, machine):
    wanted = f"/vms/{machine.id}?range=6h"
    answer = visitor.get(wanted)
    page = visitor.page(answer.headers["Location"])
    kept = page.one("//form[@action='/login']//input[@name='next']").get("value")
    answer = visitor.post("/login", {"email": alice.email, "password": PASSWORD, "next": kept})
    assert answer.headers["Location"] == wanted


@pytest.mark.asvs("3.7.2")
@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
               "/\tevil", "overview"]
)  # fmt: skip
def test_nobody_is_led_to_another_site(visitor, alice, target):
    answer = visitor.post("/login", {"email": alice.email, "password": PASSWORD, "next": target})
    assert answer.headers["Location"] == "/overview"


@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_a_wrong_log_in_always_reads_the_same(visitor, alice, email):
    answer = visitor.post("/login", {"email": email, "password": "wrong wrong wrong"})
    assert answer.status_code == 401
    page = Page(answer.text)
    assert len(page.find("//*[@role='alert']")) == 1
    assert page.one("//input[@id='email']").get("value") == email
    assert "wrong wrong" not in answer.text


def test_an_empty_form_says_what_is_missing(visitor):
    answer = visitor.post("/login", {})
    assert answer.status_code == 400
    assert set(Page(answer.text).errors()) == {"email", "password"}


def test_too_many_attempts_say_when_to_try_again(visitor, alice):
    for _ in range(30):
        answer = visitor.post("/login", {"email": alice.email, "password": "wrong wrong wrong"})
        if answer.status_code == 429:
            break
    assert answer.status_code == 429
    assert "again" in answer.text
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.asvs("7.2.4")
def test_the_session_before_does_not_survive_a_log_in(visitor, alice):
    before = visitor.token()
    visitor.log_in(alice)
    with visitor.client.session_transaction() as session:
        assert session.get("csrf_token") != before
        assert "_user_id" in session
        assert alice.id not in session.values()  # the cookie names nobody


@pytest.mark.asvs("7.4.1")
def test_logging_out_ends_the_session_everywhere(web, as_alice):
    copy = Browser(web)
    copy.client.set_cookie("zentry_session", as_alice.client.get_cookie("zentry_session").value, domain="localhost")
    assert copy.get("/overview").status_code == 200
    answer = as_alice.post("/logout")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert as_alice.get("/overview").status_code == 303
    assert copy.get("/overview").status_code == 303


def test_somebody_signed_in_need_not_log_in(as_alice):
    assert as_alice.get("/login?next=/credits").headers["Location"] == "/credits"


def test_twice_a_day_an_opened_page_brings_another_secret(web, as_alice, clock):
    def secret(browser=as_alice):
        with browser.client.session_transaction() as session:
            return session["_user_id"]

    first, copy = secret(), Browser(web)
    copy.client.set_cookie("zentry_session", as_alice.client.get_cookie("zentry_session").value, domain="localhost")
    clock.advance(hours=12)
    as_alice.get("/overview", htmx=True)
    as_alice.post("/projects/new", {})
    assert secret() == first, "only a page that is opened does"
    assert as_alice.get("/overview").status_code == 200
    assert secret() != first
    assert as_alice.get("/overview").status_code == 200
    clock.advance(minutes=3)
    assert copy.get("/overview").status_code == 303, "a copy of the old cookie is found out"
    assert as_alice.get("/overview").status_code == 303
