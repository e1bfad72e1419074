"""/bin: machines that were deleted, restoring and purging them."""

import pytest

from tests.conftest import sign_up
from tests.functional.conftest import Browser
from tests.services.people import acting, join
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


@pytest.fixture
def cloud(cloud):
    cloud.keep_deleted(7)
    return cloud


@pytest.fixture
def binned(cloud, as_alice, machine):
    """Deleted on its page, and off."""
    answer = as_alice.post(f"/vms/{machine.id}/delete", {"confirm_name": machine.name})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/vms")
    cloud.worker.work()
    return machine


def test_the_delete_page_says_that_it_can_be_restored(as_alice, machine, cloud):
    assert "recycle bin for 7 days" in as_alice.get(f"/vms/{machine.id}/delete").text
    cloud.keep_deleted(0)
    assert "cannot be undone" in as_alice.get(f"/vms/{machine.id}/delete", htmx=True).text


def test_the_bin_shows_what_was_deleted_by_whom(as_alice, machine, cloud):
    assert "The recycle bin is empty" in as_alice.get("/bin").text
    as_alice.post(f"/vms/{machine.id}/delete", {"confirm_name": machine.name})
    assert "web-1 is in the recycle bin" in as_alice.get("/vms").text  # with a way to restore it, once
    text = as_alice.get("/bin").text
    assert "Powering off" in text
    assert f"/bin/vms/{machine.id}/restore" not in text
    cloud.worker.work()
    text = as_alice.get("/bin", htmx=True).text
    assert "web-1" in text
    assert "by Alice" in text
    assert f"/bin/vms/{machine.id}/restore" in text
    assert machine.id not in as_alice.get("/vms").text


def test_restoring_brings_it_back_stopped(as_alice, binned, cloud):
    url = f"/bin/vms/{binned.id}/restore"
    page = as_alice.get(url)
    assert "credits per hour" in page.text
    answer = as_alice.post(url, {"name": "web-1"})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/vms/{binned.id}")
    assert cloud.vm(binned).state == VMState.STOPPED
    assert as_alice.post(url, {"name": "web-1"}).status_code == 404


def test_a_taken_name_is_asked_for_again_and_what_was_typed_stays(as_alice, binned, cloud, alice, project):
    cloud.ask(alice, project, "web-1")
    url = f"/bin/vms/{binned.id}/restore"
    for htmx in (False, True):
        answer = as_alice.post(url, {"name": "web-1"}, htmx=htmx)
        assert answer.status_code == 400
        assert "another machine named" in answer.text
        assert 'value="web-1"' in answer.text
    assert as_alice.post(url, {"name": "a\x00b"}).status_code == 400
    answer = as_alice.post(url, {"name": "web-9"}, htmx=True)
    assert answer.headers["HX-Redirect"] == f"/vms/{binned.id}"


def test_a_lack_of_credits_is_told_in_the_form(as_alice, binned, cloud, alice):
    cloud.set_wallet(alice, 0)
    answer = as_alice.post(f"/bin/vms/{binned.id}/restore", {"name": "web-1"})
    assert answer.status_code == 400
    assert "not enough credits to pay its disk" in answer.text


def test_purging_needs_the_name(as_alice, binned, cloud):
    url = f"/bin/vms/{binned.id}/purge"
    assert "cannot be undone" in as_alice.get(url).text
    assert as_alice.post(url, {"confirm_name": "nope"}, htmx=True).status_code == 400
    assert as_alice.post(url, {"confirm_name": "web-1"}).headers["Location"] == "/bin"
    assert "Being deleted" in as_alice.get("/bin").text
    assert as_alice.post(url, {"confirm_name": "web-1"}).status_code == 409
    cloud.worker.work()
    assert cloud.row(binned).state == VMState.DELETED
    assert as_alice.get(url).status_code == 404
    assert as_alice.get(url, htmx=True).headers["HX-Redirect"] == "/bin"


def test_members_see_it_by_their_role_and_strangers_not_at_all(web, container, project, binned, as_charlie):
    for role, status in (("viewer", 403), ("restricted", 403), ("member", 200), ("admin", 200)):
        user = sign_up(container, role)
        join(container, project, user, role)
        browser = Browser(web).log_in(user)
        assert browser.get(f"/bin/vms/{binned.id}/restore").status_code == status
        assert ("web-1" in browser.get("/bin").text) == (status == 200)
        assert ("paid by Alice" in browser.get(f"/bin/vms/{binned.id}/restore").text) == (status == 200)
    assert as_charlie.get(f"/bin/vms/{binned.id}/restore").status_code == 404
    assert "web-1" not in as_charlie.get("/bin").text


def test_the_bin_is_paged(as_alice, cloud, alice, project, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.recycle_bin.routes.PAGE_SIZE", 2)
    made = [cloud.launch(alice, project, f"vm-{number}") for number in range(4)]
    for vm in made:
        cloud.vms.delete_vm(vm.id, vm.name, actor=acting(alice))
    cloud.worker.work()
    url, seen = "/bin", []
    while url:
        page = as_alice.page(url)
        seen += [row.get("id").removeprefix("binned-") for row in page.find("//tr[starts-with(@id, 'binned-vm')]")]
        following = page.find("//a[@rel='next']")
        url = following[0].get("href") if following else None
    assert sorted(seen) == sorted(vm.id for vm in made)
    page = as_alice.page(f"/bin?before={seen[1]}", htmx=True)
    assert page.one("//div[@id='bin']").get("hx-get") == f"/bin?before={seen[1]}"
    assert page.find("//a[@href='/bin']"), "back to the first page"


def test_the_bin_is_searched(as_alice, cloud, alice, project, binned):
    other = cloud.project(alice, "Web archive")
    cloud.projects.delete_project(other.id, actor=acting(alice))
    cloud.worker.work()

    def found(query):
        return {
            row.get("id")[7:10] for row in as_alice.page(f"/bin?q={query}").find("//tr[starts-with(@id, 'binned-')]")
        }

    assert found("web") == {"vm_", "prj"}
    assert found("web-1") == found("name:web-") == found("project:site") == {"vm_"}
    assert found("archive") == found("-name:web-1") == {"prj"}
    assert found("deleted:>=2020") == {"vm_", "prj"}
    assert found("deleted:<2020") == set()
    assert "Nothing matches" in as_alice.page("/bin?q=zzz").text()
    assert "no date" in as_alice.page("/bin?q=deleted:soon").one("//p[@id='search-problem']").text


def test_a_project_in_the_bin_is_paged(as_alice, cloud, alice, project, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.recycle_bin.routes.PAGE_SIZE", 2)
    for number in range(3):
        cloud.launch(alice, project, f"vm-{number}")
    cloud.projects.delete_project(project.id, actor=acting(alice))
    cloud.worker.work()
    first = as_alice.page(f"/bin/projects/{project.id}")
    second = as_alice.page(first.one("//a[@rel='next']").get("href"))
    rows = [len(page.find("//tbody/tr")) for page in (first, second)]
    assert rows == [2, 1]


@pytest.mark.parametrize("htmx", [False, True])
def test_a_disk_at_another_price_than_shown_asks_again(as_alice, binned, cloud, htmx):
    url = f"/bin/vms/{binned.id}/restore"
    assert as_alice.page(url, htmx=htmx).one("//input[@name='shown_price']").get("value") == "0-100"
    cloud.billing.price_list.publish("size_nano", 5000, 300, actor=SYSTEM)
    answer = as_alice.post(url, {"name": "web-9", "shown_price": "0-100"}, htmx=htmx)
    assert answer.status_code == 409
    assert "Now: 0.0003 credits per hour. Shown before: 0.0001 credits per hour." in answer.text
    assert 'value="web-9"' in answer.text
    assert as_alice.get(f"/vms/{binned.id}").status_code == 410
    assert as_alice.post(url, {"name": "web-9", "shown_price": "0-300"}, htmx=htmx).status_code in (204, 303)


def test_the_address_of_what_was_deleted_says_when_by_whom_and_offers_it(as_alice, as_charlie, binned):
    for path in ("", "/metrics", "/settings"):
        page = as_alice.page(f"/vms/{binned.id}{path}", status=410)
        for words in ("This machine was deleted", "by Alice", "recycle bin until"):
            assert words in page.text()
        assert page.find(f"//a[@href='/bin/vms/{binned.id}/restore']")
        assert as_charlie.get(f"/vms/{binned.id}{path}").status_code == 404


def test_and_of_what_is_gone_for_good(as_alice, machine, cloud):
    cloud.keep_deleted(0)
    as_alice.post(f"/vms/{machine.id}/delete", {"confirm_name": machine.name})
    cloud.worker.work()
    page = as_alice.page(f"/vms/{machine.id}", status=410)
    assert "It is deleted for good" in page.text()
    assert "by Alice" in page.text()
    assert not page.find("//a[contains(@href, 'restore')]")
