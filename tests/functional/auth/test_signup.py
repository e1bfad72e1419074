"""/signup."""

import pytest

from tests.conftest import PASSWORD
from tests.page import Page

pytestmark = pytest.mark.integration

GOOD = {"email": "dora@example.com", "name": "Dora", "password": PASSWORD}


@pytest.mark.parametrize("htmx", [False, True])
def test_signing_up_signs_in_and_gives_the_starting_credits(visitor, container, htmx):
    answer = visitor.post("/signup", GOOD, htmx=htmx)
    assert (answer.status_code, answer.headers.get("HX-Redirect" if htmx else "Location")) == (
        (204, "/overview") if htmx else (303, "/overview")
    )
    page = visitor.page("/overview")
    assert "Your account is ready" in page.html
    assert "5.0000" in page.text()


@pytest.mark.parametrize(
    ("field", "value"), [("email", "not an address"), ("email", ""), ("name", ""), ("password", "short")]
)
def test_a_wrong_field_is_said_beside_it_and_nothing_is_lost(visitor, field, value):
    answer = visitor.post("/signup", GOOD | {field: value})
    assert answer.status_code == 400
    page = visitor.page("/signup")  # nobody is signed in
    assert not page.errors()
    shown = Page(answer.text)
    assert set(shown.errors()) == {field}
    kept = {"email": GOOD["email"], "name": GOOD["name"]} | ({field: value} if field != "password" else {})
    for name, typed in kept.items():
        assert (shown.one(f"//input[@id='{name}']").get("value") or "") == typed
    assert PASSWORD not in answer.text


def test_an_address_that_is_taken_is_refused(visitor, alice):
    answer = visitor.post("/signup", GOOD | {"email": alice.email.upper()})
    assert answer.status_code == 400
    assert "email-error" in answer.text


def test_somebody_signed_in_goes_to_the_overview(as_alice):
    assert as_alice.get("/signup").headers["Location"] == "/overview"
