"""/login/factor: the second step of a log-in."""

import pytest

from tests.conftest import PASSWORD
from tests.functional.conftest import Browser
from tests.page import Page
from tests.services.second_factors import set_up_app

pytestmark = pytest.mark.integration


@pytest.fixture
def shown(container, alice, clock):
    """Alice's app and her recovery codes."""
    return set_up_app(container.get_auth_service(), alice, clock)


def give_password(browser, user, **more):
    return browser.post("/login", {"email": user.email, "password": PASSWORD, **more})


@pytest.mark.parametrize("htmx", [False, True])
def test_the_code_leads_where_the_person_wanted_to_go(visitor, alice, shown, htmx):
    answer = give_password(visitor, alice, next="/credits")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login/factor")
    assert visitor.get("/overview").headers["Location"].startswith("/login"), "nobody is signed in yet"
    page = visitor.page("/login/factor")
    assert page.one("//input[@id='code']").get("autocomplete") == "one-time-code"
    done = visitor.post("/login/factor", {"code": shown[0].next_code()}, htmx=htmx)
    assert done.headers.get("HX-Redirect" if htmx else "Location") == "/credits"
    assert "Alice" in visitor.page("/overview").text()
    assert visitor.get("/login/factor").headers["Location"] == "/login"


def test_a_recovery_code_does_as_well(visitor, alice, shown):
    give_password(visitor, alice)
    assert visitor.post("/login/factor", {"code": shown[1][0]}).headers["Location"] == "/overview"
    assert "A recovery code was used" in visitor.page("/account/notices").text()


def test_a_wrong_code_is_told_beside_the_field_that_it_was_typed_into(visitor, alice, shown):
    give_password(visitor, alice)
    answer = visitor.post("/login/factor", {"code": "000000"})
    assert answer.status_code == 400
    assert set(Page(answer.text).errors()) == {"code"}
    answer = visitor.post("/login/factor", {"code": "AAAA-BBBB-CCCC-DDDD"})
    assert set(Page(answer.text).errors()) == {"recovery-code"}
    assert set(Page(visitor.post("/login/factor", {}).text).errors()) == {"code"}


def test_after_five_wrong_codes_the_password_is_asked_for_again(visitor, alice, shown):
    give_password(visitor, alice, next="/credits")
    for _ in range(4):
        assert visitor.post("/login/factor", {"code": "000000"}).status_code == 400
    answer = visitor.post("/login/factor", {"code": "000000"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/login?next=/credits")
    assert "Please log in again" in visitor.get("/login").text


def test_after_five_minutes_too(visitor, alice, shown, clock):
    give_password(visitor, alice)
    clock.advance(minutes=6)
    answer = visitor.post("/login/factor", {"code": shown[0].code()})
    assert answer.headers["Location"].startswith("/login")
    assert visitor.get("/overview").status_code == 303


def test_a_wrong_password_never_gets_there(visitor, alice, shown):
    assert visitor.post("/login", {"email": alice.email, "password": "wrong wrong wrong"}).status_code == 401
    assert visitor.get("/login/factor").headers["Location"] == "/login"


def test_another_browser_cannot_finish_it(web, visitor, alice, shown):
    give_password(visitor, alice)
    other = Browser(web)
    assert other.post("/login/factor", {"code": shown[0].next_code()}).headers["Location"].startswith("/login")


def test_whoever_was_signed_in_stays_so_until_the_factor_came(as_charlie, alice, shown):
    give_password(as_charlie, alice)
    assert "Charlie" in as_charlie.page("/overview").text()
    as_charlie.post("/login/factor", {"code": shown[0].next_code()})
    assert "Alice" in as_charlie.page("/overview").text()


@pytest.mark.asvs("6.4.3")
def test_a_password_link_asks_for_the_factor_as_well(as_admin, visitor, alice, shown):
    page = as_admin.post(f"/admin/users/{alice.id}/password-link")
    link = page.text.partition('data-copy="')[2].partition('"')[0]
    path = "/" + link.split("/", 3)[3]
    answer = visitor.post(path, {"email": alice.email, "name": alice.name, "password": "another horse battery"})
    assert answer.headers["Location"] == "/login/factor"
    assert visitor.get("/overview").status_code == 303
    assert visitor.post("/login/factor", {"code": shown[0].next_code()}).headers["Location"] == "/overview"


@pytest.mark.asvs("6.5.8")
def test_a_code_of_another_time_is_wrong_whatever_time_the_browser_claims(visitor, alice, shown, clock):
    code = shown[0].next_code()
    clock.advance(3600)
    give_password(visitor, alice)
    then = "Mon, 23 Nov 2026 10:00:30 GMT"
    claims = {"time": "1795428030", "timestamp": "1795428030", "date": then}
    answer = visitor.post("/login/factor?time=1795428030", {"code": code, **claims}, headers={"Date": then})
    assert answer.status_code == 400
    assert set(Page(answer.text).errors()) == {"code"}
