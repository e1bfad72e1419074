"""/vms/<id>/start, stop, reboot, force_off, and /vms/<id>/delete."""

import pytest

from tests.page import Page
from zentry_web.domain.vm import VMState

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("action", "state"), [("stop", "Stopping"), ("reboot", "Rebooting"), ("force_off", "Stopping")]
)
@pytest.mark.parametrize("htmx", [False, True])
def test_an_order_is_accepted_at_once_and_shown(as_alice, machine, action, state, htmx):
    answer = as_alice.post(f"/vms/{machine.id}/{action}", htmx=htmx)
    if htmx:
        assert answer.status_code == 200
        assert state in answer.text
        assert 'hx-target="#toasts"' in answer.text
    else:
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/vms/{machine.id}")
        page = as_alice.page(f"/vms/{machine.id}")
        assert state in page.text()
        assert page.find("//div[@id='flash']/div[contains(@class, 'z-green')]")


def test_stop_and_start_again(as_alice, cloud, machine):
    as_alice.post(f"/vms/{machine.id}/stop")
    cloud.worker.work()
    page = as_alice.page(f"/vms/{machine.id}")
    assert "Stopped" in page.text()
    assert "Start: 0.005/h" in page.text()
    assert as_alice.post(f"/vms/{machine.id}/start").status_code == 303
    cloud.worker.work()
    assert cloud.vm(machine).state == VMState.RUNNING


@pytest.mark.parametrize("htmx", [False, True])
def test_what_the_state_does_not_allow_is_refused(as_alice, machine, htmx):
    answer = as_alice.post(f"/vms/{machine.id}/start", htmx=htmx)
    assert answer.status_code == 409
    assert "cannot be started now" in answer.text
    if htmx:
        assert answer.headers["HX-Retarget"] == "#toasts"
        assert answer.headers["HX-Reswap"] == "beforeend"


def test_a_start_without_credit_says_what_is_missing(as_alice, cloud, machine, alice):
    as_alice.post(f"/vms/{machine.id}/stop")
    cloud.worker.work()
    cloud.set_wallet(alice, 0)
    answer = as_alice.post(f"/vms/{machine.id}/start")
    assert answer.status_code == 400
    assert "more are needed" in answer.text
    assert 'href="/credits"' in answer.text


def test_an_unknown_action_is_not_there(as_alice, machine):
    assert as_alice.post(f"/vms/{machine.id}/explode").status_code == 404


def test_an_admin_s_order_is_written_down_as_theirs(as_admin, cloud, machine, admin):
    as_admin.post(f"/vms/{machine.id}/stop")
    newest = cloud.vms.list_vm_activity(machine.id)[0]
    assert (newest.action, newest.actor_id, newest.details["reason"]) == ("vm.stop", admin.id, "admin")
    assert newest.personal["address"] == "127.0.0.1"


@pytest.mark.parametrize("htmx", [False, True])
def test_deleting_needs_the_name(as_alice, cloud, machine, htmx):
    url = f"/vms/{machine.id}/delete"
    as_alice.page(url, htmx=htmx)
    for typed in ("", "web-2"):
        wrong = as_alice.post(url, {"confirm_name": typed}, htmx=htmx)
        assert wrong.status_code == 400
        assert set(Page(wrong.text, fragment=htmx).errors()) == {"confirm_name"}
    assert cloud.vm(machine).state == VMState.RUNNING
    answer = as_alice.post(url, {"confirm_name": "web-1"}, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == "/vms"
    cloud.worker.work()
    assert as_alice.get(f"/vms/{machine.id}").status_code == 404
