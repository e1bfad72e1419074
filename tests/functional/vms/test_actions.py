"""/vms/<id>/start, stop, reboot, suspend, resume, reset, force_off, and /vms/<id>/delete."""

import pytest

from tests.page import Page
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    ("action", "state"), [("stop", "Stopping"), ("reboot", "Rebooting"), ("suspend", "Suspending")]
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
        assert page.find("//div[@id='toasts']/div[contains(@class, 'z-green')]")


@pytest.mark.parametrize("htmx", [False, True])
def test_forcing_off_is_asked_first(as_alice, cloud, machine, htmx):
    url = f"/vms/{machine.id}/force_off"
    page = as_alice.page(url, htmx=htmx)
    assert "what it has not written to its disk is lost" in page.text()
    assert "0.0001 credits per hour" in page.text()
    assert cloud.vm(machine).state == VMState.RUNNING
    form = page.one("//form[contains(@class, 'z-dialog-main')]")
    assert (form.get("action"), form.get("method")) == (url, "post")
    answer = as_alice.post(url)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/vms/{machine.id}")
    assert cloud.vm(machine).state == VMState.STOPPING
    assert as_alice.get(url).status_code in (200, 409)


@pytest.mark.parametrize("htmx", [False, True])
def test_a_reset_is_asked_first(as_alice, cloud, machine, htmx):
    url = f"/vms/{machine.id}/reset"
    assert "the guest is not asked" in as_alice.page(url, htmx=htmx).text()
    assert cloud.vm(machine).state == VMState.RUNNING
    assert as_alice.post(url).status_code == 303
    assert cloud.vm(machine).state == VMState.REBOOTING
    assert as_alice.get(url).status_code == 409


def test_dangerous_items_are_last_and_red(as_alice, machine):
    items = as_alice.page(f"/vms/{machine.id}").find("//div[@id='vm-more']//*[contains(@class, 'z-menu-item')]")
    words = ["".join(item.itertext()).strip() for item in items]
    red = ["danger" in item.get("class").split() for item in items]
    assert words[-4:] == ["Reset", "Rebuild", "Force off", "Delete"]
    assert red == [False] * (len(red) - 4) + [True] * 4


@pytest.mark.parametrize("htmx", [False, True])
def test_a_start_at_another_price_asks_again(as_alice, cloud, machine, htmx):
    as_alice.post(f"/vms/{machine.id}/stop")
    cloud.worker.work()
    form = as_alice.page(f"/vms/{machine.id}").one("//form[@id='vm-start']")
    shown = form.find(".//input[@name='shown_price']").get("value")
    assert shown == "5000-100"
    url = f"/vms/{machine.id}/start"
    answer = as_alice.post(url, {"shown_price": "4000-100"}, htmx=htmx)
    assert answer.status_code == 409
    assert answer.headers.get("HX-Retarget") == ("#z-dialog-body" if htmx else None)
    for words in ("0.005 credits per hour running", "0.004 credits per hour running", "Start: 0.005/h"):
        assert words in answer.text
    assert cloud.vm(machine).state == VMState.STOPPED
    again = Page(answer.text, fragment=htmx).one("//input[@name='shown_price']").get("value")
    assert as_alice.post(url, {"shown_price": again}, htmx=htmx).status_code == (200 if htmx else 303)
    assert cloud.vm(machine).state == VMState.STARTING


def test_the_list_s_menu_sends_the_price_along(as_alice, cloud, machine):
    as_alice.post(f"/vms/{machine.id}/stop")
    cloud.worker.work()
    page = as_alice.page(f"/vms/{machine.id}/menu", htmx=True)
    start = page.one(f"//form[@action='/vms/{machine.id}/start']")
    assert start.find("input[@name='shown_price']").get("value") == "5000-100"


@pytest.mark.parametrize("sent", ["x", "1", "5000", "5000-100-1", "-1--1", "9" * 30 + "-1", "٥-1"])
def test_a_price_that_nobody_showed_is_another(as_alice, cloud, machine, sent):
    as_alice.post(f"/vms/{machine.id}/stop")
    cloud.worker.work()
    assert as_alice.post(f"/vms/{machine.id}/start", {"shown_price": sent}).status_code == 409


def test_stop_and_start_again(as_alice, cloud, machine):
    as_alice.post(f"/vms/{machine.id}/stop")
    cloud.worker.work()
    page = as_alice.page(f"/vms/{machine.id}")
    assert "Stopped" in page.text()
    assert "Start: 0.005/h" in page.text()
    assert as_alice.post(f"/vms/{machine.id}/start").status_code == 303
    cloud.worker.work()
    assert cloud.vm(machine).state == VMState.RUNNING


@pytest.mark.parametrize(
    ("how", "shown", "button", "why"),
    [
        ("paused", "Paused", "Resume", "paused on the host"),
        ("full", "Paused", "Resume", "the host’s disk is full"),
        ("sleeping", "Sleeping", "Wake", "put itself to sleep"),
    ],
)
def test_what_stands_still_is_shown_everywhere_and_can_go_on(as_alice, cloud, machine, how, shown, button, why):
    cloud.control.pause(machine.id, how)
    cloud.round(3)
    page = as_alice.page(f"/vms/{machine.id}")
    assert why in page.text()
    assert "it costs what it costs running" in page.text()
    assert "".join(page.one("//form[@id='vm-resume']//button").itertext()).strip() == button
    assert not page.find("//form[@id='vm-stop'] | //form[@id='vm-start'] | //form[@id='vm-reboot']")
    listed = as_alice.page(f"/vms?state={shown.lower()}")
    assert listed.find(f"//tbody//span[@class and contains(., '{shown}')]/@title")
    assert why in as_alice.page("/overview").text()
    assert as_alice.post(f"/vms/{machine.id}/resume").status_code == 303
    assert "Resuming" in as_alice.page(f"/vms/{machine.id}").text()
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
    assert as_alice.get(f"/vms/{machine.id}").status_code == 410
