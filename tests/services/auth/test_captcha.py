"""The question for programs, against a siteverify server on loopback."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
import structlog

from tests.conftest import PASSWORD, make_config
from tests.services.people import HOME, visitor
from zentry_web.adapters.captcha.base import CaptchaAway, NullCaptcha
from zentry_web.adapters.captcha.siteverify import WIDGETS, SiteverifyCaptcha
from zentry_web.composition import build_container
from zentry_web.config import Config
from zentry_web.domain.user import SYSTEM
from zentry_web.services.errors import AuthenticationRequiredError, ProviderUnavailableError, ValidationError

pytestmark = pytest.mark.integration
SECRET = "a-captcha-secret-of-the-test"


class Siteverify:
    """Takes the answer 'person' once each time it is handed out, and notes what it was asked."""

    def __init__(self):
        self.url, self.asked, self.reply = "", [], None

    def answer(self, asked):
        self.asked.append(asked)
        if self.reply is not None:
            return self.reply
        if asked.get("secret") != SECRET:
            return 200, {"success": False, "error-codes": ["invalid-input-secret"]}
        return 200, {"success": asked.get("response") == "person", "error-codes": []}


@contextmanager
def siteverify():
    service = Siteverify()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            fields = {name: values[0] for name, values in parse_qs(body).items()}
            status, told = service.answer(fields) if self.path == "/siteverify" else (404, {})
            content = told.encode() if isinstance(told, str) else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture
def service():
    with siteverify() as running:
        yield running


def settings_for(service, provider="hcaptcha"):
    return {
        "captcha_provider": provider,
        "captcha_site_key": "site-key",
        "captcha_secret": SECRET,
        "captcha_api": service.url,
    }


@pytest.fixture
def container(config, clock, service):
    settings = settings_for(service) | {"database_url": config.database_url}
    built = build_container(make_config(config.data, **settings), clock=clock)
    yield built
    built.close()


@pytest.fixture
def auth(container):
    return container.get_auth_service()


# -- the provider ---------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", sorted(WIDGETS))
def test_each_provider_is_asked_in_the_same_way(service, provider):
    captcha = SiteverifyCaptcha(provider=provider, site_key="site-key", secret=SECRET, api=service.url)
    assert captcha.widget.site_key == "site-key"
    assert captcha.widget.hosts == (service.url,)
    assert captcha.verify("person", HOME)
    assert not captcha.verify("program", None)
    assert not captcha.verify("", HOME)
    assert not captcha.verify("x" * 9000, HOME)
    assert service.asked == [
        {"secret": SECRET, "response": "person", "remoteip": HOME},
        {"secret": SECRET, "response": "program"},
        {"secret": SECRET, "response": "none", "remoteip": HOME},
    ]


@pytest.mark.error
@pytest.mark.parametrize(
    "reply",
    [(500, {}), (200, "no json"), (200, []), (200, {"success": "yes"}), (302, {}),
     (200, {"success": False, "error-codes": ["invalid-input-secret"]})],
)  # fmt: skip
def test_what_cannot_be_read_is_no_verdict(service, reply):
    service.reply = reply
    captcha = SiteverifyCaptcha(provider="turnstile", site_key="k", secret=SECRET, api=service.url)
    with pytest.raises(CaptchaAway) as caught:
        captcha.verify("person", HOME)
    assert SECRET not in str(caught.value)


def test_nothing_is_asked_where_no_provider_is_set():
    assert NullCaptcha().widget is None
    assert NullCaptcha().verify("", None)


@pytest.mark.asvs("13.2.3")
@pytest.mark.error
@pytest.mark.parametrize("missing", ["captcha_site_key", "captcha_secret"])
def test_a_provider_without_its_keys_is_refused_at_the_start(missing):
    settings = {"captcha_provider": "turnstile", "captcha_site_key": "k", "captcha_secret": "s", missing: ""}
    with pytest.raises(ValueError, match="ZENTRY_CAPTCHA"):
        Config(**settings)


# -- where it is asked ----------------------------------------------------------------------------


@pytest.mark.asvs("2.4.1")
def test_at_sign_up_and_only_of_who_comes_over_the_network(auth, service):
    gate = auth.captcha
    gate.check_signup("person", visitor())
    with pytest.raises(ValidationError) as caught:
        gate.check_signup("program", visitor())
    assert set(caught.value.details) == {"captcha"}
    asked = len(service.asked)
    gate.check_signup("", SYSTEM)
    assert len(service.asked) == asked


def fail(auth, email, times=3):
    for _ in range(times):
        with pytest.raises(AuthenticationRequiredError):
            auth.login({"email": email, "password": "wrong"}, actor=visitor())


@pytest.mark.parametrize("email", ["alice@example.com", "nobody@example.com"])
def test_at_log_in_after_three_that_were_wrong_known_or_not(auth, service, alice, email):
    assert not auth.captcha.is_asked(email, visitor())
    fail(auth, email)
    assert service.asked == []
    assert auth.captcha.is_asked(email, visitor())
    assert not auth.captcha.is_asked(email, visitor("198.51.100.7")), "its owner elsewhere is not bothered"
    with pytest.raises(ValidationError) as caught:
        auth.login({"email": email, "password": PASSWORD}, actor=visitor())
    assert set(caught.value.details) == {"captcha"}


def test_a_right_answer_and_password_are_in_and_forgotten(auth, service, alice):
    fail(auth, alice.email)
    credentials = {"email": alice.email, "password": PASSWORD, "captcha": "person"}
    assert auth.login(credentials, actor=visitor()).user == alice
    assert not auth.captcha.is_asked(alice.email, visitor())
    assert auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).user == alice


@pytest.mark.asvs("16.5.2")
@pytest.mark.error
def test_a_provider_that_is_away_lets_owners_in_and_nobody_sign_up(auth, service, alice):
    fail(auth, alice.email)
    service.reply = (503, {})
    with structlog.testing.capture_logs() as logs:
        assert auth.login({"email": alice.email, "password": PASSWORD}, actor=visitor()).user == alice
        with pytest.raises(ProviderUnavailableError, match="nobody can sign up right now"):
            auth.captcha.check_signup("person", visitor())
    assert [each["at"] for each in logs if each["event"] == "captcha_away"] == ["login", "signup"]
    assert SECRET not in str(logs)
