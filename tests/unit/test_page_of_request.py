"""Where somebody is led back to after a question in between: to a page of this site, whatever a request says."""

import pytest
from flask import Flask

from zentry_web.web.session.proof import page_of_request

pytestmark = [pytest.mark.unit, pytest.mark.asvs("3.7.2")]


@pytest.fixture
def site():
    app = Flask(__name__)
    for rule, name in (("/account/security", "account.security"), ("/vms", "vms.index"), ("/logout", "auth.logout")):
        app.add_url_rule(rule, name, lambda: "", methods=["GET", "POST"])
    return app


@pytest.mark.parametrize(
    ("page", "back"),
    [
        ("http://localhost/vms?q=web", "/vms?q=web"),
        ("http://localhost//evil.example/x", "/account/security"),
        ("http://localhost/\\evil.example", "/account/security"),
        ("http://localhost/logout", "/account/security"),
        ("http://localhost/events", "/account/security"),
        ("http://evil.example/vms", "/account/security"),
        ("", "/account/security"),
    ],
)
@pytest.mark.parametrize("header", ["Referer", "HX-Current-URL"])
def test_it_is_a_page_of_this_site(site, page, back, header):
    with site.test_request_context("/vms", method="POST", headers={header: page}):
        assert page_of_request() == back


def test_a_page_itself_is_led_back_to_if_it_is_one(site):
    with site.test_request_context("/vms?q=web"):
        assert page_of_request() == "/vms?q=web"
    with site.test_request_context("/logout"):
        assert page_of_request() == "/account/security"
