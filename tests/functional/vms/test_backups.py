"""/vms/<id>/backups and what is done there."""

import pytest

from tests.functional.vms.rights import only_members_act, viewer
from tests.page import Page
from tests.services.people import acting
from zentry_web.adapters.compute.words import NO_PLACE
from zentry_web.worker.proofs import ProofKeeper

pytestmark = pytest.mark.integration


@pytest.fixture
def at(machine):
    return f"/vms/{machine.id}/backups"


@pytest.fixture
def backup(cloud, alice, machine):
    cloud.vms.backups.take(machine.id, {"name": "before", "note": "works"}, actor=acting(alice))
    cloud.worker.work()
    return cloud.vms.backups.list(machine.id, actor=acting(alice))[0]


def test_without_any_the_page_says_what_they_are_good_for(as_alice, at):
    text = as_alice.page(at).text()
    assert "No backups yet" in text
    assert "in another place than the machine" in text
    assert "None: backups are made when you ask for them." in text


@pytest.mark.parametrize("htmx", [False, True])
def test_one_is_made_and_stands_in_the_list(as_alice, cloud, machine, at, htmx):
    form = as_alice.page(f"{at}/new", htmx=htmx)
    assert "At most 1 GiB" in form.text()
    assert "free in the place for backups" in form.text()
    assert form.one("//input[@name='name']").get("value").startswith("2026-11-23 ")
    answer = as_alice.post(f"{at}/new", {"name": " before  the upgrade ", "note": "works"}, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == at
    page = as_alice.page(at)
    assert "before the upgrade" in page.text()
    assert "being made" in page.text()
    cloud.worker.work()
    page = as_alice.page(at)
    for words in ("38 MiB", "running", "works", "All together"):
        assert words in page.text(), words
    assert "Backed up web-1" in as_alice.page(f"/vms/{machine.id}/activity").text()


def test_what_cannot_be_is_said_at_the_field(as_alice, at):
    answer = as_alice.post(f"{at}/new", {"name": " "})
    assert answer.status_code == 400
    assert "Enter a name." in Page(answer.text).errors()["name"]


def test_one_that_failed_says_why(as_alice, cloud, alice, machine, at):
    cloud.control.fault("backup", "refuse", machine.id)
    cloud.vms.backups.take(machine.id, {"name": "before"}, actor=acting(alice))
    cloud.worker.work()
    text = as_alice.page(at).text()
    assert "not made" in text
    assert "The host refused this" in text


@pytest.mark.parametrize("htmx", [False, True])
def test_a_restore_says_what_is_lost_and_is_done_once_its_name_was_typed(as_alice, cloud, machine, at, backup, htmx):
    url = f"{at}/{backup.id}/restore"
    page = as_alice.page(url, htmx=htmx)
    assert "is gone from it" in page.text()
    assert "it is stopped for that, and started again" in page.text()
    plan = page.one("//input[@name='plan']").get("value")
    wrong = as_alice.post(url, {"plan": plan, "confirm_name": "web"}, htmx=htmx)
    assert wrong.status_code == 400
    answer = as_alice.post(url, {"plan": plan, "confirm_name": "web-1"}, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == f"/vms/{machine.id}"
    assert cloud.vm(machine).state == "recovering"
    assert "Restoring a backup" in as_alice.page(f"/vms/{machine.id}").text()
    cloud.worker.work()
    cloud.live(10)
    assert cloud.vm(machine).state == "running"
    assert "Restored web-1 from a backup" in as_alice.page(f"/vms/{machine.id}/activity").text()


def test_another_plan_than_was_shown_is_said_before_it_is_done(as_alice, cloud, machine, at, backup):
    page = as_alice.page(f"{at}/{backup.id}/restore")
    plan = page.one("//input[@name='plan']").get("value")
    cloud.vms.force_off_vm(machine.id)
    cloud.worker.work()
    answer = as_alice.post(f"{at}/{backup.id}/restore", {"plan": plan, "confirm_name": "web-1"})
    assert answer.status_code == 409
    assert "What changed" in Page(answer.text).text()
    assert cloud.vm(machine).state == "stopped"


def test_where_it_cannot_be_restored_the_page_says_why(as_alice, cloud, alice, machine, at, backup):
    cloud.vms.snapshots.take(machine.id, {"name": "s"}, actor=acting(alice))
    cloud.worker.work()
    page = as_alice.page(f"{at}/{backup.id}/restore")
    assert "has snapshots, which lie on its disk" in page.text()
    assert not page.find("//input[@name='confirm_name']")


def test_deleting_asks_first(as_alice, at, backup):
    assert "Nobody can restore this one any more" in as_alice.page(f"{at}/{backup.id}/delete").text()
    assert as_alice.post(f"{at}/{backup.id}/delete").headers["Location"] == at
    assert "No backups yet" in as_alice.page(at).text()


def test_deleting_the_machine_says_what_becomes_of_them(as_alice, cloud, machine, backup):
    cloud.keep_deleted(7)
    text = as_alice.page(f"/vms/{machine.id}/delete").text()
    assert "Its backup costs nothing while it is in the recycle bin, and is deleted with it for good." in text


def test_a_schedule_is_set_and_says_what_comes_next(as_alice, at):
    answer = as_alice.post(f"{at}/schedule", {"every": "week", "hour": "3", "keep": "4"})
    assert answer.headers["Location"] == at
    text = as_alice.page(at).text()
    assert "Every Monday" in text
    assert "the last 4" in text
    assert as_alice.post(f"{at}/schedule", {"every": "", "hour": "3", "keep": "7"}).status_code == 303
    assert "None: backups are made when you ask for them." in as_alice.page(at).text()


def test_without_a_place_the_page_says_so_and_offers_nothing(
    as_alice, as_admin, cloud, machine, at, backup, monkeypatch
):
    monkeypatch.setattr(type(cloud.driver.backups), "trouble", lambda self: NO_PLACE)
    cloud.clock.advance(3600)
    cloud.worker.reconciler.run()
    page = as_alice.page(at)
    assert "This installation has no place for backups" in page.text()
    assert "ZENTRY_BACKUPS" not in page.text()
    assert not page.find(f"//a[@href='{at}/new']")
    assert not page.find(f"//a[@href='{at}/{backup.id}/restore']")
    assert "ZENTRY_BACKUPS" in as_admin.page(at).text()
    assert "This installation has no place for backups" in as_admin.page("/admin/system").text()
    answer = as_alice.post(f"{at}/new", {"name": "more"})
    assert answer.status_code == 409


def test_the_room_in_the_place_stands_on_the_system_page(as_admin, cloud, machine):
    assert "free for backups of machines" in as_admin.page("/admin/system").text()


def test_a_stranger_finds_nothing_and_a_viewer_may_only_look(as_charlie, web, container, bob, project, at, backup):
    deeds = [f"{backup.id}/restore", f"{backup.id}/delete"]
    only_members_act(as_charlie, viewer(web, container, bob, project), at, deeds)


def test_one_of_another_machine_is_not_found(as_alice, cloud, alice, project, backup):
    other = cloud.launch(alice, project, "web-2")
    assert as_alice.get(f"/vms/{other.id}/backups/{backup.id}/restore").status_code == 404
    assert as_alice.post(f"/vms/{other.id}/backups/{backup.id}/delete").status_code == 404


def test_what_is_stored_is_in_the_charges(as_alice, cloud, backup):
    cloud.live(3700, step=60)
    text = as_alice.page("/credits/bill?from=2026-11-23").text()
    assert "Backup “before”" in text
    assert "backup v1" in text


def test_a_machine_is_launched_from_one(as_alice, as_charlie, cloud, project, at, backup):
    assert f"/vms/new?backup={backup.id}" in as_alice.get(at).text
    page = as_alice.page(f"/vms/new?backup={backup.id}")
    for words in ("From a backup", "“before” of web-1", "It ran when it was backed up"):
        assert words in page.text(), words
    assert page.one("//input[@name='name']").get("value") == "web-2"
    assert page.one("//input[@name='backup_id']").get("value") == backup.id
    size = page.one("//input[@name='size_id'][@checked]").get("value")
    data = {"name": "web-2", "project_id": project.id, "size_id": size, "count": "1", "backup_id": backup.id}
    data |= {"image_id": "img_tiny", "shown_price": page.one("//input[@name='shown_price']").get("value")}
    assert as_alice.get("/vms/new/quote", query_string=data).status_code == 200
    answer = as_alice.post("/vms/new", data)
    made = next(each for each in cloud.vms.list_of_project(project.id) if each.name == "web-2")
    assert answer.headers["Location"] == f"/vms/{made.id}"
    cloud.worker.work()
    assert cloud.vm(made).state == "running"
    assert as_charlie.get(f"/vms/new?backup={backup.id}").status_code == 404
    assert as_charlie.get("/vms/new/quote", query_string=data).status_code == 404
    assert as_charlie.post("/vms/new", data).status_code in (400, 404)


def test_one_is_launched_from_while_its_machine_lies_in_the_bin(as_alice, cloud, alice, machine, backup):
    cloud.keep_deleted(7)
    cloud.vms.delete_vm(machine.id, machine.name, actor=acting(alice))
    cloud.worker.work()
    page = as_alice.page("/bin")
    assert "New machine from its newest backup" in page.text()
    assert f"/vms/new?backup={backup.id}" in as_alice.get("/bin").text
    assert "From a backup" in as_alice.page(f"/vms/new?backup={backup.id}").text()


@pytest.mark.parametrize("htmx", [False, True])
def test_one_is_proved_and_the_page_says_what_happened(as_alice, cloud, alice, machine, at, backup, htmx):
    url = f"{at}/{backup.id}/proof"
    assert "in a network that leads nowhere" in as_alice.page(url, htmx=htmx).text()
    answer = as_alice.post(url, {}, htmx=htmx)
    assert answer.headers["HX-Redirect" if htmx else "Location"] == at
    assert "being proved" in as_alice.page(at).text()
    assert as_alice.post(url, {}).status_code == 409
    assert "Abort the proof" in as_alice.page(url, htmx=htmx).text()
    keeper = ProofKeeper(cloud.vms, cloud.driver, lambda name: None)
    for _ in range(2):
        cloud.clock.advance(3)
        keeper.run()
    assert "Proof: It booted in" in as_alice.page(at).text()
    assert f"ZENTRY-READY {machine.id}" in as_alice.page(url, htmx=htmx).text()
    activity = as_alice.page(f"/vms/{machine.id}/activity").text()
    assert "Had a backup of web-1 proved" in activity
    assert "A backup of web-1 booted" in activity


def test_a_proof_is_aborted(as_alice, at, backup):
    as_alice.post(f"{at}/{backup.id}/proof", {})
    as_alice.post(f"{at}/{backup.id}/proof", {"abort": "1"})
    assert "The proof was aborted." in as_alice.page(at).text()
    assert "Prove it" in as_alice.page(f"{at}/{backup.id}/proof").text()
