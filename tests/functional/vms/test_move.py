"""/vms/<id>/move."""

import pytest

from tests.page import Page
from tests.services.people import acting

pytestmark = pytest.mark.integration


@pytest.fixture
def shop(cloud, alice):
    return cloud.project(alice, "Shop")


@pytest.mark.parametrize("htmx", [False, True])
def test_moving_leads_back_to_the_machine(as_alice, cloud, machine, shop, htmx):
    page = as_alice.page(f"/vms/{machine.id}/move", htmx=htmx)
    assert [option.text for option in page.find("//option")] == ["Choose…", "Shop"]
    answer = as_alice.post(f"/vms/{machine.id}/move", {"project_id": shop.id}, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == f"/vms/{machine.id}"
    shown = as_alice.page(f"/vms/{machine.id}").text()
    assert "web-1 is in Shop now." in shown
    assert "Moved web-1 into Shop" in shown
    assert cloud.vm(machine).project_id == shop.id


@pytest.mark.parametrize("htmx", [False, True])
def test_what_stands_in_the_way_is_said_beside_the_choice(as_alice, cloud, alice, machine, shop, htmx):
    for chosen in ("", shop.id):
        cloud.vms.quotas.set_limits(shop.id, {"vms": "0"})
        answer = as_alice.post(f"/vms/{machine.id}/move", {"project_id": chosen}, htmx=htmx)
        assert answer.status_code == (409 if chosen else 400)
        page = Page(answer.text, fragment=htmx)
        assert set(page.errors()) == {"project_id"}
        assert [option.get("value") for option in page.find("//option[@selected]")] == [chosen]


def test_without_another_project_the_page_says_so(as_alice, machine):
    assert "There is no other project" in as_alice.page(f"/vms/{machine.id}/move").text()


def test_strangers_and_projects_of_others_are_not_found(as_charlie, as_alice, cloud, charlie, machine):
    theirs = cloud.project(charlie, "Theirs")
    assert as_charlie.post(f"/vms/{machine.id}/move", {"project_id": theirs.id}).status_code == 404
    assert as_alice.post(f"/vms/{machine.id}/move", {"project_id": theirs.id}).status_code == 404
    assert as_alice.post(f"/vms/{machine.id}/move", {"project_id": "x\x00y"}).status_code == 404


def test_something_under_way_comes_first(as_alice, cloud, alice, machine, shop):
    cloud.vms.stop_vm(machine.id, actor=acting(alice))
    answer = as_alice.post(f"/vms/{machine.id}/move", {"project_id": shop.id})
    assert answer.status_code == 409
    assert "it can be moved when that is done" in answer.text
