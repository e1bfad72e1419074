"""Passkeys: made on /account/passkeys, brought at /login, /login/factor and /account/confirm."""

import pytest

from tests.conftest import PASSWORD, make_config
from tests.functional.conftest import Browser
from tests.page import Page
from tests.services.soft_key import SoftKey
from zentry_web.composition import build_container
from zentry_web.web.services import EXTENSION

pytestmark = pytest.mark.integration


def asked(browser, url):
    """What the script fetches before it turns to the device."""
    answer = browser.post(url)
    assert (answer.status_code, answer.mimetype) == (200, "application/json"), answer.text
    return answer.text


def add(browser, name="Laptop"):
    """A new key of this browser's person, as the script would register it."""
    key = SoftKey()
    made = key.create(asked(browser, "/account/passkeys.json"))
    answer = browser.post("/account/passkeys", {"name": name, "credential": made})
    assert answer.status_code in (200, 303), answer.text
    return key


def test_a_passkey_is_made_and_listed(as_alice):
    page = as_alice.page("/account/passkeys")
    form = page.one("//form[@data-passkey='create']")
    assert (form.get("data-options"), form.get("hidden")) == ("/account/passkeys.json", "")
    add(as_alice, "Ana's <b>phone</b>")
    page = as_alice.page("/account/security")
    assert "Ana's <b>phone</b>" in page.text()
    (remove,) = page.find("//a[contains(@href, '/remove')]")
    assert as_alice.post(remove.get("href")).headers["Location"] == "/account/security"


@pytest.mark.parametrize("answer", ["", "{}", "nonsense"])
def test_what_is_no_passkey_is_refused_and_the_name_kept(as_alice, answer):
    refused = as_alice.post("/account/passkeys", {"name": "Laptop", "credential": answer})
    assert refused.status_code == 400
    page = Page(refused.text)
    assert page.one("//input[@name='name']").get("value") == "Laptop"
    assert "could not be verified" in page.text()


def test_a_passkey_logs_in_without_a_password_and_leads_back(as_alice, visitor):
    key = add(as_alice)
    page = visitor.page("/login?next=/credits")
    form = page.one("//form[@data-passkey='get']")
    answer = visitor.post(
        form.get("action"), {"credential": key.get(asked(visitor, form.get("data-options"))), "next": "/credits"}
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, "/credits")
    assert "Alice" in visitor.page("/overview").text()


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example"])
def test_a_passkey_leads_to_no_other_site(as_alice, visitor, target):
    key = add(as_alice)
    answer = visitor.post(
        "/login/passkey", {"credential": key.get(asked(visitor, "/login/passkey.json")), "next": target}
    )
    assert answer.headers["Location"] == "/overview"


def test_an_unknown_passkey_is_answered_by_the_log_in(web, visitor, as_alice):
    refused = visitor.post("/login/passkey", {"credential": SoftKey().get(asked(visitor, "/login/passkey.json"))})
    assert refused.status_code == 401
    assert "does not open an account" in Page(refused.text).text()
    assert visitor.post("/login/passkey", {}).status_code == 400
    key, other = add(as_alice), Browser(web)
    stolen = key.get(asked(visitor, "/login/passkey.json"))
    assert other.post("/login/passkey", {"credential": stolen}).status_code == 401, "asked in another browser"


def test_a_passkey_is_the_second_step(as_alice, visitor, alice):
    key = add(as_alice)
    assert visitor.post("/login/factor.json").status_code == 401
    answer = visitor.post("/login", {"email": alice.email, "password": PASSWORD})
    assert answer.headers["Location"] == "/login/factor"
    form = visitor.page("/login/factor").one("//form[@data-passkey='get']")
    refused = visitor.post(form.get("action"), {"credential": "{}"})
    assert (refused.status_code, "was not accepted" in Page(refused.text).text()) == (400, True)
    done = visitor.post(form.get("action"), {"credential": key.get(asked(visitor, form.get("data-options")))})
    assert done.headers["Location"] == "/overview"


def test_a_passkey_confirms_who_it_is(as_alice, clock):
    key = add(as_alice)
    clock.advance(minutes=6)
    assert as_alice.post("/account/passkeys.json").status_code == 403
    answer = as_alice.get("/account/passkeys")
    form = as_alice.page(answer.headers["Location"]).one("//form[@data-passkey='get']")
    credential = key.get(asked(as_alice, form.get("data-options")))
    done = as_alice.post(form.get("action"), {"credential": credential, "next": "/account/passkeys"})
    assert done.headers["Location"] == "/account/passkeys"
    assert as_alice.get("/account/passkeys").status_code == 200


def test_at_an_address_without_a_name_nobody_is_offered_a_passkey(web, config, clock):
    built = build_container(make_config(config.data, base_url="http://127.0.0.1:8080"), clock=clock)
    web.extensions[EXTENSION] = built
    user = built.get_auth_service().signup({"email": "dora@example.com", "name": "Dora", "password": PASSWORD})
    assert "passkey" not in Browser(web).get("/login").text
    dora = Browser(web).log_in(user)
    assert "/account/passkeys" not in dora.get("/account/security").text
    assert dora.get("/account/passkeys").status_code == 404
    built.close()
