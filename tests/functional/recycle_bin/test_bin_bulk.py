"""/bin: rows are ticked, several are restored or deleted for good; the list is sorted, and a file."""

import pytest

from tests.page import Page
from tests.services.people import acting
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


@pytest.fixture
def two(cloud, alice, project):
    cloud.keep_deleted(7)
    made = [cloud.launch(alice, project, name, answered=False) for name in ("web-1", "web-2")]
    for vm in made:
        cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
        cloud.worker.work()
        cloud.clock.advance(60)
    return made


def url(change, *vms):
    return f"/bin/bulk?do={change}" + "".join(f"&id={vm.id}" for vm in vms)


def price(page):
    return page.one("//input[@name='shown_price']").get("value")


def form(change, *vms, **more):
    return {"do": change, "id": [vm.id for vm in vms], **more}


def names(page):
    rows = page.find("//tr[starts-with(@id, 'binned-vm')]/td[1]")
    return [next(text.strip() for text in row.itertext() if text.strip()) for row in rows]


def test_rows_are_ticked_and_a_bar_says_what_can_be_done(as_alice, two):
    page = as_alice.page("/bin")
    boxes = page.find("//tbody//input[@type='checkbox'][@name='id'][@form='bin-bulk']")
    assert {box.get("value") for box in boxes} == {vm.id for vm in two}
    assert page.one("//form[@id='bin-bulk']").get("action") == "/bin/bulk"
    assert {each.get("value") for each in page.find("//form[@id='bin-bulk']//button[@name='do']")} == {
        "restore",
        "purge",
    }
    ticked = as_alice.page(page.one("//a[@class='z-select-all']").get("href"))
    assert len(ticked.find("//tbody//input[@checked]")) == 2


def test_all_that_match_can_be_selected(as_alice, two, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.recycle_bin.routes.PAGE_SIZE", 1)
    page = as_alice.page("/bin?q=web")
    link = page.one("//a[@class='z-bar-all']")
    assert "Select all 2 that match" in link.text
    ticked = as_alice.page(link.get("href"))
    fields = {each.get("name"): each.get("value") for each in ticked.find("//form[@id='bin-bulk']//input")}
    assert (fields["all"], fields["q"]) == ("1", "web")
    chosen = as_alice.page("/bin/bulk?do=purge&all=1&q=web")
    assert {each.get("value") for each in chosen.find("//input[@name='id']")} == {vm.id for vm in two}
    assert "Tick some in the list" in as_alice.page("/bin/bulk?do=purge&all=1&q=nothing").text()
    assert "Tick some in the list" in as_alice.page("/bin/bulk?do=purge&all=1&q=deleted:soon").text()


def test_heads_sort_the_machines(as_alice, two):
    page = as_alice.page("/bin")
    assert names(page) == ["web-2", "web-1"]
    heads = {"".join(each.itertext()): each.get("href") for each in page.find("//th/a[@class='z-sort']")}
    assert heads.keys() == {"Machine", "Deleted", "Kept until"}
    assert page.find("//th[@aria-sort='descending']/a[text()='Deleted']")
    for head in ("Machine", "Deleted", "Kept until"):
        assert names(as_alice.page(heads[head])) == ["web-1", "web-2"]
    assert names(as_alice.page("/bin?sort=nonsense")) == ["web-2", "web-1"]


def test_several_are_restored(as_alice, cloud, two):
    page = as_alice.page(url("restore", *two))
    assert "credits per hour together" in page.text()
    answer = as_alice.post("/bin/bulk", form("restore", *two, shown_price=price(page)))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/bin")
    assert "2 machines are back, stopped." in as_alice.page("/bin").text()
    assert {cloud.vm(vm).state for vm in two} == {VMState.STOPPED}
    again = as_alice.post("/bin/bulk", form("restore", *two, shown_price=price(page)))
    assert again.status_code == 400
    assert "No machine is selected" in Page(again.text).text()


def test_what_became_of_each_is_told_where_one_is_refused(as_alice, cloud, alice, project, two):
    cloud.ask(alice, project, "web-1")
    page = as_alice.page(url("restore", *two))
    answer = as_alice.post("/bin/bulk", form("restore", *two, shown_price=price(page)))
    assert answer.status_code == 200
    text = Page(answer.text).text()
    assert "1 machine is back, stopped, 1 could not" in text
    assert "another machine named" in text


def test_another_price_is_shown_before_anything_comes_back(as_alice, cloud, two):
    answer = as_alice.post("/bin/bulk", form("restore", *two, shown_price="0-1"))
    assert answer.status_code == 409
    assert "another price" in Page(answer.text).text()
    assert len(names(as_alice.page("/bin"))) == 2


def test_several_are_deleted_for_good(as_alice, cloud, two):
    page = as_alice.page(url("purge", *two))
    assert "cannot be undone" in page.text()
    assert page.find("//form[@data-confirm-name='2 machines']")
    assert as_alice.post("/bin/bulk", form("purge", *two, confirm="web-1")).status_code == 400
    assert as_alice.post("/bin/bulk", form("purge", *two, confirm="2 machines")).headers["Location"] == "/bin"
    page = as_alice.page("/bin")
    assert "2 machines are being deleted for good." in page.text()
    assert not page.find("//tbody//input[@type='checkbox']")
    cloud.worker.work()
    assert {cloud.row(vm).state for vm in two} == {VMState.DELETED}


def test_what_is_gone_meanwhile_is_told(as_alice, cloud, alice, two):
    cloud.vms.bin.restore(two[0].id, "web-1", actor=acting(alice))
    answer = as_alice.post("/bin/bulk", form("purge", *two, confirm="web-2"))
    assert answer.status_code == 200
    assert "1 of the selected is not there any more." in Page(answer.text).text()


def test_others_find_nothing(as_charlie, two):
    assert "Tick some in the list" in as_charlie.page(url("purge", *two)).text()
    assert as_charlie.post("/bin/bulk", form("purge", *two, confirm="2 machines")).status_code == 400
    assert as_charlie.get("/bin/list.csv").text.count("\n") == 1


def test_nobody_knows_another_change(as_alice, two):
    assert as_alice.get(url("burn", *two)).status_code == 404


def test_the_list_is_a_file(as_alice, two, project):
    link = as_alice.page("/bin?q=web-1&sort=name").one("//a[@id='list-file']").get("href")
    assert link == "/bin/list.csv?q=web-1&sort=name"
    lines = as_alice.get("/bin/list.csv?sort=name").text.lstrip("\ufeff").splitlines()
    assert lines[0].startswith("id,name,project,project_id,size,disk_gib,")
    assert [line.split(",")[1] for line in lines[1:]] == ["web-1", "web-2"]
    assert project.id in lines[1]
    assert len(as_alice.get(link).text.splitlines()) == 2
    assert as_alice.get("/bin/list.csv?q=deleted:soon").status_code == 400
