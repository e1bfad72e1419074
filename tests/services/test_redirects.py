"""Whom Zentry asks cannot send it on to somebody else."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.stripe_fixture import SECRET_KEY
from zentry_web.adapters.captcha.base import CaptchaAway
from zentry_web.adapters.captcha.siteverify import SiteverifyCaptcha
from zentry_web.adapters.oidc.authlib_provider import AuthlibProvider
from zentry_web.adapters.oidc.base import OidcError, OidcRequest
from zentry_web.adapters.payments.base import PaymentError
from zentry_web.adapters.payments.stripe import StripeProvider

pytestmark = [pytest.mark.integration, pytest.mark.error]


@pytest.fixture
def server():
    """A server that answers everything with a redirect to /elsewhere; its address and the paths it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self):
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST = answer

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}", asked
        made.shutdown()
        thread.join()


@pytest.mark.asvs("15.3.2", "16.5.2")
def test_stripe(server):
    api, asked = server
    provider = StripeProvider(secret_key=SECRET_KEY, publishable_key="pk_test_1", webhook_secret="whsec_1", api=api)
    with pytest.raises(PaymentError):
        provider.read_intent("pi_1")
    assert {path.partition("?")[0] for path in asked} == {"/v1/payment_intents/pi_1"}


@pytest.mark.asvs("15.3.2", "16.5.2")
def test_the_captcha(server):
    api, asked = server
    captcha = SiteverifyCaptcha(provider="hcaptcha", site_key="site", secret="secret", api=api)
    with pytest.raises(CaptchaAway):
        captcha.verify("answer", None)
    assert asked == ["/siteverify"]


@pytest.mark.asvs("15.3.2")
def test_the_openid_provider(server, clock):
    api, asked = server
    provider = AuthlibProvider(
        issuer=api, client_id="zentry", client_secret="", name="x", scopes="openid", redirect_uri="http://localhost/",
        clock=clock,
    )  # fmt: skip
    request = OidcRequest(state="s", nonce="n", verifier="v" * 43, fresh=False)
    with pytest.raises(OidcError):
        provider.authorization_url(request)
    assert asked == ["/.well-known/openid-configuration"]
