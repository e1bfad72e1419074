"""The one error table, in its three shapes; and what must never leak."""

import json

import pytest
from structlog.testing import capture_logs

from tests.page import Page
from zentry_web.services.errors import (
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    ProviderUnavailableError,
    RateLimitedError,
    ServiceError,
    StorageUnavailableError,
    ValidationError,
)
from zentry_web.services.project_service import ProjectService

pytestmark = [pytest.mark.integration, pytest.mark.error]

TABLE = [
    (ValidationError("Bad."), 400),
    (NotFoundError("Gone."), 404),
    (InsufficientCreditsError("Too little.", details={"needed": 3_000_000, "available": 1_000_000}), 400),
    (PermissionDeniedError("No."), 403),
    (ConflictError("Taken."), 409),
    (RateLimitedError("Slower.", details={"retry_after": 61}), 429),
    (ProviderUnavailableError("Away."), 503),
    (StorageUnavailableError("Full.", details={"retry_after": 30}), 503),
    (ServiceError("Odd.", "NEVER_HEARD_OF"), 500),
    (RuntimeError("a secret inside"), 500),
]


@pytest.fixture
def failing(as_alice, monkeypatch):
    """A page whose service raises what the test says."""

    def with_error(error):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr(ProjectService, "list_projects", fail)
        return as_alice

    return with_error


@pytest.mark.parametrize(("error", "status"), TABLE)
def test_as_a_page(failing, error, status):
    answer = failing(error).get("/projects")
    assert answer.status_code == status
    page = Page(answer.text)
    assert answer.headers["X-Request-ID"] in page.text()
    assert "a secret inside" not in answer.text


@pytest.mark.parametrize(("error", "status"), TABLE)
def test_as_a_fragment(failing, error, status):
    answer = failing(error).get("/projects", htmx=True)
    assert answer.status_code == status
    assert answer.headers["HX-Retarget"] == "#toasts"
    assert answer.headers["HX-Reswap"] == "beforeend"
    assert "<html" not in answer.text
    assert "z-toast" in answer.text
    assert "a secret inside" not in answer.text


@pytest.mark.parametrize(("error", "status"), TABLE)
def test_as_json(failing, error, status):
    answer = failing(error).get("/projects", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert answer.json["status"] == status
    assert answer.json["request_id"] == answer.headers["X-Request-ID"]
    assert "a secret inside" not in answer.text


def test_missing_credits_are_counted_and_the_way_out_shown(failing):
    page = Page(failing(TABLE[2][0]).get("/projects").text)
    assert "2.00 more are needed" in page.text()
    assert page.find("//a[@href='/credits']")


def test_waiting_is_said_to_programs_too(failing):
    assert failing(TABLE[5][0]).get("/projects").headers["Retry-After"] == "61"


@pytest.mark.asvs("16.2.1", "16.3.4", "16.5.1")
def test_an_unexpected_error_is_written_down_with_its_request(failing):
    with capture_logs() as logs:
        answer = failing(RuntimeError("what happened")).get("/projects")
    written = next(line for line in logs if line["event"] == "unexpected_error")
    assert written["request_id"] == answer.headers["X-Request-ID"]
    assert "what happened" in str(written["exc_info"])


def test_an_error_page_leads_back_to_the_page_before(failing):
    answer = failing(ConflictError("Taken.")).get("/projects", headers={"Referer": "http://localhost/vms?q=a"})
    assert Page(answer.text).find("//a[@href='/vms?q=a']")


def test_an_error_page_never_leads_elsewhere(failing):
    answer = failing(ConflictError("Taken.")).get("/projects", headers={"Referer": "https://evil.example/"})
    assert "evil.example" not in answer.text


@pytest.mark.asvs("16.5.1")
def test_error_pages_need_no_database(as_alice, container, monkeypatch):
    def gone(*_, **__):
        raise RuntimeError("no database")

    monkeypatch.setattr(container.database, "reading", gone)
    monkeypatch.setattr(container.database, "writing", gone)
    for url, status in (("/overview", 500), ("/", 500), ("/nowhere", 404)):
        answer = as_alice.client.get(url)
        assert answer.status_code == status, url
        Page(answer.text)


@pytest.mark.asvs("5.2.1")
@pytest.mark.parametrize("htmx", [False, True])
def test_a_form_that_is_too_large(as_alice, project, htmx):
    answer = as_alice.post("/projects/new", {"name": "x" * 600_000}, htmx=htmx)
    assert answer.status_code == 413


@pytest.mark.asvs("3.5.1")
def test_a_forged_form_is_refused(as_alice):
    answer = as_alice.client.post("/projects/new", data={"name": "x", "csrf_token": "forged"})
    assert answer.status_code == 400


@pytest.mark.asvs("14.2.1", "16.2.5")
def test_the_access_log_has_no_secrets(visitor, alice, container):
    token = container.get_auth_service().create_admin("new@example.com", "New")
    with capture_logs() as logs:
        visitor.get(f"/welcome/{token}")
        visitor.post("/login?next=/vms%3Fq%3Dprivate", {"email": alice.email, "password": "my secret password"})
    lines = [line for line in logs if line["event"] == "request"]
    assert [line["path"] for line in lines] == ["/welcome/<token>", "/login"]
    written = json.dumps(lines, default=str)
    for secret in (token, "my secret password", "private", alice.email):
        assert secret not in written


def test_somebody_signed_in_keeps_the_navigation_and_a_visitor_has_none(as_alice, visitor):
    page = Page(as_alice.get("/nowhere", headers={"Referer": "http://localhost/vms?q=web"}).text)
    assert page.find("//nav[@aria-label='Main']")
    ways = {"".join(link.itertext()): link.get("href") for link in page.find("//div[@class='z-oops-actions']/a")}
    assert ways == {"Go to the overview": "/overview", "Go back": "/vms?q=web"}
    elsewhere = Page(as_alice.get("/nowhere", headers={"Referer": "https://elsewhere.example/vms"}).text)
    assert "Go back" not in elsewhere.text()
    assert not Page(visitor.get("/nowhere").text).find("//nav[@aria-label='Main']")


def test_a_form_of_a_tab_that_was_logged_out_leads_to_the_log_in_and_back(as_alice, web, machine):
    as_alice.client.delete_cookie(web.config["SESSION_COOKIE_NAME"])
    here = f"http://localhost/vms/{machine.id}?x=1"
    path = f"/vms/{machine.id}/stop"
    plain = as_alice.client.post(path, headers={"Referer": here})
    assert (plain.status_code, plain.headers["Location"]) == (303, f"/login?next=/vms/{machine.id}?x%3D1")
    moved = as_alice.client.post(path, headers={"HX-Request": "true", "HX-Current-URL": here})
    assert (moved.status_code, moved.headers["HX-Redirect"]) == (204, f"/login?next=/vms/{machine.id}?x%3D1")
