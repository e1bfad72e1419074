"""Deleting a project, and /bin/projects: how far it is, restoring, purging; delete protection on its pages."""

import pytest

from tests.page import Page
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


@pytest.fixture
def cloud(cloud):
    cloud.keep_deleted(7)
    return cloud


def test_the_page_shows_what_goes_and_needs_the_name(as_alice, project, machine):
    url = f"/projects/{project.id}/delete"
    page = as_alice.page(url)
    for words in ("web-1", "ends with your click", "only you", "recycle bin for 7 days"):
        assert words in page.html
    wrong = as_alice.post(url, {"confirm": "Something"})
    assert wrong.status_code == 400
    assert set(Page(wrong.text).errors()) == {"confirm"}
    assert as_alice.get(f"/projects/{project.id}").status_code == 200


def test_deleted_watched_restored_and_started(as_alice, project, machine, cloud):
    answer = as_alice.post(f"/projects/{project.id}/delete", {"confirm": "Website"})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/bin/projects/{project.id}")
    url = f"/bin/projects/{project.id}"
    assert "0 of 1 machines are off" in as_alice.get(url).text
    assert as_alice.post(f"{url}/restore", {"name": "Website"}).status_code == 409
    assert as_alice.get(f"/projects/{project.id}").status_code == 404
    cloud.worker.work()
    text = as_alice.get(url, htmx=True).text
    assert "In the recycle bin" in text
    assert "Website" in as_alice.get("/bin").text
    assert as_alice.post(f"{url}/restore", {"name": ""}).status_code == 400
    answer = as_alice.post(f"{url}/restore", {"name": "Website"})
    assert answer.headers["Location"] == f"/projects/{project.id}"
    assert cloud.vm(machine).state == VMState.STOPPED
    assert as_alice.post(f"/vms/{machine.id}/start").status_code == 303
    assert as_alice.get(url).status_code == 404
    assert as_alice.get(url, htmx=True).headers["HX-Redirect"] == "/bin"


def test_purging_needs_the_name(as_alice, project, machine, cloud):
    as_alice.post(f"/projects/{project.id}/delete", {"confirm": "Website"})
    cloud.worker.work()
    url = f"/bin/projects/{project.id}/purge"
    assert as_alice.post(url, {"confirm": "nope"}, htmx=True).status_code == 400
    assert as_alice.post(url, {"confirm": "Website"}).headers["Location"] == "/bin"
    assert "Being deleted" in as_alice.get("/bin").text
    assert "being deleted for good" in as_alice.get(f"/bin/projects/{project.id}").text
    cloud.vms.bin.purge_due()
    cloud.worker.work()
    assert cloud.projects.bin.purge_due() == 1
    assert "Website" not in as_alice.get("/bin").text


def test_an_old_log_in_is_asked_who_it_is_and_the_form_is_kept(as_alice, project, clock):
    clock.advance(600)
    answer = as_alice.post(f"/projects/{project.id}/delete", {"confirm": "Website"})
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith("/account/confirm")
    assert as_alice.get(f"/projects/{project.id}").status_code == 200


def test_a_protected_project_says_so_and_is_not_deleted(as_alice, project):
    assert as_alice.post(f"/projects/{project.id}/protection", {"protected": "1"}).status_code == 303
    assert "Switch delete protection off" in as_alice.get(f"/projects/{project.id}").text
    url = f"/projects/{project.id}/delete"
    assert "protected from deletion" in as_alice.get(url).text
    assert as_alice.post(url, {"confirm": "Website"}).status_code == 409
    assert "Website" in as_alice.get("/account/leave").text
    assert "Its machines can be deleted one by one" in as_alice.page(url).text()
    as_alice.post(f"/projects/{project.id}/protection", {"protected": "0"})
    assert as_alice.post(url, {"confirm": "Website"}).status_code == 303


def test_a_protected_machine_holds_itself_and_its_project(as_alice, project, machine):
    assert as_alice.post(f"/vms/{machine.id}/protection", {"protected": "1"}).status_code == 303
    assert "It does not pay for its disk" in as_alice.get(f"/vms/{machine.id}").text
    assert "protected from deletion" in as_alice.get(f"/vms/{machine.id}/delete", htmx=True).text
    for htmx in (False, True):
        answer = as_alice.post(f"/vms/{machine.id}/delete", {"confirm_name": "web-1"}, htmx=htmx)
        assert answer.status_code == 409
    page = as_alice.get(f"/projects/{project.id}/delete").text
    assert "Switch that off on their pages first" in page
    assert as_alice.post(f"/projects/{project.id}/delete", {"confirm": "Website"}).status_code == 409


def test_projects_have_pages_of_their_own(as_alice, alice, cloud, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.recycle_bin.routes.PAGE_SIZE", 2)
    for name in ("one", "two", "three"):
        cloud.projects.delete_project(cloud.project(alice, name).id)
    page = as_alice.page("/bin")
    rows = "//tr[starts-with(@id, 'binned-prj')]"
    pages = "//nav[@aria-label='Pages of projects']/a"
    assert len(page.find(rows)) == 2
    second = as_alice.page(page.one(pages).get("href"))
    assert len(second.find(rows)) == 1
    assert second.one(pages).get("href") == "/bin"
    assert second.one("//div[@id='bin']").get("hx-get").startswith("/bin?projects=")


def test_disks_at_another_price_than_shown_ask_again(as_alice, alice, cloud, project, machine):
    cloud.keep_deleted(7)
    cloud.projects.delete_project(project.id)
    cloud.worker.work()
    url = f"/bin/projects/{project.id}/restore"
    assert as_alice.page(url).one("//input[@name='shown_price']").get("value") == "0-100"
    answer = as_alice.post(url, {"name": "Again", "shown_price": "0-50"})
    assert answer.status_code == 409
    assert "Now: 0.0001 credits per hour. Shown before: 0.00005 credits per hour." in answer.text
    assert 'value="Again"' in answer.text
    assert as_alice.get(f"/projects/{project.id}").status_code == 404
    assert as_alice.post(url, {"name": "Again", "shown_price": "0-100"}).status_code == 303
