"""Lists saved by a name: tabs over the list, one of them it opens with, renamed, deleted, and nobody else's."""

import pytest

from zentry_web.domain.people.saved_view import MOST_VIEWS

pytestmark = pytest.mark.integration
NEW = "/account/views/new"


def save(browser, name, query="q=state%3Arunning&sort=name", **more):
    return browser.post(NEW, {"kind": "vms", "query": query, "name": name, **more})


def tabs(page):
    return [tab.text for tab in page.find("//nav[@aria-label='Views']/a")]


def test_a_view_is_saved_shown_and_opened(as_alice, machine):
    assert not as_alice.page("/vms").find("//nav[@aria-label='Views']")
    page = as_alice.page("/vms?q=state:running&sort=name&before=vm_x")
    form = as_alice.page(page.one("//a[.='Save view']").get("href"))
    fields = {each.get("name"): each.get("value") for each in form.find("//main//form[@action]//input[@type='hidden']")}
    answer = as_alice.post(NEW, {"name": "On the air", "kind": fields["kind"], "query": fields["query"]})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/vms?q=state%3Arunning&sort=name")
    page = as_alice.page(answer.headers["Location"])
    assert tabs(page) == ["All machines", "On the air"]
    assert page.one("//nav[@aria-label='Views']/a[@aria-current]").text == "On the air"
    assert as_alice.get("/vms").status_code == 200


def test_one_is_what_the_list_opens_with(as_alice, machine):
    save(as_alice, "First", is_default="y")
    save(as_alice, "Second", "q=web", is_default="y")
    answer = as_alice.get("/vms")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/vms?q=web")
    page = as_alice.page("/vms?view=all")
    assert tabs(page) == ["All machines", "First", "Second"]
    assert "web-1" in page.text()


def test_a_view_is_renamed_and_deleted(as_alice, machine):
    save(as_alice, "Old")
    page = as_alice.page("/vms?q=state:running&sort=name")
    url = page.one("//a[.='Edit view']").get("href")
    assert as_alice.post(url, {"name": "New", "is_default": "y"}).status_code == 303
    page = as_alice.page("/vms?view=all")
    assert tabs(page) == ["All machines", "New"]
    assert as_alice.page(url).one("//input[@name='is_default']").get("checked") is not None
    answer = as_alice.post(url, {"do": "delete"})
    assert answer.headers["Location"] == "/vms?view=all"
    assert not as_alice.page("/vms").find("//nav[@aria-label='Views']")
    assert as_alice.get(url).status_code == 404


def test_names_and_numbers_have_limits(as_alice, machine):
    assert save(as_alice, "").status_code == 400
    assert save(as_alice, "Mine").status_code == 303
    taken = save(as_alice, "MINE")
    assert taken.status_code == 400
    assert "You have a view of that name" in taken.text
    for number in range(MOST_VIEWS - 1):
        assert save(as_alice, f"View {number}").status_code == 303
    assert save(as_alice, "One more").status_code == 409
    assert as_alice.post(NEW, {"kind": "nothing", "query": "", "name": "x"}).status_code == 404


def test_only_what_belongs_into_an_address_is_kept(as_alice, machine):
    answer = save(as_alice, "Odd", "q=web&before=vm_1&next=//evil.example&ticked=all&columns=state")
    assert answer.headers["Location"] == "/vms?q=web&columns=state"


def test_other_people_s_views_are_not_there(as_alice, as_charlie, container, alice, machine):
    save(as_alice, "Mine")
    (view,) = container.get_user_service().saved_views.list_views(alice.id, "vms")
    assert as_charlie.get(f"/account/views/{view.id}").status_code == 404
    assert as_charlie.post(f"/account/views/{view.id}", {"do": "delete"}).status_code == 404
    assert len(container.get_user_service().saved_views.list_views(alice.id, "vms")) == 1


@pytest.mark.parametrize(
    ("kind", "path", "query"),
    [
        ("projects", "/projects", "q=cost%3A%3E1&archived=1"),
        ("transactions", "/credits/transactions", "q=gift&holds=y"),
        ("charges", "/credits/bill", "q=state%3Arunning"), ("all_projects", "/admin/projects", "q=shop&sort=name"),
        ("ledger", "/admin/ledger", "q=kind%3Agrant"),
        ("bin", "/bin", "q=deleted%3A2026&columns=until&density=compact"),
        ("audit", "/admin/audit", "q=who%3Aboss&action=vm.&columns=what"),
    ],
)  # fmt: skip
def test_every_list_has_views(as_admin, kind, path, query):
    page = as_admin.page(f"{path}?{query}&before=x")
    form = as_admin.page(page.one("//a[.='Save view']").get("href"))
    assert form.one("//input[@name='query']").get("value") == query
    saved = as_admin.post(NEW, {"kind": kind, "query": query, "name": "Mine", "is_default": "y"})
    assert saved.headers["Location"] == f"{path}?{query}"
    assert as_admin.get(path).headers["Location"] == f"{path}?{query}"
    assert tabs(as_admin.page(f"{path}?{query}"))[1:] == ["Mine"]
    assert as_admin.page(f"{path}?view=all").one("//nav[@aria-label='Views']/a[@aria-current]").text.startswith("All ")
