"""/projects: list, one project, create, rename, delete."""

import pytest

from tests.page import Page

pytestmark = pytest.mark.integration


def test_the_list_shows_what_each_project_has_and_costs(as_alice, machine):
    page = as_alice.page("/projects")
    row = page.one("//tbody/tr")
    assert "Website" in "".join(row.itertext())
    assert "0.005" in "".join(row.itertext())


def test_the_list_is_one_s_own(as_charlie, project):
    assert "Website" not in as_charlie.page("/projects").html


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
    assert "Launch VM" in as_alice.page(f"/projects/{project.id}").text()


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
