"""/vms/<id>/rename."""

import pytest

from tests.functional.conftest import Browser
from tests.page import Page
from tests.services.people import acting, events_of, join, personal_of

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("htmx", [False, True])
def test_the_new_name_is_shown_at_once(as_alice, cloud, core, machine, htmx):
    page = as_alice.page(f"/vms/{machine.id}/rename", htmx=htmx)
    assert page.one("//input[@name='name']").get("value") == "web-1"
    assert "its host name follows at the next boot" in page.text()
    answer = as_alice.post(f"/vms/{machine.id}/rename", {"name": " Shop-2 "}, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == f"/vms/{machine.id}"
    shown = as_alice.page(f"/vms/{machine.id}").text()
    assert "The machine is called shop-2 now." in shown
    assert "Renamed web-1 to shop-2" in shown
    assert "shop-2" in as_alice.page("/vms").text()
    assert cloud.vm(machine).name == "shop-2"
    (event,) = events_of(core, "vm.rename")
    assert {"name_before": "web-1", "name_after": "shop-2"}.items() <= personal_of(core, event.id).items()
    assert event.details == {}


def test_the_same_name_again_is_no_event(as_alice, core, machine):
    assert as_alice.post(f"/vms/{machine.id}/rename", {"name": "web-1"}).status_code == 303
    assert events_of(core, "vm.rename") == []


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("", "Give the machine a name."),
        ("no_good", "Use 1 to 63 letters"),
        ("-a", "Use 1 to 63 letters"),
        ("db", "This project already has a machine named “db”."),
    ],
)
def test_what_cannot_be_is_kept_and_said_at_the_field(as_alice, cloud, alice, project, machine, typed, problem):
    cloud.launch(alice, project, "db")
    answer = as_alice.post(f"/vms/{machine.id}/rename", {"name": typed})
    assert answer.status_code == 400
    page = Page(answer.text)
    assert problem in page.errors()["name"]
    assert (page.one("//input[@name='name']").get("value") or "") == typed
    assert cloud.vm(machine).name == "web-1"


def test_a_machine_under_way_can_be_renamed(as_alice, cloud, alice, machine):
    cloud.vms.stop_vm(machine.id, actor=acting(alice))
    assert as_alice.post(f"/vms/{machine.id}/rename", {"name": "later"}).status_code == 303
    assert cloud.vm(machine).name == "later"


def test_a_stranger_finds_nothing_and_a_viewer_may_only_look(as_charlie, web, container, bob, project, machine):
    assert as_charlie.post(f"/vms/{machine.id}/rename", {"name": "mine"}).status_code == 404
    join(container, project, bob, "restricted")
    as_bob = Browser(web).log_in(bob)
    assert as_bob.post(f"/vms/{machine.id}/rename", {"name": "mine"}).status_code == 403
    assert not as_bob.page(f"/vms/{machine.id}").find(f"//a[@href='/vms/{machine.id}/rename']")
