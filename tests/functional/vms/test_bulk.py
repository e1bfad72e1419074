"""/vms/bulk: several machines of one's own, from the list to what became of each."""

import re

import pytest

from tests.functional.conftest import Browser
from tests.page import Page
from tests.services.people import acting, join
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration
ENGLISH = re.compile(r"\b(?:the|is|are|its|already|of|that|could|and|to)\b", re.IGNORECASE)  # none of them is German


@pytest.fixture
def two(cloud, alice, project, machine):
    return [machine, cloud.launch(alice, project, "web-2")]


def url(change, *vms, list_=""):
    return f"/vms/bulk?do={change}&list={list_}" + "".join(f"&id={vm.id}" for vm in vms)


def form(change, *vms, **more):
    return {"do": change, "id": [vm.id for vm in vms], **more}


@pytest.mark.parametrize("path", ["/vms", "/projects/{project}"])
def test_lists_have_boxes_and_a_form_for_them(as_alice, project, two, path):
    page = as_alice.page(path.format(project=project.id))
    boxes = page.find("//tbody//input[@type='checkbox'][@name='id'][@form='vms-bulk']")
    assert {box.get("value") for box in boxes} == {vm.id for vm in two}
    assert not [box for box in boxes if box.get("checked") is not None]
    assert page.one("//form[@id='vms-bulk']").get("action") == "/vms/bulk"
    ticked = as_alice.page(page.one("//a[@class='z-select-all']").get("href"))
    assert len(ticked.find("//tbody//input[@checked]")) == 2
    offered = {each.get("value") for each in page.find("//form[@id='vms-bulk']//button[@name='do'][not(@disabled)]")}
    assert offered == {"start", "stop", "label", "unlabel", "move", "delete"}


def test_who_only_looks_has_none(web, container, project, two, bob):
    join(container, project, bob, "viewer")
    as_bob = Browser(web).log_in(bob)
    page = as_bob.page("/vms")
    assert not page.find("//table//input[@type='checkbox'] | //form[@id='vms-bulk']")
    answer = as_bob.post("/vms/bulk", form("stop", *two))
    assert answer.status_code == 200
    words = Page(answer.text).text()
    assert "2 could not" in words
    assert "Your role in this project is “viewer”" in words


@pytest.mark.parametrize("list_", ["", "project"])
def test_stopping_leads_back_to_the_list(as_alice, cloud, project, two, list_):
    back = f"/projects/{project.id}" if list_ else "/vms"
    page = as_alice.page(url("stop", *two, list_=project.id if list_ else ""))
    assert "web-1" in page.text()
    assert {each.get("value") for each in page.find("//main//input[@name='id']")} == {vm.id for vm in two}
    fields = form("stop", *two, list=page.one("//main//input[@name='list']").get("value"))
    answer = as_alice.post("/vms/bulk", fields)
    assert (answer.status_code, answer.headers["Location"]) == (303, back)
    assert "2 machines are asked to shut down." in as_alice.page(back).text()
    assert {cloud.vms.get_vm(vm.id).state for vm in two} == {VMState.STOPPING}
    assert as_alice.post("/vms/bulk", fields).status_code == 303
    assert "2 were so already." in as_alice.page(back).text()
    assert sum(len(cloud.operations(vm)) for vm in two) == 4, "two launches, two stops"


def test_what_became_of_each_is_told(as_alice, cloud, alice, two):
    cloud.keep_deleted(7)
    gone = cloud.launch(alice, cloud.project(alice, "Old"), "old-1")
    cloud.vms.delete_vm(gone.id, "old-1", actor=acting(alice))
    cloud.vms.stop_vm(two[0].id, actor=acting(alice))
    before = as_alice.page(url("start", *two[:1]))
    assert "1 of them will be refused" in before.text()
    assert len(before.find("//tbody/tr[contains(., 'not possible now')]")) == 1
    answer = as_alice.post("/vms/bulk", form("start", *two, gone))
    assert answer.status_code == 200
    page = Page(answer.text)
    assert "1 was so already, 1 could not, 1 is gone" in page.text()
    rows = [" ".join(row.itertext()) for row in page.find("//tbody/tr")]
    assert len(rows) == 2
    assert "cannot be started" in rows[0], "what was refused comes first"
    assert "already" in rows[1]
    assert ["web-1" in rows[0], "web-2" in rows[1]] == [True, True]


def test_missing_credits_are_told_with_the_amount(as_alice, cloud, alice, two):
    for vm in two:
        cloud.vms.stop_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    cloud.set_wallet(alice, 1)
    answer = as_alice.post("/vms/bulk", form("start", *two))
    assert "2 could not" in answer.text
    assert "more are needed" in answer.text


def test_deleting_asks_for_the_number_and_keeps_what_was_typed(as_alice, cloud, alice, two):
    assert "Type 2 machines to confirm" in as_alice.page(url("delete", *two)).text()
    answer = as_alice.post("/vms/bulk", form("delete", *two, confirm="two"))
    assert answer.status_code == 400
    page = Page(answer.text)
    assert set(page.errors()) == {"confirm"}
    assert page.one("//input[@name='confirm']").get("value") == "two"
    assert as_alice.post("/vms/bulk", form("delete", *two, confirm="2 machines")).status_code == 303
    assert "2 machines are deleted." in as_alice.page("/vms").text()


def test_one_is_deleted_by_its_name(as_alice, two):
    assert "Type web-1 to confirm" in as_alice.page(url("delete", two[0])).text()
    assert as_alice.post("/vms/bulk", form("delete", two[0], confirm="web-1")).status_code == 303


def test_labels_are_kept_when_they_cannot_be(as_alice, cloud, two):
    answer = as_alice.post("/vms/bulk", form("label", *two, labels="two words"))
    assert answer.status_code == 400
    page = Page(answer.text)
    assert set(page.errors()) == {"labels"}
    assert page.one("//input[@name='labels']").get("value") == "two words"
    assert as_alice.post("/vms/bulk", form("label", *two, labels="env=prod")).status_code == 303
    assert [label.text for vm in two for label in cloud.vms.labels.get(vm.id)] == ["env=prod"] * 2
    assert as_alice.post("/vms/bulk", form("unlabel", *two, labels="env")).status_code == 303
    assert not any(cloud.vms.labels.get(vm.id) for vm in two)


def test_moving_offers_projects_and_keeps_the_choice(as_alice, cloud, alice, two):
    shop = cloud.project(alice, "Shop")
    page = as_alice.page(url("move", *two))
    options = page.find("//select[@name='project_id']/option")
    assert [option.text for option in options] == ["Choose…", "Shop", "Website"]
    answer = as_alice.post("/vms/bulk", form("move", *two))
    assert (answer.status_code, set(Page(answer.text).errors())) == (400, {"project_id"})
    assert as_alice.post("/vms/bulk", form("move", *two, project_id=shop.id)).status_code == 303
    assert {cloud.vm(vm).project_id for vm in two} == {shop.id}


@pytest.mark.error
def test_nothing_chosen_and_nonsense(as_alice, two):
    assert "No machine is selected" in as_alice.page("/vms/bulk?do=stop").text()
    assert "No machine is selected" in as_alice.page("/vms/bulk?do=stop&id=vm_none&id=%00").text()
    answer = as_alice.post("/vms/bulk", {"do": "stop"})
    assert answer.status_code == 400
    for wrong in ("", "?do=reboot", "?do=%00"):
        assert as_alice.get(f"/vms/bulk{wrong}").status_code == 404


def test_strangers_see_nothing(as_charlie, cloud, two):
    assert "No machine is selected" in as_charlie.page(url("stop", *two)).text()
    answer = as_charlie.post("/vms/bulk", form("stop", *two))
    assert answer.status_code == 400
    assert "web-1" not in answer.text
    assert {cloud.vms.get_vm(vm.id).state for vm in two} == {VMState.RUNNING}


def test_starting_at_another_price_than_shown_asks_again(as_alice, cloud, two):
    as_alice.post("/vms/bulk", form("stop", *two))
    cloud.worker.work()
    page = as_alice.page(url("start", *two))
    assert "0.01 credits per hour together" in page.text()
    shown = page.one("//input[@name='shown_price']").get("value")
    assert shown == "10000-200"
    answer = as_alice.post("/vms/bulk", form("start", *two, shown_price="5000-100"))
    assert answer.status_code == 409
    assert "Now: 0.01 credits per hour running" in answer.text
    assert {cloud.vm(vm).state for vm in two} == {VMState.STOPPED}
    again = Page(answer.text).one("//input[@name='shown_price']").get("value")
    assert as_alice.post("/vms/bulk", form("start", *two, shown_price=again)).status_code == 303
    assert {cloud.vm(vm).state for vm in two} == {VMState.STARTING}


@pytest.mark.parametrize(
    ("fields", "german"),
    [
        ({"do": "start"}, "Läuft schon oder startet gerade."),
        ({"do": "stop"}, "Ist schon aus oder schaltet sich gerade aus."),
        ({"do": "label", "labels": "env=prod"}, "Die Labels sind schon so."),
        ({"do": "move"}, "Ist schon in diesem Projekt."),
        ({"do": "delete", "confirm": "2 Maschinen"}, "Wurde schon gelöscht."),
    ],
)
def test_a_german_reads_no_english_in_what_became_of_each(
    as_alice, cloud, container, alice, bob, project, two, fields, german
):
    """One was so already, one is refused (only seen there): then every one is told of."""
    cloud.keep_deleted(7)
    here, actor = two[0], acting(alice)
    his = cloud.project(bob, "Fremdes")
    join(container, his, alice, "viewer")
    seen = cloud.launch(bob, his, "fremd-1")
    {
        "stop": lambda: cloud.vms.stop_vm(here.id, actor=actor),
        "delete": lambda: cloud.vms.delete_vm(here.id, here.name, actor=actor),
        "label": lambda: as_alice.post("/vms/bulk", form("label", here, labels="env=prod")),
    }.get(fields["do"], lambda: None)()
    as_alice.post("/account", {"name": "Alice", "time_zone": "UTC", "language": "de"})
    more = {"project_id": project.id} if fields["do"] == "move" else {}
    asked = as_alice.page(url(fields["do"], here, seen))
    assert not ENGLISH.findall(" ".join(asked.one("//main").itertext()))
    answer = as_alice.post("/vms/bulk", fields | more | {"id": [here.id, seen.id]})
    page = Page(answer.text)
    assert answer.status_code == 200, page.text()
    assert german in page.text()
    assert "Ihre Rolle in diesem Projekt" in page.text()
    assert not ENGLISH.findall(" ".join(page.one("//main").itertext()))
