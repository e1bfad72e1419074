"""/signup, /signup/<token>, /forgot and /reset/<token> where a mail server is set."""

import re

import pytest

from tests.conftest import PASSWORD, make_config
from tests.page import Page
from zentry_web.composition import build_container

pytestmark = pytest.mark.integration
NEW = "another horse battery"


@pytest.fixture
def container(config, clock):
    """A Zentry that sends mail."""
    built = build_container(make_config(config.data, smtp_url="smtp://127.0.0.1:1"), clock=clock)
    yield built
    built.close()


@pytest.fixture
def link(container):
    """The address in the one mail that waits."""

    def find():
        verification = container.get_auth_service().verification
        mail = verification.claim_mail()
        verification.record_sent(mail)
        return re.search(r"/(?:signup|reset)/\S+", mail.body)[0]

    return find


@pytest.mark.parametrize("htmx", [False, True])
def test_signing_up_asks_for_no_password_and_says_to_check_the_mail(visitor, link, htmx):
    assert "Password" not in visitor.page("/signup").text()
    answer = visitor.post("/signup", {"email": "dora@example.com", "name": "Dora"}, htmx=htmx)
    assert answer.headers.get("HX-Redirect" if htmx else "Location") == "/check-mail"
    assert visitor.get("/overview").headers["Location"].startswith("/login"), "nobody is signed in yet"
    address = link()
    page = visitor.get(address)
    assert page.headers["Referrer-Policy"] == "origin"
    assert "dora@example.com" in page.text
    done = visitor.post(address, {"password": PASSWORD}, htmx=htmx)
    assert done.headers.get("HX-Redirect" if htmx else "Location") == "/overview"
    assert "Your account is ready" in visitor.page("/overview").html
    assert visitor.get(address).status_code == 404


def test_a_known_address_is_answered_in_the_same_way(visitor, alice):
    known = visitor.post("/signup", {"email": alice.email, "name": "X"})
    unknown = visitor.post("/signup", {"email": "new@example.com", "name": "X"})
    assert (known.status_code, known.headers["Location"]) == (unknown.status_code, unknown.headers["Location"])
    known, unknown = (visitor.post("/forgot", {"email": who}) for who in (alice.email, "no@example.com"))
    assert (known.status_code, known.headers["Location"]) == (unknown.status_code, unknown.headers["Location"])


def test_a_forgotten_password_is_set_anew(visitor, alice, link):
    assert "/forgot" in visitor.get("/login").text
    assert visitor.post("/forgot", {"email": alice.email}).headers["Location"] == "/check-mail"
    address = link()
    assert alice.email in visitor.get(address).text
    assert visitor.post(address, {"password": NEW}).headers["Location"] == "/login"
    assert visitor.post("/login", {"email": alice.email, "password": NEW}).headers["Location"] == "/overview"


@pytest.mark.error
def test_what_is_wrong_stands_beside_its_field(visitor, link):
    answer = visitor.post("/signup", {"email": "nonsense", "name": "Dora"})
    assert answer.status_code == 400
    assert set(Page(answer.text).errors()) == {"email"}
    answer = visitor.post("/forgot", {"email": "nonsense"})
    assert (answer.status_code, set(Page(answer.text).errors())) == (400, {"email"})
    visitor.post("/signup", {"email": "dora@example.com", "name": "Dora"})
    address = link()
    answer = visitor.post(address, {"password": "short"})
    assert (answer.status_code, set(Page(answer.text).errors())) == (400, {"password"})
    assert visitor.get("/reset/nonsense").status_code == visitor.get("/signup/nonsense").status_code == 404


@pytest.mark.error
def test_the_fourth_mail_within_an_hour_is_refused_with_a_time(visitor):
    for _ in range(3):
        visitor.post("/forgot", {"email": "dora@example.com"})
    answer = visitor.post("/forgot", {"email": "dora@example.com"})
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert "dora@example.com" in answer.text
