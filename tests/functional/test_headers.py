"""Security headers, cookies, hosts, proxies."""

import shutil

import pytest
from flask import request
from pydantic import ValidationError

from tests.conftest import PASSWORD, make_config, sign_up
from zentry_web import create_app
from zentry_web.composition import build_container

pytestmark = pytest.mark.integration


@pytest.mark.asvs("3.2.1", "3.4.3", "3.4.4", "3.4.5", "3.4.6")
@pytest.mark.parametrize("url", ["/", "/login", "/nowhere", "/healthz", "/static/img/icons.svg"])
def test_every_answer_has_the_security_headers(visitor, url):
    headers = visitor.client.get(url).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Request-ID"].startswith("req_")
    assert "Strict-Transport-Security" not in headers


@pytest.mark.asvs("4.1.3")
def test_a_request_id_from_outside_is_not_taken(visitor):
    answer = visitor.client.get("/", headers={"X-Request-ID": "forged"})
    assert answer.headers["X-Request-ID"] != "forged"


def test_static_files_set_no_cookie(visitor):
    assert "Set-Cookie" not in visitor.client.get("/static/img/icons.svg").headers


@pytest.mark.asvs("3.5.4")
@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("localhost:8080", 200), ("127.0.0.1:8080", 200), ("evil.example", 400), ("", 400)],
)
def test_only_our_own_host_is_served(visitor, host, status):
    answer = visitor.client.get("/login", headers={"Host": host})
    assert answer.status_code == status
    assert "evil.example" not in answer.text


@pytest.mark.asvs("3.3.2", "3.3.4")
def test_cookies_are_kept_from_scripts(visitor, alice):
    answer = visitor.post("/login", {"email": alice.email, "password": PASSWORD})
    cookie = answer.headers["Set-Cookie"]
    for part in ("zentry_session=", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert part in cookie
    assert "Secure" not in cookie


@pytest.fixture
def https(tmp_path, migrated_sqlite):
    """Another Zentry, behind one TLS proxy."""
    shutil.copytree(migrated_sqlite, tmp_path / "other")
    config = make_config(tmp_path / "other", base_url="https://cloud.example", trusted_proxies=1)
    container = build_container(config)
    sign_up(container, "dora")
    yield create_app(config, container).test_client()
    container.close()


FORWARDED = {"Host": "cloud.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}


@pytest.mark.asvs("3.3.1", "3.3.3", "3.4.1", "12.2.1")
def test_over_https_cookies_are_bound_to_the_host(https):
    answer = https.get("/login", headers=FORWARDED)
    cookie = answer.headers["Set-Cookie"]
    for part in ("__Host-zentry_session=", "Secure", "HttpOnly", "Path=/"):
        assert part in cookie
    assert "Domain" not in cookie
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=")


@pytest.mark.asvs("3.5.1", "15.3.4")
def test_over_https_logging_in_works_and_knows_where_from(https):
    page = https.get("/login", headers=FORWARDED, base_url="https://cloud.example")
    token = page.text.split('name="csrf_token" value="')[1].split('"')[0]
    data = {"email": "dora@example.com", "password": PASSWORD, "csrf_token": token}
    more = {"base_url": "https://cloud.example", "headers": FORWARDED | {"Referer": "https://cloud.example/login"}}
    assert https.post("/login", data=data, **more).status_code == 303
    elsewhere = FORWARDED | {"Referer": "https://evil.example/"}
    more["headers"] = elsewhere
    assert https.post("/logout", data={"csrf_token": token}, **more).status_code == 400


@pytest.mark.asvs("4.1.3", "15.3.4")
def test_behind_one_proxy_only_what_that_one_wrote_counts(https):
    """A visitor sends the headers, too: the proxy writes behind theirs."""
    forged = {
        "X-Forwarded-For": "6.6.6.6, 203.0.113.9", "X-Forwarded-Prefix": "/evil", "X-Real-IP": "6.6.6.6",
        "Forwarded": "for=6.6.6.6;host=evil.example", "X-Forwarded-Port": "666", "True-Client-IP": "6.6.6.6",
        "X-Original-URL": "/admin", "X-HTTP-Method-Override": "DELETE",
    }  # fmt: skip
    seen = []
    https.application.after_request(lambda answer: seen.append((request.remote_addr, request.script_root)) or answer)
    answer = https.get("/vms", headers=FORWARDED | forged, base_url="https://cloud.example")
    assert seen == [("203.0.113.9", "")]
    assert answer.headers["Location"].startswith("/login")
    assert "evil" not in answer.text + str(answer.headers)


@pytest.mark.asvs("4.1.3", "15.3.4")
def test_without_trusted_proxies_forwarded_headers_mean_nothing(visitor, container, alice):
    visitor.post("/login", {"email": alice.email, "password": PASSWORD}, headers={"X-Forwarded-For": "6.6.6.6"})
    events = container.get_user_service().search_audit(action="auth.login")
    assert events[0].personal["address"] == "127.0.0.1"


@pytest.mark.asvs("4.1.2", "12.2.1")
def test_plain_http_is_for_this_machine_only(tmp_path):
    with pytest.raises(ValidationError, match="https"):
        make_config(tmp_path, base_url="http://cloud.example")
