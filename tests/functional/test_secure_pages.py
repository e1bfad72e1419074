"""What holds for every page and file, whichever feature it belongs to."""

import json
import re

import pytest
from structlog.testing import capture_logs
from werkzeug.datastructures import MultiDict

from tests.functional.test_route_matrix import ANYONE, OWNER, RULES, address, binned, binned_project, where
from tests.services.people import events_of
from zentry_web import create_app

__all__ = ["address", "binned", "binned_project", "where"]  # fixtures

pytestmark = pytest.mark.integration

PAGES = [endpoint for endpoint, (_, methods) in RULES.items() if "GET" in methods and endpoint != "live.events"]


@pytest.mark.asvs("4.1.1", "3.2.1")
def test_every_answer_says_what_it_is(as_admin, where):
    for endpoint in PAGES:
        answer = as_admin.get(where(endpoint))
        assert answer.headers["X-Content-Type-Options"] == "nosniff", endpoint
        kind = answer.headers["Content-Type"]
        assert kind, endpoint
        if kind.startswith("text/") and endpoint != "static":
            assert "charset=utf-8" in kind.lower(), endpoint


@pytest.mark.asvs("3.4.2", "3.5.2")
def test_no_other_origin_is_let_in(as_admin, where):
    for endpoint in PAGES:
        answer = as_admin.get(where(endpoint), headers={"Origin": "https://evil.example"})
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")], endpoint


@pytest.mark.asvs("5.4.1", "5.4.2", "3.2.1")
def test_files_are_downloads_with_names_of_ours(as_admin, where):
    files = [endpoint for endpoint in PAGES if endpoint.endswith(("_file", "_csv", "_pdf"))]
    seen = 0
    for endpoint in files:
        answer = as_admin.get(where(endpoint), headers={"X-Filename": '"; x="'})
        if answer.status_code == 404:
            continue
        seen += 1
        name = answer.headers["Content-Disposition"]
        assert re.fullmatch(r'attachment; filename="?[a-zA-Z0-9._-]+"?', name), (endpoint, name)
    assert seen >= 8


@pytest.mark.asvs("7.4.4")
def test_every_page_has_a_way_to_log_out(as_admin, where):
    seen = 0
    for endpoint in PAGES:
        answer = as_admin.get(where(endpoint))
        if endpoint == "vms.console_window":  # a console alone; closed, it is the window behind it that is there
            continue
        if RULES[endpoint][0] != ANYONE and answer.status_code == 200 and "<!doctype html>" in answer.text:
            seen += 1
            assert 'action="/logout"' in answer.text, endpoint
    assert seen > 40


@pytest.mark.asvs("3.5.3")
def test_looking_changes_nothing(as_alice, container, cloud, where, project, machine, alice):
    def state():
        billing, auth = container.get_billing_service(), container.get_auth_service()
        return (
            container.get_project_service().get_project(project.id),
            container.get_vm_service().get_vm(machine.id),
            len(cloud.operations(machine)),
            billing.get_user_credits(alice.id),
            [each.id for each in auth.list_sessions(alice.id)],
            container.get_user_service().get_user(alice.id),
        )

    before = state()
    for endpoint in PAGES:
        if RULES[endpoint][0] in (OWNER, ANYONE, "signed in"):
            for method in ("GET", "HEAD"):
                as_alice.client.open(where(endpoint), method=method)
    assert state() == before


@pytest.mark.asvs("13.4.1", "13.4.3", "5.3.2")
@pytest.mark.parametrize(
    "path",
    ["/.git/config", "/.env", "/static/", "/static/js/", "/static/../config.py", "/static/..%2f..%2fconfig.py",
     "/static/%2e%2e/app.py", "/static//etc/passwd", "/backup.sqlite", "/wsgi.py"],
)  # fmt: skip
def test_nothing_but_pages_and_static_files_is_served(visitor, path):
    answer = visitor.client.get(path)
    assert answer.status_code in (404, 308)
    assert "import" not in answer.text


@pytest.mark.asvs("13.4.4")
def test_trace_is_refused(visitor):
    answer = visitor.client.open("/login", method="TRACE", headers={"X-Secret": "echo"})
    assert answer.status_code == 405
    assert "echo" not in answer.text


@pytest.mark.asvs("6.2.6", "6.2.7", "6.4.2")
def test_passwords_are_masked_and_may_be_pasted(visitor, as_alice):
    pages = [
        visitor.page("/login"),
        visitor.page("/signup"),
        as_alice.page("/account"),
        as_alice.page("/account/leave"),
    ]
    seen = set()
    for page in pages:
        for field in page.find("//input"):
            name = str(field.get("name") or "")
            if name in ("password", "current", "new"):
                seen.add(name)
                assert field.get("type") == "password"
                assert field.get("autocomplete") in ("current-password", "new-password"), name
                assert not [each for each in field.attrib if each.startswith("on")]
                assert field.get("maxlength") is None or int(field.get("maxlength")) >= 128
    assert seen == {"password", "current", "new"}


@pytest.mark.asvs("13.4.2", "15.2.3")
def test_production_has_no_tools_of_development(config, container, tmp_path):
    app = create_app(config.model_copy(update={"environment": "production"}), container)
    assert not app.debug
    assert not app.testing
    assert not [rule.rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith(("styleguide", "debug"))]
    answer = app.test_client().get("/styleguide/")
    assert answer.status_code == 404


@pytest.mark.asvs("14.2.2", "14.3.1")
def test_what_was_seen_is_not_kept_after_a_log_out(as_alice, where):
    """Pages are not stored, and what a cache might have kept is for nobody else: it depends on the cookie."""
    for url in ("/overview", "/vms", "/account"):
        answer = as_alice.get(url)
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Cookie" in answer.headers["Vary"]
    as_alice.post("/logout")
    assert as_alice.get("/overview").status_code == 303


@pytest.mark.asvs("1.2.3", "3.2.2")
def test_data_for_scripts_cannot_leave_its_element(as_alice, container, alice, cloud):
    """Charts' words come from names: they stand in JSON, in which no tag can end."""
    cloud.project(alice, "</script><script>alert(1)</script>")
    for url in ("/credits/spend", "/credits/history", "/overview", "/projects"):
        answer = as_alice.get(url)
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        for inside in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', answer.text, re.S):
            assert "<" not in inside
            json.loads(inside)


@pytest.mark.asvs("16.3.2")
def test_refused_accesses_are_written_down_with_who_and_what(as_charlie, charlie, project):
    with capture_logs() as logs:
        as_charlie.get(f"/projects/{project.id}")
        as_charlie.get("/admin/users")
    seen = [(line["endpoint"], line["status"], line["user"]) for line in logs if line["event"] == "request"]
    assert seen == [("projects.show", 404, charlie.id), ("admin.users", 403, charlie.id)]


@pytest.mark.asvs("16.3.2")
def test_pages_of_admins_that_were_refused_stand_in_the_trail(as_charlie, charlie, core, clock):
    for _ in range(40):
        assert as_charlie.get("/admin/users").status_code == 403
    as_charlie.post("/admin/settings/signup", {})
    noted = [event for event in events_of(core, "admin.page") if event.actor_id == charlie.id]
    assert len(noted) == 30, "no more of one person in an hour: nobody fills the trail"
    assert {(event.outcome, event.details["page"]) for event in noted} == {("refused", "admin.users")}
    clock.advance(hours=2)
    as_charlie.get("/admin/ledger")
    assert events_of(core, "admin.page")[-1].details == {"page": "admin.ledger"}


@pytest.mark.asvs("15.3.7")
def test_the_same_field_twice_confuses_nothing(as_alice, container, alice, project):
    """The first counts, in forms and in addresses; a field in the address is none of the form's."""
    token = as_alice.token()
    answer = as_alice.client.post(
        "/projects/new?name=Address", data=MultiDict([("csrf_token", token), ("name", "First"), ("name", "Second")])
    )
    assert answer.status_code == 303
    names = {each.project.name for each in container.get_project_service().list_projects(alice.id)}
    assert names == {project.name, "First"}
    assert as_alice.get("/vms?q=first&q=second").status_code == 200
    assert as_alice.get("/vms?before=1&before=x&project=a&project=b").status_code in (200, 404)
