"""/vms/<id>/rebuild and /vms/<id>/bring_back."""

import pytest

from tests.page import Page
from tests.services.people import acting
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration
WANTED = {"image_id": "img_tiny", "confirm_name": "web-1", "access": "keep"}


def test_a_rebuild_is_ordered_and_taken_back(as_alice, cloud, machine):
    page = as_alice.page(f"/vms/{machine.id}/rebuild")
    assert [box.get("value") for box in page.find("//input[@name='image_id'][@checked]")] == ["img_tiny"]
    assert [box.get("value") for box in page.find("//input[@name='access'][@checked]")] == ["keep"]
    assert "kept aside for an hour" in page.text()
    sent = WANTED | {"price-img_tiny": page.one("//input[@name='price-img_tiny']").get("value")}
    assert as_alice.post(f"/vms/{machine.id}/rebuild", sent).headers["Location"] == f"/vms/{machine.id}"
    assert cloud.vm(machine).state == VMState.REBUILDING
    shown = as_alice.page(f"/vms/{machine.id}").text()
    assert "The rebuild is ordered." in shown
    assert "A fresh disk takes the place of the one that was" in shown
    cloud.worker.work()
    assert "Rebuilt web-1 from" in as_alice.page(f"/vms/{machine.id}/activity").text()
    settings = as_alice.page(f"/vms/{machine.id}/settings")
    assert "Disk from before" in settings.text()
    assert settings.find(f"//a[@href='/vms/{machine.id}/bring_back']")

    assert "What was written since then is lost" in as_alice.page(f"/vms/{machine.id}/bring_back").text()
    assert as_alice.post(f"/vms/{machine.id}/bring_back").status_code == 303
    cloud.worker.work()
    assert "Brought back the disk" in as_alice.page(f"/vms/{machine.id}/activity").text()
    assert as_alice.get(f"/vms/{machine.id}/bring_back").status_code == 409
    assert "Disk from before" not in as_alice.page(f"/vms/{machine.id}/settings").text()


@pytest.mark.parametrize(
    ("changes", "field", "problem"),
    [
        ({"confirm_name": ""}, "confirm_name", "Type the name to confirm."),
        ({"confirm_name": "web-2"}, "confirm_name", "Type “web-1” to confirm."),
        ({"image_id": ""}, "image_id", "Choose an image."),
        ({"access": "new", "user_data": "echo"}, "user_data", "must begin with"),
        ({"access": "new", "ssh_key": "no key"}, "ssh_key", ""),
    ],
)
def test_what_cannot_be_is_kept_and_said_at_the_field(as_alice, cloud, machine, changes, field, problem):
    answer = as_alice.post(f"/vms/{machine.id}/rebuild", WANTED | changes)
    assert answer.status_code == 400
    page = Page(answer.text)
    assert problem in str(page.errors()[field])
    assert cloud.vm(machine).state == VMState.RUNNING


def test_at_another_price_than_was_shown_nothing_is_ordered(as_alice, cloud, machine):
    answer = as_alice.post(f"/vms/{machine.id}/rebuild", WANTED | {"price-img_tiny": "1-1"})
    assert answer.status_code == 409
    assert "nothing was ordered yet" in answer.text
    assert cloud.vm(machine).state == VMState.RUNNING


def test_a_protected_machine_says_so(as_alice, cloud, alice, machine):
    cloud.vms.bin.set_protection(machine.id, True, actor=acting(alice))
    page = as_alice.page(f"/vms/{machine.id}/rebuild")
    assert "web-1 is protected from deletion and rebuild." in page.text()
    assert page.find("//button[normalize-space()='Switch its protection off']")
    assert as_alice.post(f"/vms/{machine.id}/rebuild", WANTED).status_code == 409
    assert cloud.vm(machine).state == VMState.RUNNING


def test_a_stranger_finds_nothing(as_charlie, machine):
    for path in ("rebuild", "bring_back"):
        assert as_charlie.get(f"/vms/{machine.id}/{path}").status_code == 404
        assert as_charlie.post(f"/vms/{machine.id}/{path}", WANTED).status_code == 404
