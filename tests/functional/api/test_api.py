"""/api/v1: tokens, what they open, and what they do not."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conftest import PASSWORD
from tests.services.people import acting

pytestmark = pytest.mark.integration
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture
def client(web):
    """A program: no cookies, no pages."""
    return web.test_client(use_cookies=False)


@pytest.fixture
def pair(client, alice):
    """What a program of Alice's got by logging in."""
    answer = client.post("/api/v1/auth/token", json={"email": alice.email, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return answer.json


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def problem(answer, status, code):
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), answer.text
    assert (answer.json["status"], answer.json["code"]) == (status, code)
    return answer.json


def test_a_program_logs_in_and_reads_what_its_owner_may(client, pair, alice, machine, project):
    assert (pair["token_type"], pair["expires_in"], pair["refresh_expires_in"]) == ("Bearer", 900, 30 * 86400)
    me = client.get("/api/v1/me", headers=bearer(pair["access_token"]))
    assert me.json["email"] == alice.email
    assert me.headers["Cache-Control"] == "no-store"
    (vm,) = client.get("/api/v1/vms", headers=bearer(pair["access_token"])).json["items"]
    assert (vm["id"], vm["name"], vm["state"], vm["project_id"]) == (machine.id, "web-1", "running", project.id)
    assert vm["micro_credits_per_hour"] > 0


def test_vms_come_page_by_page(client, pair, cloud, alice, project):
    names = [f"web-{number}" for number in range(3)]
    for name in names:
        cloud.launch(alice, project, name)
    found, url = [], "/api/v1/vms?limit=2"
    while url:
        page = client.get(url, headers=bearer(pair["access_token"])).json
        found += [vm["name"] for vm in page["items"]]
        url = f"/api/v1/vms?limit=2&before={page['next']}" if page["next"] else ""
    assert found == names[::-1]


@pytest.mark.asvs("10.3.3")
def test_other_peoples_machines_are_not_there(client, charlie, machine):
    answer = client.post("/api/v1/auth/token", json={"email": charlie.email, "password": PASSWORD})
    assert client.get("/api/v1/vms", headers=bearer(answer.json["access_token"])).json["items"] == []


def test_a_refresh_token_gives_the_next_pair_once(client, pair):
    following = client.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    assert following.status_code == 200
    problem(client.get("/api/v1/me", headers=bearer(pair["access_token"])), 401, "AUTHENTICATION_REQUIRED")
    assert client.get("/api/v1/me", headers=bearer(following.json["access_token"])).status_code == 200
    again = client.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    problem(again, 401, "AUTHENTICATION_REQUIRED")
    assert client.get("/api/v1/me", headers=bearer(following.json["access_token"])).status_code == 401
    assert (
        client.post("/api/v1/auth/refresh", json={"refresh_token": following.json["refresh_token"]}).status_code == 401
    )


@pytest.mark.asvs("10.4.9")
def test_revoking_ends_the_pair_and_unknown_tokens_are_no_error(client, pair):
    assert client.post("/api/v1/auth/revoke", json={"token": "nonsense"}).status_code == 204
    assert client.post("/api/v1/auth/revoke", json={"token": pair["refresh_token"]}).status_code == 204
    assert client.get("/api/v1/me", headers=bearer(pair["access_token"])).status_code == 401


@pytest.mark.asvs("3.5.1")
@pytest.mark.error
def test_a_session_cookie_opens_nothing_here(as_alice):
    problem(as_alice.client.get("/api/v1/me"), 401, "AUTHENTICATION_REQUIRED")


@pytest.mark.asvs("10.3.1")
@pytest.mark.error
def test_a_machine_that_stands_still_says_so_and_why(client, pair, cloud, machine):
    cloud.control.pause(machine.id, "full")
    cloud.round(3)
    (vm,) = client.get("/api/v1/vms", headers=bearer(pair["access_token"])).json["items"]
    assert (vm["state"], vm["micro_credits_per_hour"]) == ("paused", machine.running_micro_per_hour)
    assert "the host’s disk is full" in vm["state_reason"]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer " + "x" * 5000, "Bearer zta_nothing"])
def test_without_a_token_that_works_there_is_a_401(client, header):
    answer = client.get("/api/v1/me", headers={"Authorization": header})
    problem(answer, 401, "AUTHENTICATION_REQUIRED")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.asvs("9.2.2")
@pytest.mark.error
def test_a_refresh_token_is_no_access_token(client, pair):
    assert client.get("/api/v1/me", headers=bearer(pair["refresh_token"])).status_code == 401
    assert client.post("/api/v1/auth/refresh", json={"refresh_token": pair["access_token"]}).status_code == 401


@pytest.mark.error
def test_wrong_passwords_are_counted_as_in_the_browser(client, alice):
    wrong = {"email": alice.email, "password": "wrong"}
    for _ in range(5):
        problem(client.post("/api/v1/auth/token", json=wrong), 401, "AUTHENTICATION_REQUIRED")
    answer = client.post("/api/v1/auth/token", json=wrong)
    problem(answer, 429, "RATE_LIMITED")
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.asvs("2.2.1", "15.3.5")
@pytest.mark.error
def test_bad_bodies_are_told_by_field(client):
    found = problem(client.post("/api/v1/auth/token", json={"email": 5, "x": 1}), 400, "VALIDATION_ERROR")
    assert set(found["details"]) == {"email", "password", "x"}
    for body in ("{", "[]", '"x"', ""):
        answer = client.post("/api/v1/auth/token", data=body, content_type="application/json")
        problem(answer, 400, "VALIDATION_ERROR")
    problem(client.get("/api/v1/nothing"), 404, "Not Found")
    problem(client.get("/api/v1/auth/token"), 405, "Method Not Allowed")


@pytest.mark.error
@pytest.mark.parametrize("field", ["email", "password", "code"])
def test_halves_of_characters_are_refused_on_their_field(client, alice, field):
    body = {"email": alice.email, "password": PASSWORD, field: "\ud800"}
    answer = client.post("/api/v1/auth/token", json=body)
    assert answer.status_code == 400
    assert field in answer.json["details"]
    for path, name in (("refresh", "refresh_token"), ("revoke", "token")):
        assert client.post(f"/api/v1/auth/{path}", json={name: "\udfff"}).status_code == 400


@pytest.mark.asvs("10.3.2")
def test_a_personal_token_does_what_it_was_made_for_and_no_more(client, container, alice):
    tokens = container.get_auth_service().tokens
    secret = tokens.create_personal(alice.id, "backup", ["vms:read"], 30, actor=acting(alice))
    assert client.get("/api/v1/vms", headers=bearer(secret)).status_code == 200
    problem(client.get("/api/v1/me", headers=bearer(secret)), 403, "PERMISSION_DENIED")


@pytest.mark.asvs("7.4.2")
@pytest.mark.error
def test_a_disabled_account_is_out_at_once(client, pair, container, alice, admin):
    container.get_user_service().set_disabled(alice.id, True, actor=acting(admin))
    assert client.get("/api/v1/me", headers=bearer(pair["access_token"])).status_code == 401
    assert client.post("/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]}).status_code == 401


@pytest.mark.asvs("15.3.1")
def test_the_description_is_kept_whatever_is_sent(web, pair):
    """Schemathesis makes up requests from the OpenAPI document, right and wrong ones, with and without a token."""
    schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", web)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) == 5
    for operation in operations:
        for headers in (None, bearer(pair["access_token"])):
            _send_many(operation.as_strategy(), headers)


def _send_many(cases, headers):
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(cases)
    def send(case):
        case.call_and_validate(headers=headers, checks=CHECKS)

    send()


@pytest.mark.asvs("1.1.2", "1.2.3")
def test_a_name_is_text_in_json(client, pair, container, alice):
    name = '</script><b>"Co" & \\u0041 \N{PILE OF POO}'
    container.get_auth_service().update_profile(alice.id, {"name": name, "time_zone": "UTC"}, actor=acting(alice))
    answer = client.get("/api/v1/me", headers=bearer(pair["access_token"]))
    assert answer.json["name"] == name
    assert (answer.mimetype, answer.headers["X-Content-Type-Options"]) == ("application/json", "nosniff")
