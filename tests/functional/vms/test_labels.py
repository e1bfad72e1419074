"""/vms/<id>/labels, and labels in lists, pages and files."""

import pytest

from tests.csv_rows import csv_rows
from tests.functional.conftest import Browser
from tests.page import Page
from tests.services.people import acting, join

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("htmx", [False, True])
def test_saving_leads_back_to_the_machine(as_alice, machine, htmx):
    as_alice.page(f"/vms/{machine.id}/labels", htmx=htmx)
    answer = as_alice.post(f"/vms/{machine.id}/labels", {"labels": "env=prod\nweb"}, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == f"/vms/{machine.id}"
    page = as_alice.page(f"/vms/{machine.id}")
    assert [(link.text, link.get("href")) for link in page.find("//a[@class='z-label']")] == [
        ("env=prod", "/vms?label=env%3Dprod"), ("web", "/vms?label=web"),
    ]  # fmt: skip
    assert "Changed the labels of web-1" in page.text()
    assert as_alice.page(f"/vms/{machine.id}/labels").one("//textarea").text.strip() == "env=prod\nweb"


@pytest.mark.parametrize("htmx", [False, True])
def test_what_cannot_be_is_kept_and_said_at_the_field(as_alice, machine, htmx):
    answer = as_alice.post(f"/vms/{machine.id}/labels", {"labels": "two words"}, htmx=htmx)
    assert answer.status_code == 400
    page = Page(answer.text, fragment=htmx)
    assert set(page.errors()) == {"labels"}
    assert page.one("//textarea").text.strip() == "two words"


def test_a_stranger_finds_nothing_and_a_viewer_may_only_look(as_charlie, web, cloud, container, bob, project, machine):
    assert as_charlie.post(f"/vms/{machine.id}/labels", {"labels": "x"}).status_code == 404
    join(container, project, bob, "viewer")
    as_bob = Browser(web).log_in(bob)
    assert as_bob.post(f"/vms/{machine.id}/labels", {"labels": "x"}).status_code == 403
    cloud.vms.labels.set(machine.id, "seen")
    page = as_bob.page(f"/vms/{machine.id}")
    assert "seen" in page.text()
    assert not page.find(f"//a[@href='/vms/{machine.id}/labels']")


def test_the_list_is_filtered_by_the_address(as_alice, cloud, alice, project, machine):
    cloud.vms.labels.set(machine.id, "env=<b>&x, a, b, c, d, e", actor=acting(alice))
    page = as_alice.page("/vms?label=env%3D<b>%26x")
    assert "1 machine found" in page.text()
    assert "and 2 more" in page.text()
    assert page.one("//input[@id='search']").get("value") == "label:env=<b>&x"
    offers = Page(f"<ul>{as_alice.get('/vms/complete?q=label:', htmx=True).text}</ul>", fragment=True)
    assert "label:env=<b>&x" in [offer.text for offer in offers.find("//li[@role='option']/span")]
    assert "Nothing matches" in as_alice.page("/vms?label=other").text()
    assert "web-1" in as_alice.page("/vms?label=%00").text()


def test_labels_of_a_project_stand_on_its_pages(as_alice, project):
    answer = as_alice.post(f"/projects/{project.id}/settings", {"name": "Website", "labels": "team=web, =bad"})
    assert set(Page(answer.text).errors()) == {"labels"}
    as_alice.post(f"/projects/{project.id}/settings", {"name": "Website", "labels": "team=web"})
    for path in (f"/projects/{project.id}", "/projects"):
        assert as_alice.page(path).one("//span[@class='z-label']").text == "team=web"
    assert (
        as_alice.page(f"/projects/{project.id}/settings").one("//textarea[@name='labels']").text.strip() == "team=web"
    )


def test_admins_filter_and_files_are_no_formulas(as_admin, cloud, alice, project, machine):
    cloud.vms.labels.set(machine.id, "@SUM(1+1)=x", actor=acting(alice))
    cloud.projects.settings.update(project.id, {"name": "Website", "labels": "-1+1"}, actor=acting(alice))
    page = as_admin.page("/admin/vms?label=@SUM(1%2B1)")
    assert page.one("//a[@class='z-label']").get("href") == "/admin/vms?label=%40SUM%281%2B1%29%3Dx"
    assert "Nobody has one that fits" in as_admin.page("/admin/vms?label=none").text()
    link = page.one("//a[contains(@href, 'vms.csv')]").get("href")
    (row,) = csv_rows(as_admin.get(link))
    assert row["labels"] == "'@SUM(1+1)=x"
    (row,) = csv_rows(as_admin.get("/admin/projects.csv?q=website"))
    assert row["labels"] == "'-1+1"
