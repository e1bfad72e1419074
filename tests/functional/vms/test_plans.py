"""Before and after side by side; what is confirmed is that plan, or nothing: 409 with both."""

import json

import pytest
from sqlalchemy import update

from tests.page import Page
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbVM

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def bin(cloud):
    cloud.keep_deleted(7)


def plan_of(page):
    return page.one("//input[@name='plan']").get("value")


def rows_of(page, label):
    return [
        ["".join(cell.itertext()).strip() for cell in row] for row in page.find(f"//table[caption='{label}']/tbody/tr")
    ]


def grow(cloud, machine):
    """Somebody else changed it meanwhile."""
    with cloud.vms.transaction() as session:
        session.execute(update(DbVM).where(DbVM.id == machine.id).values(stopped_micro_per_hour=777, disk_gib=99))


def test_a_deletion_says_what_it_changes(as_alice, machine):
    page = as_alice.page(f"/vms/{machine.id}/delete")
    rows = {row[0]: row[1:] for row in rows_of(page, "Before and after")}
    assert rows["Processors"] == ["1", "0"]
    assert rows["Per hour"] == ["0.005", "0.00"]
    assert rows["Credits last"][1] == "for ever"
    assert json.loads(plan_of(page))["name"] == machine.name


@pytest.mark.parametrize("htmx", [False, True])
def test_what_changed_meanwhile_stops_a_deletion(as_alice, cloud, machine, htmx):
    url = f"/vms/{machine.id}/delete"
    plan = plan_of(as_alice.page(url))
    grow(cloud, machine)
    answer = as_alice.post(url, {"confirm_name": machine.name, "plan": plan}, htmx=htmx)
    assert answer.status_code == 409
    page = Page(answer.text, fragment=htmx)
    assert "nothing was ordered yet" in page.text()
    assert ["Disk, GiB", "1", "99"] in rows_of(page, "What changed")
    assert cloud.vm(machine).state == VMState.RUNNING
    assert page.one("//input[@name='confirm_name']").get("value") == machine.name  # what was typed stays
    again = {"confirm_name": machine.name, "plan": plan_of(page)}
    assert as_alice.post(url, again).status_code == 303
    assert cloud.row(machine).deleted_at is not None


def test_a_plan_made_up_is_none(as_alice, cloud, machine):
    for plan in ("{}", "[1]", "nonsense", '{"name":"web-1"}', "x" * 3000):
        answer = as_alice.post(f"/vms/{machine.id}/delete", {"confirm_name": machine.name, "plan": plan})
        assert answer.status_code == 409, plan
    assert cloud.vm(machine).state == VMState.RUNNING


def test_a_resize_is_of_the_machine_that_was_shown(as_alice, cloud, machine):
    url = f"/vms/{machine.id}/resize"
    page = as_alice.page(f"{url}?size_id=size_small")
    rows = {row[0]: row[1:] for row in rows_of(page, "Before and after")}
    assert rows["Processors"][0] != ""
    assert rows["While it runs"][0] == "0.005"
    form = {"size_id": "size_small", "plan": plan_of(page)}
    cloud.vms.stop_vm(machine.id)
    cloud.worker.work()
    answer = as_alice.post(url, form)
    assert answer.status_code == 409
    assert ["Power", "on", "off"] in rows_of(Page(answer.text), "What changed")
    form["plan"] = plan_of(Page(answer.text))
    assert as_alice.post(url, form).status_code == 303


def test_another_price_shows_both(as_alice, machine):
    answer = as_alice.post(f"/vms/{machine.id}/resize", {"size_id": "size_small", "shown_price": "1-1"})
    assert answer.status_code == 409
    assert len(rows_of(Page(answer.text), "What changed")) == 2


def test_a_move_and_a_change_of_several(as_alice, alice, cloud, machine, project):
    other = cloud.project(alice, "other")
    url = f"/vms/{machine.id}/move"
    form = {"project_id": other.id, "plan": plan_of(as_alice.page(url))}
    several = {"do": "delete", "id": machine.id, "confirm": machine.name}
    several["plan"] = plan_of(as_alice.page(f"/vms/bulk?do=delete&id={machine.id}"))
    grow(cloud, machine)
    answer = as_alice.post(url, form)
    assert answer.status_code == 409
    assert Page(answer.text).one("//option[@selected]").get("value") == other.id
    assert as_alice.post("/vms/bulk", several).status_code == 409
    assert (cloud.vm(machine).project_id, cloud.vm(machine).state) == (project.id, VMState.RUNNING)


def test_a_second_click_is_no_other_plan(as_alice, cloud, machine):
    form = {"do": "stop", "id": machine.id, "plan": plan_of(as_alice.page(f"/vms/bulk?do=stop&id={machine.id}"))}
    assert as_alice.post("/vms/bulk", form).status_code == 303
    assert as_alice.post("/vms/bulk", form).status_code == 303


def test_a_rebuild_is_of_the_machine_and_the_image_that_were_shown(as_alice, cloud, machine):
    url = f"/vms/{machine.id}/rebuild"
    page = as_alice.page(url)
    rows = {row[0]: row[1:] for row in rows_of(page, "Before and after")}
    assert rows["Image"] == ["Zentry Tiny Linux", "Zentry Tiny Linux"]
    assert rows["Per hour"] == ["0.005", "0.005"]
    assert rows["Disk"][1] == "fresh; the old one is kept aside for an hour"
    part = as_alice.page(f"{url}/plan?image_id=img_tiny", htmx=True)
    assert plan_of(part) == plan_of(page)
    assert not as_alice.page(f"{url}/plan?image_id=img_no", htmx=True).find("//input")
    form = {"image_id": "img_tiny", "access": "keep", "confirm_name": machine.name, "plan": plan_of(page)}
    grow(cloud, machine)
    answer = as_alice.post(url, form)
    assert answer.status_code == 409
    again = Page(answer.text)
    assert "nothing was ordered yet" in again.text()
    assert ["Disk, GiB", "1", "99"] in rows_of(again, "What changed")
    assert cloud.vm(machine).state == VMState.RUNNING
    assert as_alice.post(url, form | {"plan": plan_of(again)}).status_code == 303
    assert cloud.vm(machine).state == VMState.REBUILDING


@pytest.mark.parametrize("htmx", [False, True])
def test_a_revert_is_of_the_machine_that_was_shown(as_alice, cloud, machine, htmx):
    as_alice.post(f"/vms/{machine.id}/snapshots/new", {"name": "before"})
    cloud.worker.work()
    (snapshot,) = cloud.vms.snapshots.list(machine.id, actor=SYSTEM)
    url = f"/vms/{machine.id}/snapshots/{snapshot.id}/revert"
    page = as_alice.page(url)
    rows = {row[0]: row[1:] for row in rows_of(page, "Before and after")}
    assert rows["Power"] == ["running", "running, with the memory it had"]
    assert rows["Away for"][1] == "some seconds; connections to it break"
    cloud.vms.stop_vm(machine.id)
    cloud.worker.work()
    answer = as_alice.post(url, {"plan": plan_of(page)}, htmx=htmx)
    assert answer.status_code == 409
    again = Page(answer.text, fragment=htmx)
    assert ["Power", "on", "off"] in rows_of(again, "What changed")
    assert cloud.vm(machine).state == VMState.STOPPED
    rows = {row[0]: row[1:] for row in rows_of(again, "Before and after")}
    assert rows["Per hour"] == ["0.0001", "0.005"]
    assert as_alice.post(url, {"plan": plan_of(again)}).status_code == 303
