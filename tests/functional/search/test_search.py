"""The command palette's address: what it finds for whom, where that leads, and what it costs."""

import pytest

from tests.functional.conftest import Browser
from tests.services.people import Statements, join
from zentry_web.domain.vms.state import VMState

pytestmark = pytest.mark.integration


def found(browser, typed, *, htmx=True):
    """Text to address of all results, in their order."""
    page = browser.page(f"/search?q={typed}", htmx=htmx)
    links = page.find("//a[contains(@class, 'z-found-link')]")
    return {" ".join("".join(a.find("span").itertext()).split()): a.get("href") for a in links}


def titles(browser, typed):
    page = browser.page(f"/search?q={typed}", htmx=True)
    return ["".join(each.itertext()) for each in page.find("//div[@class='z-found-title']")]


@pytest.fixture
def shop(cloud, alice):
    return cloud.project(alice, "Shop")


@pytest.fixture
def web_1(cloud, alice, shop):
    return cloud.launch(alice, shop, "web-one")


def test_a_few_letters_find_a_machine_and_what_can_be_done_to_it(as_alice, web_1):
    for typed in ("web", "wbone", "WEB-ONE", "one", "shop web"):
        results = found(as_alice, typed)
        assert results["web-one"] == f"/vms/{web_1.id}", typed
    assert results["Stop web-one"] == f"/vms/{web_1.id}/stop"
    assert "Start web-one" not in results
    assert titles(as_alice, "web-one")[0] == "Machines"


def test_a_verb_and_a_name_find_the_action_first(as_alice, web_1, shop):
    assert next(iter(found(as_alice, "stop web"))) == "Stop web-one"
    assert next(iter(found(as_alice, "restart web"))) == "Reboot web-one"
    launch = found(as_alice, "launch in the shop")
    assert launch["Launch in Shop"] == f"/vms/new?project={shop.id}"
    assert next(iter(found(as_alice, "top"))) == "Top up"


def test_a_verb_alone_is_offered_for_what_one_worked_with(as_alice, web_1):
    assert "Stop web-one" in found(as_alice, "stop")


def test_pages_settings_and_statements_are_found(as_alice):
    assert found(as_alice, "run out")["If credits run out"] == "/credits/plan"
    assert found(as_alice, "ssh")["SSH keys"] == "/account/ssh-keys"
    assert found(as_alice, "2fa")["Security"] == "/account/security"


def test_with_nothing_typed_it_shows_what_one_worked_with(as_alice, web_1, shop):
    results = found(as_alice, "")
    assert results["web-one"] == f"/vms/{web_1.id}"
    assert results["Shop"] == f"/projects/{shop.id}"
    assert "Top up" in results


def test_it_is_a_page_without_script(as_alice, web_1):
    page = as_alice.page("/search?q=web-one")
    assert page.one("//main//input[@name='q']").get("value") == "web-one"
    assert found(as_alice, "web-one", htmx=False)["web-one"] == f"/vms/{web_1.id}"
    assert "Nothing fits" in as_alice.page("/search?q=zzzz").text()


@pytest.mark.asvs("8.2.2")
def test_nobody_finds_what_is_not_theirs(container, web, as_charlie, web_1, shop, bob):
    for typed in ("web-one", web_1.id, "shop", "stop web-one", "alice", "10.77", "vouchers", "starting credits"):
        results = found(as_charlie, typed)
        assert not {"web-one", "Shop", "Stop web-one", "Launch in Shop", "Vouchers", "Starting credits"} & set(results)
        assert not [href for href in results.values() if "/admin" in href]
    join(container, shop, bob, "viewer")
    results = found(Browser(web).log_in(bob), "web-one")
    assert results["web-one"] == f"/vms/{web_1.id}"
    assert not [text for text in results if "Stop" in text or "Delete" in text]


def test_admins_find_people_and_everything(as_admin, web_1, alice):
    assert found(as_admin, "alice")["Alice"] == f"/admin/users/{alice.id}"
    assert found(as_admin, "web-one")["web-one"] == f"/vms/{web_1.id}"
    assert found(as_admin, "starting")["Starting credits"] == "/admin/settings/starting_credits"


def test_an_admins_own_machines_come_before_those_of_others(cloud, admin, as_admin, web_1):
    cloud.launch(admin, cloud.project(admin, "Mine"), "web-one-of-mine")
    assert [text for text in found(as_admin, "web") if text.startswith("web-")] == ["web-one-of-mine", "web-one"]


def test_everything_that_is_found_opens(as_admin, as_alice, web_1, shop):
    for browser in (as_admin, as_alice):
        addresses = set()
        for typed in ("", "a", "e", "o", "admin", "set", "web-one", "shop"):
            addresses |= set(found(browser, typed).values())
        assert len(addresses) > 20
        for href in sorted(addresses):
            assert browser.get(href).status_code == 200, href


def test_opening_an_action_asks_and_does_nothing(cloud, as_alice, web_1):
    page = as_alice.page(f"/vms/{web_1.id}/stop")
    assert page.one("//form[contains(@class, 'z-dialog-main')]").get("action") == f"/vms/{web_1.id}/stop"
    assert cloud.vm(web_1).state == web_1.state == VMState.RUNNING
    assert as_alice.get(f"/vms/{web_1.id}/start").status_code == 409
    assert as_alice.post(f"/vms/{web_1.id}/stop").status_code == 303
    assert cloud.vm(web_1).state == VMState.STOPPING


def test_marks_in_what_was_typed_are_text(as_alice):
    page = as_alice.get("/search?q=%3Cscript%3Ealert(1)%3C/script%3E%25_").text
    assert "<script>alert" not in page


def test_it_asks_the_same_few_statements_whatever_there_is(cloud, container, alice, shop, as_alice, as_admin, web_1):
    def count(browser):
        with Statements(container.database) as statements:
            assert browser.get("/search?q=stop+web", htmx=True).status_code == 200
        return statements.count

    few = [count(each) for each in (as_alice, as_admin)]
    for number in range(8):
        cloud.ask(alice, shop, f"web-{number}")
        cloud.project(alice, f"web {number}")
    assert [count(each) for each in (as_alice, as_admin)] == few
    assert max(few) <= 10  # whose session it is among them
