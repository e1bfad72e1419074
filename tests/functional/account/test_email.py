"""/account/email and the links /email/<token>."""

import re

import pytest

from tests.conftest import PASSWORD, make_config
from tests.functional.conftest import Browser
from tests.page import Page
from zentry_web.composition import build_container

pytestmark = pytest.mark.integration
NEW = "alice.new@example.org"


@pytest.fixture
def container(config, clock):
    """A Zentry that sends mail."""
    built = build_container(make_config(config.data, smtp_url="smtp://127.0.0.1:1"), clock=clock)
    yield built
    built.close()


@pytest.fixture
def links(container):
    """The addresses of the links in the mails that wait, by whom they go to."""

    def take():
        found, changes = {}, container.get_auth_service().email_change
        while (mail := changes.claim_mail()) is not None:
            changes.record_sent(mail)
            found[mail.to_address] = re.search(r"/email/\S+", mail.body)[0]
        return found

    return take


@pytest.mark.parametrize("htmx", [False, True])
def test_asked_for_confirmed_by_both_and_logged_in_with(as_alice, web, alice, links, htmx):
    assert as_alice.page("/account").find("//a[@href='/account/email']")
    answer = as_alice.post("/account/email", {"email": NEW}, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == "/account/email"
    page = as_alice.page("/account/email")
    assert NEW in page.text()
    assert "not yet" in page.text()
    found, elsewhere = links(), Browser(web)
    page = elsewhere.page(found[NEW])
    assert alice.email not in page.text(), "the new mailbox may be a stranger's"
    assert elsewhere.get(found[NEW]).headers["Referrer-Policy"] == "origin"
    assert "agreed" not in as_alice.page("/account/email").text(), "looking is not agreeing"
    assert elsewhere.post(found[NEW]).headers["Location"] == "/login"
    assert "agreed" in as_alice.page("/account/email").text()
    assert as_alice.post(found[alice.email]).headers["Location"] == "/account"
    assert NEW in as_alice.page("/account").html
    assert elsewhere.get(found[NEW]).status_code == 404
    answer = elsewhere.post("/login", {"email": NEW, "password": PASSWORD})
    assert answer.headers["Location"] == "/overview"


def test_called_off_by_a_link_and_by_its_owner(as_alice, visitor, alice, links):
    as_alice.post("/account/email", {"email": NEW})
    found = links()
    assert visitor.post(f"{found[NEW]}/cancel").headers["Location"] == "/login"
    assert visitor.post(found[alice.email]).status_code == 404
    as_alice.post("/account/email", {"email": NEW})
    found = links()
    assert as_alice.post("/account/email/cancel").headers["Location"] == "/account/email"
    assert visitor.get(found[NEW]).status_code == 404
    assert NEW not in as_alice.page("/account/email").text()


@pytest.mark.error
@pytest.mark.parametrize("email", ["", "nonsense", "alice@example.com", "x" * 300 + "@example.com"])
def test_a_bad_address_is_told_on_its_field_and_kept(as_alice, email):
    answer = as_alice.post("/account/email", {"email": email})
    assert answer.status_code == 400
    page = Page(answer.text)
    assert set(page.errors()) == {"email"}
    assert page.one("//input[@id='email']").get("value", "") == email


@pytest.mark.error
def test_it_needs_a_recent_proof(as_alice, clock, links):
    clock.advance(minutes=10)
    answer = as_alice.post("/account/email", {"email": NEW})
    assert answer.headers["Location"].startswith("/account/confirm")
    assert links() == {}


@pytest.mark.error
def test_made_up_links_lead_nowhere(visitor):
    assert visitor.get("/email/made-up").status_code == 404
    for path in ("/email/made-up", "/email/made-up/cancel"):
        assert visitor.post(path).status_code == 404


@pytest.mark.error
def test_a_taken_address_is_answered_like_any_other(as_alice, bob):
    answers = [as_alice.post("/account/email", {"email": email}) for email in (NEW, bob.email)]
    assert [(answer.status_code, answer.headers["Location"]) for answer in answers] == [(303, "/account/email")] * 2
    texts = [as_alice.page("/account/email").text() for _ in range(1)]
    assert bob.email in texts[0]
