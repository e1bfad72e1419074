"""The sign-up form's trap and its stopwatch."""

import pytest

from tests.conftest import PASSWORD
from tests.page import Page

pytestmark = pytest.mark.integration
GOOD = {"email": "dora@example.com", "name": "Dora", "password": PASSWORD}


@pytest.fixture
def web(web):
    """With the stopwatch on."""
    web.config["ZENTRY_SIGNUP_SECONDS"] = 2
    yield web
    web.config["ZENTRY_SIGNUP_SECONDS"] = 0


def stamp(html):
    return Page(html).one("//input[@name='stamp']").get("value")


def test_who_takes_two_seconds_is_let_in(visitor, clock):
    stamped = stamp(visitor.get("/signup").text)
    clock.advance(seconds=2)
    assert visitor.post("/signup", GOOD | {"stamp": stamped}).headers["Location"] == "/overview"


@pytest.mark.error
def test_who_is_too_quick_presses_again_and_loses_nothing(visitor, clock):
    stamped = stamp(visitor.get("/signup").text)
    answer = visitor.post("/signup", GOOD | {"stamp": stamped})
    assert answer.status_code == 409
    assert "press the button once more" in answer.text
    assert GOOD["email"] in answer.text
    clock.advance(seconds=3)
    again = visitor.post("/signup", GOOD | {"stamp": stamp(answer.text)})
    assert again.headers["Location"] == "/overview"


@pytest.mark.error
@pytest.mark.parametrize("stamped", ["", "made-up", "IjEi.forged"])
def test_a_stamp_that_is_not_ours_is_no_stamp(visitor, stamped, container):
    answer = visitor.post("/signup", GOOD | {"stamp": stamped})
    assert answer.status_code == 409
    assert container.get_user_service().list_users() == []


@pytest.mark.asvs("2.4.1")
@pytest.mark.error
def test_a_filled_trap_makes_no_account(visitor, clock, container):
    stamped = stamp(visitor.get("/signup").text)
    clock.advance(seconds=9)
    answer = visitor.post("/signup", GOOD | {"stamp": stamped, "website": "https://spam.example"})
    assert answer.status_code == 409
    assert container.get_user_service().list_users() == []
