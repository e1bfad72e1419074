"""/vms/<id>/snapshots and what is done there."""

import pytest

from tests.functional.vms.rights import only_members_act, viewer
from tests.page import Page
from tests.services.people import acting

pytestmark = pytest.mark.integration


@pytest.fixture
def at(machine):
    return f"/vms/{machine.id}/snapshots"


@pytest.fixture
def snapshot(cloud, alice, machine):
    cloud.vms.snapshots.take(machine.id, {"name": "before", "note": "works"}, actor=acting(alice))
    cloud.worker.work()
    return cloud.vms.snapshots.list(machine.id, actor=acting(alice))[0]


def test_without_any_the_page_says_what_they_are_good_for(as_alice, at):
    text = as_alice.page(at).text()
    assert "No snapshots yet" in text
    assert "it is no backup" in text
    assert "None: snapshots are taken when you ask for them." in text


@pytest.mark.parametrize("htmx", [False, True])
def test_one_is_taken_and_stands_in_the_list(as_alice, cloud, machine, at, htmx):
    assert "At most 2 GiB" in as_alice.page(f"{at}/new", htmx=htmx).text()
    answer = as_alice.post(f"{at}/new", {"name": " before  the upgrade ", "note": "works"}, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == at
    page = as_alice.page(at)
    assert "before the upgrade" in page.text()
    assert "being taken" in page.text()
    cloud.worker.work()
    page = as_alice.page(at)
    for words in ("1 GiB", "running, with its memory", "the machine goes on from here", "works", "0.00006"):
        assert words in page.text(), words
    assert "Took a snapshot of web-1" in as_alice.page(f"/vms/{machine.id}/activity").text()


def test_what_cannot_be_is_said_at_the_field(as_alice, at):
    answer = as_alice.post(f"{at}/new", {"name": " "})
    assert answer.status_code == 400
    assert "Enter a name." in Page(answer.text).errors()["name"]


@pytest.mark.parametrize("htmx", [False, True])
def test_a_revert_says_what_is_lost_and_is_done_once_it_is_confirmed(as_alice, cloud, machine, at, snapshot, htmx):
    page = as_alice.page(f"{at}/{snapshot.id}/revert", htmx=htmx)
    assert "kept aside for an hour" in page.text()
    assert "some seconds; connections to it break" in page.text()
    price = page.one("//input[@name='shown_price']").get("value")
    answer = as_alice.post(f"{at}/{snapshot.id}/revert", {"shown_price": price}, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == at
    assert cloud.vm(machine).state == "reverting"
    cloud.worker.work()
    assert cloud.vm(machine).state == "running"
    assert "Reverted web-1 to a snapshot" in as_alice.page(f"/vms/{machine.id}/activity").text()


def test_another_price_than_was_shown_is_said_before_it_comes_back_running(
    as_alice, cloud, alice, machine, at, snapshot
):
    cloud.vms.force_off_vm(machine.id, actor=acting(alice))
    cloud.worker.work()
    answer = as_alice.post(f"{at}/{snapshot.id}/revert", {"shown_price": "1-1"})
    assert answer.status_code == 409
    assert cloud.vm(machine).state == "stopped"


def test_deleting_asks_first(as_alice, cloud, machine, at, snapshot):
    assert "Nobody can go back to this one any more" in as_alice.page(f"{at}/{snapshot.id}/delete").text()
    assert as_alice.post(f"{at}/{snapshot.id}/delete").headers["Location"] == at
    cloud.worker.work()
    assert "No snapshots yet" in as_alice.page(at).text()


def test_a_schedule_is_set_and_says_what_comes_next(as_alice, at):
    answer = as_alice.post(f"{at}/schedule", {"every": "day", "hour": "3", "keep": "7"})
    assert answer.headers["Location"] == at
    text = as_alice.page(at).text()
    assert "Every day" in text
    assert "the last 7" in text
    form = as_alice.page(f"{at}/schedule")
    assert form.one("//select[@name='every']/option[@selected]").get("value") == "day"
    assert as_alice.post(f"{at}/schedule", {"every": "", "hour": "3", "keep": "7"}).status_code == 303
    assert "None: snapshots are taken when you ask for them." in as_alice.page(at).text()


@pytest.mark.parametrize(("field", "typed"), [("hour", "24"), ("hour", "x"), ("keep", "0"), ("keep", "25")])
def test_a_schedule_has_limits(as_alice, at, field, typed):
    answer = as_alice.post(f"{at}/schedule", {"every": "day", "hour": "3", "keep": "7"} | {field: typed})
    assert answer.status_code == 400
    assert "Enter a number from" in Page(answer.text).errors()[field]


def test_a_stranger_finds_nothing_and_a_viewer_may_only_look(as_charlie, web, container, bob, project, at, snapshot):
    deeds = [f"{snapshot.id}/revert", f"{snapshot.id}/delete"]
    only_members_act(as_charlie, viewer(web, container, bob, project), at, deeds)


def test_one_of_another_machine_is_not_found(as_alice, cloud, alice, project, snapshot):
    other = cloud.launch(alice, project, "web-2")
    assert as_alice.post(f"/vms/{other.id}/snapshots/{snapshot.id}/revert").status_code == 404
    assert as_alice.get(f"/vms/{other.id}/snapshots/{snapshot.id}/delete").status_code == 404


def test_what_is_stored_is_in_the_charges(as_alice, cloud, snapshot):
    cloud.live(3700, step=60)
    text = as_alice.page("/credits/bill?from=2026-11-23").text()
    assert "Snapshot “before”" in text
    assert "snapshot v1" in text


@pytest.mark.parametrize("htmx", [False, True])
def test_a_revert_is_undone_for_an_hour(as_alice, cloud, machine, at, snapshot, htmx):
    as_alice.post(f"{at}/{snapshot.id}/revert", htmx=htmx)
    cloud.worker.work()
    page = as_alice.page(at)
    assert page.find("//div[@id='toasts']//form[starts-with(@action, '/undo/')]")
    assert "What it was before the revert" in page.text()
    assert page.find(f"//a[@href='{at}/unrevert']")
    question = as_alice.page(f"{at}/unrevert", htmx=htmx)
    assert "What was written since is lost" in question.text()
    assert question.one("//form[contains(@class, 'z-dialog-main')]").get("action") == f"{at}/unrevert"
    assert as_alice.post(f"{at}/unrevert").status_code == 303
    assert cloud.vm(machine).state == "reverting"
    cloud.worker.work()
    assert "Made web-1 what it was before it was reverted" in as_alice.page(f"/vms/{machine.id}/activity").text()
    assert "What it was before the revert" not in as_alice.page(at).text()
    assert as_alice.get(f"{at}/unrevert").status_code == 409


def test_who_does_not_want_it_kept_ticks_that(as_alice, cloud, at, snapshot):
    as_alice.post(f"{at}/{snapshot.id}/revert", {"forget": "y"})
    cloud.worker.work()
    assert "What it was before the revert" not in as_alice.page(at).text()
    assert as_alice.post(f"{at}/unrevert").status_code == 409


def test_a_machine_is_launched_from_one(as_alice, as_charlie, cloud, project, at, snapshot):
    assert f"/vms/new?snapshot={snapshot.id}" in as_alice.get(at).text
    page = as_alice.page(f"/vms/new?snapshot={snapshot.id}")
    text = page.text()
    for words in ("From a snapshot", "“before” of web-1", "The memory of then is not taken over"):
        assert words in text, words
    assert page.one("//input[@name='name']").get("value") == "web-2"
    assert page.one("//input[@name='snapshot_id']").get("value") == snapshot.id
    assert page.find("//input[@name='image_id'][@type='radio']") == []
    size = page.one("//input[@name='size_id'][@checked]").get("value")
    data = {"name": "web-2", "project_id": project.id, "size_id": size, "count": "1", "snapshot_id": snapshot.id}
    data |= {"image_id": "img_tiny", "shown_price": page.one("//input[@name='shown_price']").get("value")}
    assert as_alice.get("/vms/new/quote", query_string=data).status_code == 200
    answer = as_alice.post("/vms/new", data)
    made = next(each for each in cloud.vms.list_of_project(project.id) if each.name == "web-2")
    assert answer.headers["Location"] == f"/vms/{made.id}"
    assert "A machine is being made from this snapshot" in as_alice.post(f"{at}/{snapshot.id}/delete", {}).text
    cloud.worker.work()
    assert cloud.vm(made).state == "running"
    assert as_charlie.get(f"/vms/new?snapshot={snapshot.id}").status_code == 404
    assert as_charlie.get("/vms/new/quote", query_string=data).status_code == 404
    assert as_charlie.post("/vms/new", data).status_code in (400, 404)
