"""Zentry behind proxies on odd ports, under IPv6, and asked under names it does not know."""

import re
import shutil

import pytest
from pydantic import ValidationError

from tests.conftest import PASSWORD, make_config, sign_up
from zentry_web import create_app
from zentry_web.composition import build_container
from zentry_web.services.shared.rate_limits import network_of
from zentry_web.web.own_address import address_only

pytestmark = pytest.mark.integration

URL = "https://cloud.example.com:8443"


@pytest.fixture
def make(tmp_path, migrated_sqlite):
    """Makes another Zentry's client, by its settings."""
    built = []

    def made(**settings):
        folder = tmp_path / f"other{len(built)}"
        shutil.copytree(migrated_sqlite, folder)
        config = make_config(folder, **settings)
        built.append(build_container(config))
        sign_up(built[-1], "dora")
        app = create_app(config, built[-1])
        client = app.test_client()
        client.container = built[-1]
        return client

    yield made
    for container in built:
        container.close()


@pytest.fixture
def proxied(make):
    return make(base_url=URL, trusted_proxies=1)


def log_in(client, headers, **more):
    """The answer to the log-in form, sent as a browser at ``URL`` would send it through this proxy."""
    page = client.get("/login", headers=headers, base_url=URL, **more)
    assert page.status_code == 200, page.text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)[1]
    data = {"email": "dora@example.com", "password": PASSWORD, "csrf_token": token}
    return client.post("/login", data=data, headers=headers, base_url=URL, **more)


PROXIES = {
    "keeps the port": {"Host": "cloud.example.com:8443", "X-Forwarded-Proto": "https"},
    "drops the port": {"Host": "cloud.example.com", "X-Forwarded-Proto": "https"},
    "its own name": {"Host": "zentry-upstream:9000", "X-Forwarded-Proto": "https"},
    "loopback": {"Host": "127.0.0.1:8080", "X-Forwarded-Proto": "https"},
    "no scheme": {"Host": "cloud.example.com"},
    "forwarded host": {"Host": "127.0.0.1:8080", "X-Forwarded-Host": "cloud.example.com", "X-Forwarded-Proto": "https"},
    "forwarded host and port": {"Host": "x", "X-Forwarded-Host": "cloud.example.com:8443"},
}
BROWSERS = {
    "Origin and Referer": {"Origin": URL, "Referer": f"{URL}/login"},
    "Origin only": {"Origin": URL},
    "no Referer, hidden origin": {"Origin": "null", "Sec-Fetch-Site": "same-origin"},
    "says nothing": {},
}


@pytest.mark.asvs("3.5.1")
@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("browser", BROWSERS)
def test_forms_work_whatever_the_proxy_makes_of_the_host(proxied, proxy, browser):
    headers = PROXIES[proxy] | BROWSERS[browser] | {"X-Forwarded-For": "203.0.113.9"}
    answer = log_in(proxied, headers)
    assert answer.status_code == 303, answer.text
    assert "cloud.example.com" not in answer.headers["Location"] or URL in answer.headers["Location"]


@pytest.mark.asvs("3.5.1")
@pytest.mark.parametrize(
    ("browser", "named"),
    [
        ({"Origin": "https://evil.example"}, "https://evil.example"),
        ({"Origin": "https://cloud.example.com"}, "https://cloud.example.com"),  # another port is another site
        ({"Origin": "null"}, "a page without an address"),
        ({"Origin": "null", "Sec-Fetch-Site": "cross-site"}, "another site"),
        ({"Sec-Fetch-Site": "same-site"}, "another site"),
        ({"Referer": "https://evil.example/x"}, "https://evil.example"),
    ],
)
def test_a_form_from_elsewhere_is_refused_and_told_why(proxied, browser, named):
    answer = log_in(proxied, {"Host": "cloud.example.com:8443", "X-Forwarded-Proto": "https"} | browser)
    assert answer.status_code == 400
    assert named in answer.text
    assert URL in answer.text
    assert "open for too long" not in answer.text


def test_the_other_refusals_of_forms_name_their_reason_too(visitor):
    assert "came without the token" in visitor.client.get("/login").text + visitor.client.post("/login").text
    bare = visitor.client.application.test_client()
    assert "No cookie came" in bare.post("/login", data={"csrf_token": "x"}).text
    visitor.client.get("/login")
    assert "open for too long" in visitor.client.post("/login", data={"csrf_token": "x"}).text


def test_a_foreign_host_is_refused_where_it_is_known_to_be_one(proxied, visitor):
    named = {"Host": "x", "X-Forwarded-Host": "evil.example"}
    assert proxied.get("/login", headers=named).status_code == 400
    for host in ("evil.example", "evil.example:8080", "[::2]", "[bad", "a b", ""):
        answer = visitor.client.get("/login", headers={"Host": host})
        assert answer.status_code == 400, host
        assert "not served here" in answer.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("host", ["10.0.0.5:8080", "zentry.internal", "[fd00::5]:8080"])
def test_health_answers_whatever_the_host(visitor, proxied, path, host):
    assert visitor.client.get(path, headers={"Host": host}).status_code in (200, 503)
    assert proxied.get(path, headers={"Host": host}).status_code in (200, 503)


def test_addresses_with_ports_and_brackets_are_those_of_their_networks(proxied):
    given = ["203.0.113.9:5000", "[2001:db8::1]:5000", "2001:db8::1", "[2001:db8::1]", "203.0.113.9"]
    for text in given:
        proxied.post("/api/v1/auth/token", json={"email": "dora@example.com", "password": "x"},
                     headers={"Host": "cloud.example.com:8443", "X-Forwarded-For": text})  # fmt: skip
    events = proxied.container.get_user_service().search_audit(action="auth.login")
    assert {event.personal["address"] for event in events} == {"203.0.113.9", "2001:db8::1"}
    assert [address_only(text) for text in given[:3]] == ["203.0.113.9", "2001:db8::1", "2001:db8::1"]
    assert address_only("::1") == "::1"
    assert address_only("fe80::1:2") == "fe80::1:2"


def test_addresses_that_cannot_be_read_are_told_once_and_not_one_network(proxied, capfd):
    for _ in range(3):
        proxied.get("/login", headers={"Host": "cloud.example.com", "X-Forwarded-For": "_hidden"})
    assert capfd.readouterr().out.count("forwarded_address_unreadable") == 1
    assert network_of("_hidden") != network_of("_other")
    assert network_of(None) == "unknown"


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://cloud.example.com:443", "https://cloud.example.com"),
        ("http://localhost:80/", "http://localhost"),
        ("HTTPS://Cloud.Example.com:8443/", "https://cloud.example.com:8443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://[::1]:9000", "http://[::1]:9000"),
    ],
)
def test_the_base_url_is_written_as_browsers_write_it(tmp_path, given, shown):
    assert make_config(tmp_path, base_url=given).url == shown


@pytest.mark.parametrize(
    "given",
    ["https://example.com/zentry", "https://me@example.com", "https://example.com?x", "example.com", "https://a:port",
     "https://a:99999", "ftp://example.com"],
)  # fmt: skip
def test_a_base_url_that_cannot_work_is_refused_at_start(tmp_path, given):
    with pytest.raises(ValidationError, match="ZENTRY_BASE_URL"):
        make_config(tmp_path, base_url=given)


def test_it_is_served_under_an_ipv6_address(make):
    client = make(base_url="http://[::1]:9000", bind="[::]")
    for host in ("[::1]:9000", "localhost:9000", "127.0.0.1:9000"):
        answer = client.get("/login", headers={"Host": host})
        assert answer.status_code == 200, host
