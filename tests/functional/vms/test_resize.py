"""/vms/<id>/resize and its quote."""

import pytest

from tests.page import Page
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


def values(page, size):
    key = page.find("//input[@name='idempotency_key']")[0].get("value")
    return {"size_id": size, "idempotency_key": key}


def test_the_page_offers_what_fits_and_says_why_the_rest_does_not(as_alice, cloud, alice, project):
    vm = cloud.launch(alice, project, "large-disk", "size_small")
    page = as_alice.page(f"/vms/{vm.id}/resize")
    text = page.text()
    assert "a disk cannot shrink to 1 GiB" in text
    assert "It has this size now." in text
    assert "This restarts the machine." in text
    assert "Restart as medium for 0.1" in text
    radios = {node.get("value"): node.get("disabled") for node in page.find("//input[@name='size_id']")}
    assert [size for size, off in radios.items() if off is None] == ["size_medium", "size_large"]
    assert page.find("//input[@name='size_id' and @checked]")[0].get("value") == "size_medium"


def test_the_price_moves_with_the_choice(as_alice, machine):
    answer = as_alice.get(f"/vms/{machine.id}/resize/quote?size_id=size_small", htmx=True)
    assert "Restart as small for 0.05 " in answer.text
    assert "0.005" in answer.text
    assert "Not enough credits" not in answer.text
    assert f"/credits/what-if?size.{machine.id}=size_small" in answer.text
    assert as_alice.page(f"/vms/{machine.id}/resize/quote?size_id=nonsense", htmx=True).text()


@pytest.mark.parametrize("htmx", [False, True])
def test_an_order_is_accepted_and_its_steps_are_shown(as_alice, cloud, machine, htmx):
    page = as_alice.page(f"/vms/{machine.id}/resize")
    answer = as_alice.post(f"/vms/{machine.id}/resize", values(page, "size_micro"), htmx=htmx)
    where = answer.headers.get("HX-Redirect" if htmx else "Location")
    assert where == f"/vms/{machine.id}"
    shown = as_alice.page(where).text()
    assert "Resizing" in shown
    assert "Changing its size" in shown
    assert "Resizing web-1 from nano to micro" in shown
    cloud.worker.work()
    cloud.round(3)
    shown = as_alice.page(where).text()
    assert (cloud.vm(machine).state, cloud.vm(machine).size_name) == (VMState.RUNNING, "micro")
    assert "Resized web-1 from nano to micro" in shown


def test_the_same_form_sent_twice_has_one_effect(as_alice, cloud, machine):
    sent = values(as_alice.page(f"/vms/{machine.id}/resize"), "size_micro")
    assert [as_alice.post(f"/vms/{machine.id}/resize", sent).status_code for _ in range(2)] == [303, 303]
    assert len(cloud.operations(machine)) == 2


@pytest.mark.parametrize("htmx", [False, True])
def test_too_little_credit_comes_back_into_the_form_with_the_choice_kept(as_alice, cloud, alice, machine, htmx):
    cloud.set_wallet(alice, 10)
    sent = values(as_alice.page(f"/vms/{machine.id}/resize"), "size_large")
    answer = as_alice.post(f"/vms/{machine.id}/resize", sent, htmx=htmx)
    assert answer.status_code == 400
    assert "more are needed" in answer.text
    assert 'value="size_large" required checked' in answer.text
    assert sent["idempotency_key"] in answer.text
    assert cloud.vm(machine).state == VMState.RUNNING


@pytest.mark.parametrize("size", ["", "size_nano", "nonsense", "\x00"])
def test_a_choice_that_makes_no_sense_is_refused_on_its_field(as_alice, cloud, machine, size):
    answer = as_alice.post(f"/vms/{machine.id}/resize", {"size_id": size})
    assert answer.status_code == 400
    assert 'id="size_id-error"' in answer.text
    assert cloud.vm(machine).state == VMState.RUNNING


def test_a_stopped_machine_is_changed_in_place(as_alice, cloud, machine):
    as_alice.post(f"/vms/{machine.id}/stop")
    cloud.worker.work()
    page = as_alice.page(f"/vms/{machine.id}/resize?size_id=size_small")
    assert "Change to small: 0.002 per hour stopped" in page.text()
    assert "restarts" not in page.text()
    assert as_alice.post(f"/vms/{machine.id}/resize", values(page, "size_small")).status_code == 303
    cloud.worker.work()
    assert (cloud.vm(machine).state, cloud.vm(machine).size_name) == (VMState.STOPPED, "small")


def test_a_state_that_does_not_allow_it_says_so(as_alice, machine):
    as_alice.post(f"/vms/{machine.id}/stop")
    assert "its size can be changed when it runs or is stopped" in as_alice.page(f"/vms/{machine.id}/resize").text()
    answer = as_alice.post(f"/vms/{machine.id}/resize", {"size_id": "size_micro"})
    assert answer.status_code == 409


def test_the_largest_has_nowhere_to_go(as_alice, cloud, alice, project):
    vm = cloud.launch(alice, project, "huge", "size_large")
    assert "No other size fits" in as_alice.page(f"/vms/{vm.id}/resize").text()


def test_it_is_in_the_menus(as_alice, machine):
    for path in (f"/vms/{machine.id}/menu", f"/vms/{machine.id}"):
        assert as_alice.page(path).find(f"//a[@href='/vms/{machine.id}/resize']"), path


@pytest.mark.parametrize("htmx", [False, True])
def test_a_size_at_another_price_than_shown_asks_again(as_alice, cloud, machine, htmx):
    url = f"/vms/{machine.id}/resize"
    page = as_alice.page(url)
    sent = values(page, "size_large") | {"shown_price": page.one("//input[@name='shown_price']").get("value")}
    answer = as_alice.post(url, sent, htmx=htmx)
    assert answer.status_code == 409
    assert "large comes at another price than this page showed" in answer.text
    assert "Now: 0.20 credits per hour running" in answer.text
    assert cloud.vm(machine).state == VMState.RUNNING
    again = Page(answer.text, fragment=htmx)
    shown = again.one("//input[@name='shown_price']").get("value")
    assert (shown, again.one("//input[@name='size_id'][@checked]").get("value")) == ("200000-8000", "size_large")
    assert as_alice.post(url, sent | {"shown_price": shown}).status_code == 303
