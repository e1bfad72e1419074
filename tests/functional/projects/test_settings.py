"""/projects/<id>/settings, archive and unarchive."""

import pytest

from tests.page import Page
from tests.services.people import acting

pytestmark = pytest.mark.integration


@pytest.fixture
def url(project):
    return f"/projects/{project.id}/settings"


@pytest.mark.parametrize("htmx", [False, True])
def test_saving_leads_to_the_project_which_shows_it(as_alice, project, url, htmx):
    data = {"name": "Shop", "description": "For <b>customers</b>.\nOnly.", "colour": "violet"}
    answer = as_alice.post(url, data, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == f"/projects/{project.id}"
    page = as_alice.page(f"/projects/{project.id}")
    assert "For <b>customers</b>." in page.text()
    assert "Violet: Shop" in "".join(page.one("//h1").itertext())
    assert as_alice.page("/projects").one("//tbody//span[contains(@class, 'z-paint-violet')]").get("title") == "Violet"
    form = as_alice.page(url)
    assert form.one("//input[@name='colour'][@checked]").get("value") == "violet"
    assert form.one("//textarea[@name='description']").text.strip() == "For <b>customers</b>.\nOnly."


@pytest.mark.parametrize("htmx", [False, True])
def test_what_is_wrong_is_said_beside_its_field_and_kept(as_alice, url, htmx):
    answer = as_alice.post(url, {"name": "", "description": "x" * 501, "colour": "mauve"}, htmx=htmx)
    assert answer.status_code == 400
    assert set(Page(answer.text, fragment=htmx).errors()) == {"name"}
    answer = as_alice.post(url, {"name": "Shop", "description": "x" * 501, "colour": "mauve"}, htmx=htmx)
    page = Page(answer.text, fragment=htmx)
    assert set(page.errors()) == {"description", "colour"}
    assert page.one("//textarea[@name='description']").text.strip() == "x" * 501


def test_a_running_machine_keeps_its_project_out_of_the_archive(as_alice, machine):
    answer = as_alice.post(f"/projects/{machine.project_id}/archive")
    assert answer.status_code == 409
    assert "A machine is still on or under way here. Stop them first" in answer.text


def test_an_archived_project_shows_it_and_comes_back(as_alice, cloud, alice, machine, project):
    cloud.vms.stop_vm(machine.id, actor=acting(alice))
    cloud.worker.work()
    assert as_alice.post(f"/projects/{project.id}/archive").status_code == 303
    page = as_alice.page(f"/projects/{project.id}")
    assert "This project is archived" in page.text()
    assert not page.find("//a[contains(@href, '/vms/new')]")
    assert "Website" not in as_alice.page("/projects").text()
    assert "Website" in as_alice.page("/projects?archived=1").text()
    assert "Begin with a project" in as_alice.page("/vms/new").text()
    shown = as_alice.page(f"/vms/{machine.id}")
    assert "Its project is archived." in shown.text()
    assert not shown.find(f"//form[@action='/vms/{machine.id}/start']")
    assert as_alice.post(f"/vms/{machine.id}/start").status_code == 409
    assert "The project is archived" in as_alice.page(f"/vms/{machine.id}/resize").text()
    assert not as_alice.page(f"/projects/{project.id}/members").find("//a[contains(@href, 'invite')]")
    assert as_alice.post(f"/projects/{project.id}/unarchive").status_code == 303
    assert as_alice.page(f"/vms/{machine.id}").find(f"//form[@action='/vms/{machine.id}/start']")
