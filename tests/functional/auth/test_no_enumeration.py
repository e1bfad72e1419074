"""Nobody learns here whether an address has an account: the same status, words, statements and work for both."""

import re

import pytest

from tests.conftest import PASSWORD, make_config
from tests.functional.conftest import Browser
from tests.services.people import Statements, acting
from tests.services.second_factors import set_up_app
from zentry_web.composition import build_container

pytestmark = [pytest.mark.integration, pytest.mark.asvs("6.3.8")]

UNKNOWN = "nobody@example.com"
# What differs between any two answers: tokens of forms, ids and secrets made just now.
CHANGING = re.compile(
    r'name="(?:csrf_token|stamp|idempotency_key)"[^>]*value="[^"]*"|csrf-token" content="[^"]*"'
    r"|(?:inv|evt|req)_[a-z0-9]+|/invitations/[\w-]{20,}|[0-9a-f]{32}"
    r"|/events\?after=\d+"  # goes up with every request
)


@pytest.fixture(params=["with mail", "without mail"])
def mails(request):
    return request.param == "with mail"


@pytest.fixture
def container(config, clock, mails):
    settings = {"smtp_url": "smtp://127.0.0.1:1"} if mails else {}
    built = build_container(make_config(config.data, **settings), clock=clock)
    yield built
    built.close()


@pytest.fixture
def hashes(monkeypatch):
    """Which work of argon2 was done: what for, and with which parameters."""
    done = []
    for name in ("verify", "hash"):
        real = getattr(__import__("argon2").PasswordHasher, name)

        def counting(self, *arguments, _real=real, _name=name):
            stored = arguments[0] if _name == "verify" else ""
            done.append((_name, stored.split("$")[3] if stored else "", self.time_cost, self.memory_cost))
            return _real(self, *arguments)

        monkeypatch.setattr("argon2.PasswordHasher." + name, counting)
    return done


@pytest.fixture
def observe(container, hashes):
    """What somebody outside, or with a stopwatch, sees of an answer and of the page it leads to."""

    def look(browser, url, fields):
        hashes.clear()
        with Statements(container.database, container.metrics_database) as statements:
            answer = browser.post(url, fields)
        work = list(hashes)
        place = answer.headers.get("Location") or ""
        page = browser.get(place).text if place else ""
        told = [_plain(text, fields.get("email", "")) for text in (answer.text, page)]
        cookies = sorted(each.partition("=")[0] for each in answer.headers.getlist("Set-Cookie"))
        shapes = [re.sub(r"\s+", " ", text) for text in statements.texts]
        return {
            "status": answer.status_code,
            "place": _plain(place, ""),
            "told": told,
            "headers": sorted(answer.headers.keys()),
            "cookies": cookies,
            "statements": shapes,
            "hashes": work,
        }

    return look


def _plain(text, typed):
    return CHANGING.sub("…", text.replace(typed, "TYPED") if typed else text)


def _lines(value):
    """Long texts as lines: what differs is then shown alone."""
    return [line for part in value for line in str(part).splitlines()] if isinstance(value, list) else value


def alike(observe, browsers, url, fields_of, known):
    """The answers for the known addresses are those for unknown ones; returns the answer."""
    observe(next(browsers), url, fields_of("warm-up@example.com"))  # templates and first rows of counters
    expected = observe(next(browsers), url, fields_of(UNKNOWN))
    for address in known:
        found = observe(next(browsers), url, fields_of(address))
        for what, value in expected.items():
            assert _lines(found[what]) == _lines(value), f"{what} tells that {address} has an account"
    return expected


@pytest.fixture
def strangers(web):
    """A fresh browser each time."""

    def come():
        while True:
            yield Browser(web)

    return come()


@pytest.fixture
def accounts(container, clock, alice, bob, charlie, admin):
    """Addresses of every kind of account: plain, disabled, with a second factor, without a password yet."""
    container.get_user_service().set_disabled(bob.id, True, actor=acting(admin))
    set_up_app(container.get_auth_service(), charlie, clock)
    container.get_auth_service().create_admin("waiting@example.com", "Waiting")
    return [alice.email, bob.email, charlie.email, "waiting@example.com"]


def test_logging_in(observe, strangers, accounts):
    told = alike(observe, strangers, "/login", lambda who: {"email": who, "password": "not this one"}, accounts)
    assert told["status"] == 401
    assert [kind for kind, *_ in told["hashes"]] == ["verify"]


def test_a_disabled_account_with_its_right_password(observe, strangers, accounts, bob):
    alike(observe, strangers, "/login", lambda who: {"email": who, "password": PASSWORD}, [bob.email])


def test_logging_in_too_often(observe, strangers, accounts, web):
    def wear_out(who):
        browser = Browser(web)
        for _ in range(10):
            browser.post("/login", {"email": who, "password": "not this one"})

    for who in (UNKNOWN, "warm-up@example.com", *accounts):
        wear_out(who)
    told = alike(observe, strangers, "/login", lambda who: {"email": who, "password": "not this one"}, accounts)
    assert told["status"] == 429
    assert told["hashes"] == []


def test_the_api(observe, container, web, hashes, accounts):
    seen = []
    for who in ("warm-up@example.com", UNKNOWN, *accounts):
        hashes.clear()
        with Statements(container.database) as statements:
            answer = web.test_client().post("/api/v1/auth/token", json={"email": who, "password": "not this one"})
        body = {name: value for name, value in answer.json.items() if name not in ("instance", "request_id")}
        seen.append((answer.status_code, body, statements.count, list(hashes)))
    assert seen[0][0] == 401
    assert all(each == seen[1] for each in seen[1:])


def test_a_forgotten_password(observe, strangers, accounts, mails):
    told = alike(observe, strangers, "/forgot", lambda who: {"email": who}, accounts)
    assert told["status"] == (303 if mails else 404)
    assert told["hashes"] == []


def test_signing_up(observe, strangers, accounts, mails):
    """Without a mail server an address that is taken is refused on its field: nothing else could be done with it."""

    def fields(who):
        return {"email": who, "name": "Dora"} | ({} if mails else {"password": PASSWORD})

    if mails:
        told = alike(observe, strangers, "/signup", fields, accounts)
        assert (told["status"], told["place"], told["hashes"]) == (303, "/check-mail", [])
        return
    for who in accounts:
        told = observe(next(strangers), "/signup", fields(who))
        assert told["status"] == 400
        assert "There is an account with this e-mail address already." in told["told"][0]


def test_changing_ones_address_to_a_taken_one(observe, web, alice, accounts, mails):
    def signed_in():
        while True:
            yield browser

    browser = Browser(web).log_in(alice)
    # All but her own, which is refused as such.
    told = alike(observe, signed_in(), "/account/email", lambda who: {"email": who}, accounts[1:])
    assert told["status"] == (303 if mails else 404)


def test_inviting(observe, web, container, alice, accounts):
    def signed_in():
        while True:
            for each in container.get_project_service().invitations.list_open(project.id, actor=acting(alice)):
                container.get_project_service().invitations.revoke(project.id, each.id, actor=acting(alice))
            yield browser

    project = container.get_project_service().create_project({"name": "Website"}, alice, actor=acting(alice))
    browser = Browser(web).log_in(alice)
    url = f"/projects/{project.id}/members/invite"
    told = alike(observe, signed_in(), url, lambda who: {"email": who, "role": "viewer"}, accounts[1:])
    assert told["status"] in (200, 303)
