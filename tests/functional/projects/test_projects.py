"""/projects: list, one project, create, rename, delete."""

import pytest

from tests.csv_rows import csv_rows
from tests.page import Page

pytestmark = pytest.mark.integration


def test_the_list_shows_what_each_project_has_and_costs(as_alice, machine):
    page = as_alice.page("/projects")
    row = page.one("//tbody/tr")
    assert "Website" in "".join(row.itertext())
    assert "0.005" in "".join(row.itertext())


def test_the_list_is_one_s_own(as_charlie, project):
    assert "Website" not in as_charlie.page("/projects").html


def test_the_list_is_searched_sorted_paged_and_a_file(as_alice, cloud, alice, project, machine, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.projects.routes.PAGE_SIZE", 2)
    for name in ("Alpha", "Beta", "Gamma"):
        cloud.project(alice, name)

    def names(query):
        page = as_alice.page(f"/projects?{query}")
        return ["".join(link.itertext()).strip() for link in page.find("//tbody//a[@class='z-row-title']")]

    assert names("") == ["Alpha", "Beta"]
    assert names("rows=4") == ["Alpha", "Beta", "Gamma", "Website"]
    assert names("sort=name-down") == ["Website", "Gamma"]
    assert names("sort=most&q=-alpha+-beta") == ["Website", "Gamma"]
    assert names("q=machines:>0") == names("q=web") == names(f"q={project.id}") == ["Website"]
    assert names("q=machines:0+a&rows=9") == ["Alpha", "Beta", "Gamma"]
    assert names("q=role:viewer") == names("q=label:env") == names("q=cost:>1") == names("q=owner:bob") == []
    page = as_alice.page("/projects?q=role:owner")
    assert "4 projects found" in page.text()
    assert names(page.one("//a[@rel='next']").get("href").partition("?")[2]) == ["Gamma", "Website"]
    assert "Nothing matches" in as_alice.page("/projects?q=zzz").text()
    assert "no number" in as_alice.page("/projects?q=machines:some").one("//p[@id='search-problem']").text
    rows = csv_rows(as_alice.get("/projects/list.csv?q=machines:>0"))
    assert [(row["name"], row["role"], row["machines"]) for row in rows] == [("Website", "owner", "1")]
    assert as_alice.get("/projects/list.csv?q=machines:some").status_code == 400


@pytest.mark.parametrize("htmx", [False, True])
def test_creating_a_project_leads_to_it(as_alice, htmx):
    answer = as_alice.post("/projects/new", {"name": "Build farm"}, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    url = answer.headers["HX-Redirect" if htmx else "Location"]
    page = as_alice.page(url)
    assert page.one("//h1").text.strip() == "Build farm"
    assert "Build farm is ready" in page.text()


@pytest.mark.parametrize("name", ["", "   ", "x" * 61, "website"])
@pytest.mark.parametrize("htmx", [False, True])
def test_a_bad_or_taken_name_is_said_beside_the_field(as_alice, project, name, htmx):
    answer = as_alice.post("/projects/new", {"name": name}, htmx=htmx)
    assert answer.status_code == 400
    page = Page(answer.text, fragment=htmx)
    assert set(page.errors()) == {"name"}
    assert (page.one("//input[@id='name']").get("value") or "") == name
    assert len(as_alice.page("/projects").find("//tbody/tr")) == 1


def test_a_project_shows_its_machines(as_alice, project, machine):
    page = as_alice.page(f"/projects/{project.id}")
    assert page.one(f"//tr[@id='row-{machine.id}']") is not None


def test_an_empty_project_says_what_to_do(as_alice, project):
    assert "Launch machine" in as_alice.page(f"/projects/{project.id}").text()


@pytest.mark.parametrize("htmx", [False, True])
def test_renaming(as_alice, project, htmx):
    answer = as_alice.post(f"/projects/{project.id}/rename", {"name": "Shop"}, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    assert as_alice.page(f"/projects/{project.id}").one("//h1").text.strip() == "Shop"


def test_renaming_to_nothing_is_refused(as_alice, project):
    answer = as_alice.post(f"/projects/{project.id}/rename", {"name": ""})
    assert answer.status_code == 400
    assert set(Page(answer.text).errors()) == {"name"}


def test_an_admin_may_look_at_it(as_admin, project):
    assert "Website" in as_admin.page(f"/projects/{project.id}").html


def test_one_that_is_made_on_the_way_to_a_launch_leads_on_to_it(as_alice):
    assert "/projects/new?then=launch" in as_alice.get("/vms/new").text
    page = as_alice.page("/projects/new?then=launch")
    assert page.one("//main//form").get("action") == "/projects/new?then=launch"
    answer = as_alice.post("/projects/new?then=launch", {"name": "Shop"})
    assert answer.location.startswith("/vms/new?project=prj_")
    assert "Shop is ready" in as_alice.page(answer.location).text()
