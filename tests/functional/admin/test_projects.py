"""/admin/projects, /admin/invitations, and the trail as a file."""

import json

import pytest

from tests.csv_rows import csv_rows
from tests.services.people import acting

pytestmark = pytest.mark.integration


def read(answer):
    assert answer.mimetype == "text/csv"
    return csv_rows(answer)


def test_projects_of_all(as_admin, machine, project):
    page = as_admin.page("/admin/projects")
    assert page.find(f"//a[@href='/projects/{project.id}']")
    assert page.find(f"//a[@href='/admin/vms?project={project.id}']")
    for query, count in (("q=web", 1), ("q=none", 0), ("owner=alice", 1), ("owner=bob", 0), ("state=archived", 0)):
        assert len(as_admin.page(f"/admin/projects?{query}").find("//tbody/tr")) == count, query
    for nonsense in ("state=x", "sort=x", "before=none", "q=%00"):
        assert len(as_admin.page(f"/admin/projects?{nonsense}").find("//tbody/tr")) == 1, nonsense


def test_a_deleted_project_leads_nowhere(as_admin, cloud, alice, project):
    cloud.projects.delete_project(project.id, actor=acting(alice))
    page = as_admin.page("/admin/projects?state=deleted")
    assert "Website" in page.text()
    assert not page.find(f"//a[@href='/projects/{project.id}']")


def test_projects_as_a_file(as_admin, cloud, alice):
    cloud.project(alice, "=1+1")
    page = as_admin.page("/admin/projects?owner=alice&sort=name")
    (row,) = read(as_admin.get(page.one("//a[contains(@href, 'projects.csv')]").get("href")))
    assert (row["name"], row["state"], row["owner_email"]) == ("'=1+1", "open", alice.email)
    assert read(as_admin.get("/admin/projects.csv?owner=bob")) == []


def test_invitations_are_found_and_withdrawn(as_admin, cloud, alice, project):
    invitations = cloud.projects.invitations
    made = invitations.invite(project.id, {"email": "ann@example.com", "role": "viewer"}, actor=acting(alice))
    page = as_admin.page("/admin/invitations?q=ann&state=open")
    assert made.secret not in page.text()
    (link,) = page.find("//section[@id='invitations']//tbody//a[contains(., 'Revoke')]")
    (form,) = as_admin.page(link.get("href")).find("//main//form")  # it asks first
    answer = as_admin.post(form.get("action"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/invitations")
    assert as_admin.post(form.get("action")).status_code == 404
    assert invitations.peek(made.secret) is None
    assert "No invitation fits" in as_admin.page("/admin/invitations?state=open").text()
    assert "revoked" in as_admin.page("/admin/invitations?state=ended").text()


def test_the_trail_as_a_file(as_admin, as_alice, project, monkeypatch):
    monkeypatch.setattr("zentry_web.services.users.trail.CHUNK", 2)
    as_alice.post("/projects/new", {"name": "=cmd()"})
    as_alice.post("/projects/new", {"name": "Shop"})
    page = as_admin.page("/admin/audit?action=project.create")
    rows = read(as_admin.get(page.one("//a[contains(@href, 'audit.csv')]").get("href")))
    assert len(rows) == 3
    assert {row["action"] for row in rows} == {"project.create"}
    assert [int(row["seq"]) for row in rows] == sorted((int(row["seq"]) for row in rows), reverse=True)
    assert json.loads(rows[0]["details"]) == {}
    assert rows[0]["address"] == "127.0.0.1"
    everything = read(as_admin.get("/admin/audit.csv"))
    assert everything[0]["action"] == "audit.export"
    assert len(everything) > 5
