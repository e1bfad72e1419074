"""/vms/<id>/password."""

import pytest

from tests.page import Page
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


@pytest.fixture
def listening(cloud, machine):
    """Its agent has been seen."""
    cloud.round(30)
    return machine


def test_the_password_is_shown_once(as_alice, cloud, listening):
    vm = listening
    assert "shows it once" in as_alice.page(f"/vms/{vm.id}/password").text()
    answer = as_alice.post(f"/vms/{vm.id}/password")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
    assert "It is shown this once" in Page(answer.text).text()
    password = answer.text.split('data-copy="')[1].split('"')[0]
    assert len(password) == 20
    assert cloud.vm(vm).state == VMState.PASSWORD
    assert "New password" in as_alice.page(f"/vms/{vm.id}").text()
    assert as_alice.post(f"/vms/{vm.id}/password").status_code == 409
    cloud.worker.work()
    operation = cloud.operations(vm)[-1].id
    for path in (f"vms/{vm.id}", f"vms/{vm.id}/activity", f"vms/{vm.id}/settings", f"operations/{operation}"):
        assert password not in as_alice.get(f"/{path}").text
    assert "Set a new password on" in as_alice.page(f"/vms/{vm.id}/activity").text()


def test_without_an_agent_the_page_says_so_and_leads_to_rescue(as_alice, cloud, listening):
    vm = listening
    settings = as_alice.page(f"/vms/{vm.id}/settings")
    assert settings.find(f"//a[@href='/vms/{vm.id}/password?user=root']")
    cloud.control.agent(vm.id, "none")
    cloud.round(5)
    settings = as_alice.page(f"/vms/{vm.id}/settings")
    assert "No agent answers in its guest" in settings.text()
    assert not settings.find(f"//a[starts-with(@href, '/vms/{vm.id}/password')]")
    assert settings.find(f"//a[@href='/vms/{vm.id}/rescue']")
    assert "takes rescue" in as_alice.page(f"/vms/{vm.id}").text()
    for answer in (as_alice.get(f"/vms/{vm.id}/password"), as_alice.post(f"/vms/{vm.id}/password")):
        assert answer.status_code == 409
        assert "takes rescue" in answer.text


def test_only_users_that_the_guest_has_by_its_image(as_alice, listening):
    assert as_alice.post(f"/vms/{listening.id}/password", data={"user": "mallory"}).status_code == 400
    assert "mallory" not in as_alice.get(f"/vms/{listening.id}/password?user=mallory").text


def test_a_stranger_finds_nothing(as_charlie, listening):
    assert as_charlie.get(f"/vms/{listening.id}/password").status_code == 404
    assert as_charlie.post(f"/vms/{listening.id}/password").status_code == 404
