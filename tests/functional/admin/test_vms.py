"""/admin/vms: the machines of all, orders with a reason, and the file."""

import pytest

from tests.csv_rows import csv_rows
from tests.page import Page
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


def order(vm, kind="stop"):
    return f"/admin/vms/order?order={kind}&id={vm.id}"


def test_the_list_leads_to_what_can_be_ordered(as_admin, machine):
    page = as_admin.page("/admin/vms")
    assert page.find(f"//input[@type='checkbox'][@form='vms-order'][@value='{machine.id}']")
    menu = page.one(f"//tr[@id='row-{machine.id}']//button[@form='z-menus']").get("formaction")
    for opened in (as_admin.page(menu, htmx=True), as_admin.page(menu)):  # by script, and as a page without it
        assert opened.find(f"//a[@href='{order(machine)}']")
        assert not opened.find(f"//a[@href='{order(machine, 'start')}']"), "it runs already"
    assert page.one("//form[@id='vms-order']").get("action") == "/admin/vms/order"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("q=web", 1), ("owner=alice", 1), ("owner=bob", 0), ("project=Website", 1), ("project=x", 0),
        ("size=size_nano", 1), ("size=none", 0), ("state=running", 1), ("state=nonsense", 1), ("sort=owner", 1),
        ("sort=nonsense", 1), ("before=vm_none", 1), ("q=%00", 1),
    ],
)  # fmt: skip
def test_filters_in_the_address(as_admin, machine, query, count):
    assert len(as_admin.page(f"/admin/vms?{query}").find("//tbody/tr")) == count


def test_the_box_speaks_the_language_and_completes_it(as_admin, machine):
    page = as_admin.page("/admin/vms?owner=alice&state=running&q=web")
    assert page.one("//input[@id='search']").get("value") == "web state:running owner:alice"
    assert len(as_admin.page("/admin/vms?q=owner:bob", htmx=True).find("//tbody/tr")) == 0
    wrong = as_admin.page("/admin/vms?q=owner:")
    assert "after “owner:”" in wrong.one("//p[@id='search-problem']").text
    assert as_admin.get("/admin/vms.csv?q=owner:").status_code == 400
    offers = Page(f"<ul>{as_admin.get('/admin/vms/complete?q=ow', htmx=True).text}</ul>", fragment=True)
    assert [each.text for each in offers.find("//li/span")] == ["owner:"]
    by_owner = as_admin.page("/admin/vms?sort=owner")
    assert "Owner" in "".join(by_owner.one("//th[@aria-sort='ascending']").itertext())


def test_an_order_with_its_reason(as_admin, as_alice, cloud, machine):
    page = as_admin.page(order(machine))
    assert "web-1" in page.text()
    key = page.one("//input[@name='key']").get("value")
    form = {"order": "stop", "id": machine.id, "why": "Noisy neighbour", "key": key}
    answer = as_admin.post("/admin/vms/order", form)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/vms")
    assert "Ordered for 1 machine: stop." in as_admin.page("/admin/vms").text()
    answer = as_admin.post("/admin/vms/order", form)
    assert answer.status_code == 200
    words = Page(answer.text).text()
    assert "Stop: 0 ordered, 1 refused" in words
    assert "web-1 is stopping" in words
    assert cloud.vms.get_vm(machine.id).state == VMState.STOPPING
    assert "Noisy neighbour" in as_alice.page("/account/notices").text()
    activity = as_alice.page(f"/vms/{machine.id}/activity").text()
    assert "an admin" in activity
    assert "Noisy neighbour" not in activity
    assert "Noisy neighbour" in as_admin.page("/admin/audit?action=vm.admin_order").text()


def test_deleting_asks_how_many(as_admin, cloud, machine):
    assert as_admin.page(order(machine, "delete")).find("//input[@name='count']")
    form = {"order": "delete", "id": machine.id, "why": "Abuse", "key": "k"}
    for count in ("", "2", "x"):
        answer = as_admin.post("/admin/vms/order", form | {"count": count})
        assert answer.status_code == 400
        page = Page(answer.text)
        assert set(page.errors()) == {"count"}
        assert page.one("//input[@name='why']").get("value") == "Abuse"
    assert as_admin.post("/admin/vms/order", form | {"count": "1"}).status_code == 303
    assert cloud.vms.list_vms(None).vms == [] or cloud.vms.list_vms(None).vms[0].state == VMState.DELETING


@pytest.mark.error
@pytest.mark.parametrize("why", ["", "x" * 301, "\u202eoops"])
def test_a_bad_reason(as_admin, cloud, machine, why):
    answer = as_admin.post("/admin/vms/order", {"order": "stop", "id": machine.id, "why": why})
    assert answer.status_code == 400
    assert set(Page(answer.text).errors()) == {"why"}
    assert cloud.vms.get_vm(machine.id).state == VMState.RUNNING


@pytest.mark.error
def test_nothing_chosen_and_nonsense(as_admin, machine):
    assert "No machine is selected" in as_admin.page("/admin/vms/order?order=stop").text()
    assert "No machine is selected" in as_admin.page("/admin/vms/order?order=stop&id=vm_none&id=%00").text()
    answer = as_admin.post("/admin/vms/order", {"order": "stop", "why": "why"})
    assert answer.status_code == 400
    for wrong in ("", "?order=create", "?order=nonsense"):
        assert as_admin.get(f"/admin/vms/order{wrong}").status_code == 404


@pytest.mark.error
def test_deleting_asks_who_it_is_again(as_admin, cloud, machine, clock):
    clock.advance(400)
    form = {"order": "delete", "id": machine.id, "why": "Abuse", "count": "1"}
    answer = as_admin.post("/admin/vms/order", form)
    assert answer.headers["Location"].startswith("/account/confirm")
    assert cloud.vms.get_vm(machine.id).state == VMState.RUNNING


def test_the_file_has_what_the_filter_leaves(as_admin, cloud, alice, machine):
    odd = cloud.project(alice, "=cmd()")
    cloud.ask(alice, odd, "db-1")
    page = as_admin.page("/admin/vms?q=db&sort=name")
    link = page.one("//a[contains(@href, 'vms.csv')]").get("href")
    answer = as_admin.get(link)
    assert answer.mimetype == "text/csv"
    (row,) = csv_rows(answer)
    assert (row["name"], row["project"], row["owner_email"]) == ("db-1", "'=cmd()", alice.email)


def test_all_that_match_are_selected_with_what_they_cost(as_admin, cloud, alice, project, machine, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.admin.vms.PAGE_SIZE", 1)
    other = cloud.launch(alice, project, "web-2")
    page = as_admin.page("/admin/vms?q=web")
    assert "Select all 2 that match" in page.text()
    page = as_admin.page(page.one("//a[@class='z-bar-all']").get("href"))
    assert "2 selected, 0.01 per hour together" in page.text()
    fields = {
        each.get("name"): each.get("value") for each in page.find("//form[@id='vms-order']//input[@type='hidden']")
    }
    assert fields == {"all": "1", "q": "web"}
    page = as_admin.page("/admin/vms/order?order=stop&all=1&q=web")
    chosen = {each.get("value") for each in page.find("//main//input[@name='id']")}
    assert chosen == {machine.id, other.id}
    form = {"order": "stop", "id": sorted(chosen), "why": "Maintenance", "key": "all-1", "q": "web"}
    assert as_admin.post("/admin/vms/order", form).headers["Location"] == "/admin/vms?q=web"
    assert "No machine is selected" in as_admin.page("/admin/vms/order?order=stop&all=1&q=owner:").text()
