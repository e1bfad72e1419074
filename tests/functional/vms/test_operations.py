"""/operations: the list, the page of one, aborting and trying again."""

import pytest

from tests.page import Page
from tests.services.people import acting
from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


def failed(cloud, machine, alice, monkeypatch):
    """A resize that the driver refused."""

    def refuse(*_args, **_more):
        raise ComputeRefused("no room on the host")

    cloud.vms.resize_vm(machine.id, "size_small", actor=acting(alice))
    with monkeypatch.context() as broken:
        broken.setattr(cloud.driver, "check_resize", refuse)
        cloud.worker.work()
    return cloud.operations(machine)[-1]


def test_an_order_leads_to_its_page(as_alice, cloud, machine):
    answer = as_alice.post(f"/vms/{machine.id}/stop", htmx=True)
    operation = cloud.operations(machine)[-1]
    url = f"/operations/{operation.id}"
    assert url in answer.text
    page = as_alice.page(url)
    assert "Stop of web-1" in page.text()
    assert page.one("//div[@id='operation']").get("data-live").startswith(f"vm:{machine.id} steps:{machine.id}")
    assert [step.get("class") for step in page.find("//li[starts-with(@class, 'z-step ')]")] == [
        "z-step current",
        "z-step waiting",
    ]
    cloud.worker.work()
    page = as_alice.page(url, htmx=True)
    assert page.one("//div[@id='operation']").get("data-live") is None  # it moves no more
    assert url in as_alice.get(f"/vms/{machine.id}/activity").text
    assert url in as_alice.get("/operations").text


def test_it_is_aborted_after_a_question(as_alice, cloud, machine):
    as_alice.post(f"/vms/{machine.id}/stop")
    url = f"/operations/{cloud.operations(machine)[-1].id}"
    assert as_alice.page(url).find(f"//a[@href='{url}/abort']")
    question = as_alice.page(f"{url}/abort", htmx=True).one("//form[contains(@class, 'z-dialog-main')]")
    assert question.get("action") == f"{url}/abort"
    assert as_alice.post(f"{url}/abort").status_code == 303
    assert "Aborting" in as_alice.page(url).text()
    cloud.worker.work()
    assert cloud.vm(machine).state == VMState.RUNNING
    assert "Cancelled" in as_alice.page(url).text()
    assert as_alice.get(f"{url}/abort").status_code == 409


def test_what_cannot_be_aborted_says_why(as_alice, cloud, machine):
    as_alice.post(f"/vms/{machine.id}/stop")
    url = f"/operations/{cloud.operations(machine)[-1].id}"
    seen = []

    def at(step):
        if step == "stop.asked" and not seen:
            seen.append(as_alice.page(url))
            assert as_alice.post(f"{url}/abort").status_code == 409

    cloud.worker.checkpoint = at
    cloud.worker.work()
    (page,) = seen
    button = page.one("//button[@aria-describedby='why-not']")
    assert button.get("disabled") is not None
    assert "come too far" in page.text()


def test_a_failed_one_says_why_and_is_tried_again(as_alice, alice, cloud, machine, monkeypatch):
    operation = failed(cloud, machine, alice, monkeypatch)
    url = f"/operations/{operation.id}"
    assert url in as_alice.get(f"/vms/{machine.id}").text
    page = as_alice.page(url)
    assert "no room on the host" in page.text()
    assert page.find(f"//a[@href='{url}/again']")
    assert "no room on the host" in as_alice.page("/operations?show=failed").text()
    answer = as_alice.post(f"{url}/again", {"shown_price": "1-1"})
    assert answer.status_code == 409
    assert "another price" in Page(answer.text).text()
    answer = as_alice.post(f"{url}/again")
    assert answer.status_code == 303
    assert answer.headers["Location"] != url
    assert as_alice.get(f"{url}/again").status_code == 409
    assert "Something else has been ordered since." in as_alice.page(url).text()
    cloud.worker.work()
    assert cloud.vm(machine).size_id == "size_small"


def test_everybodys_are_for_admins(as_alice, as_admin, as_charlie, machine, cloud):
    operation = cloud.operations(machine)[-1]
    assert as_alice.get("/operations?of=all").status_code == 403
    assert operation.id in as_admin.get("/operations?of=all").text
    assert operation.id not in as_charlie.get("/operations").text
    assert as_charlie.get(f"/operations/{operation.id}").status_code == 404


def test_a_list_goes_on_by_its_last_row(as_alice, machine, cloud):
    first = cloud.operations(machine)[0]
    assert as_alice.page(f"/operations?before={first.id}").find("//*[@class='z-empty-title']")


def test_a_failure_is_told_and_its_notice_leads_to_where_it_is_tried_again(
    as_alice, cloud, machine, alice, monkeypatch
):
    operation = failed(cloud, machine, alice, monkeypatch)
    url = f"/operations/{operation.id}"
    notices = as_alice.page("/account/notices")
    assert "Resize of web-1 failed" in notices.text()
    assert "no room on the host" in notices.text()
    assert url in notices.html
    assert "Try again" in as_alice.page(url).text()
    assert url in as_alice.page("/overview").html
    cloud.vms.stop_vm(machine.id, actor=acting(alice))
    cloud.worker.work()
    assert len(cloud.billing.notices.list_notices(alice.id)) == 1  # what comes off is not told


def test_what_is_aborted_is_not_told_as_a_failure(as_alice, cloud, machine, alice):
    as_alice.post(f"/vms/{machine.id}/stop")
    as_alice.post(f"/operations/{cloud.operations(machine)[-1].id}/abort")
    cloud.worker.work()
    assert not cloud.billing.notices.list_notices(alice.id)
