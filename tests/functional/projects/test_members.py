"""/projects/<id>/members and /invitations/<link>: inviting, joining, roles, leaving."""

import re

import pytest

from tests.conftest import sign_up
from tests.functional.conftest import Browser
from tests.page import Page
from tests.services.people import acting, join
from zentry_web.web.live import EXTENSION as HUB

pytestmark = pytest.mark.integration

TO_DORA = {"email": "dora@example.com", "role": "member"}


@pytest.fixture
def bob(container):
    return sign_up(container, "bob")


@pytest.fixture
def as_bob(web, bob):
    return Browser(web).log_in(bob)


@pytest.fixture
def link(container, project, alice):
    """The path of an open invitation."""
    made = container.get_project_service().invitations.invite(project.id, TO_DORA, actor=acting(alice))
    return f"/invitations/{made.secret}"


@pytest.mark.parametrize("htmx", [False, True])
def test_an_invitation_shows_its_link_once_where_no_mail_is_sent(as_alice, visitor, project, htmx):
    answer = as_alice.post(f"/projects/{project.id}/members/invite", TO_DORA, htmx=htmx)
    assert answer.status_code == 200
    (path,) = set(re.findall(r"/invitations/[\w-]{20,}", answer.text))
    page = visitor.page(path)
    assert page.one("//h1").text.strip() == "Join Website?"
    members = as_alice.page(f"/projects/{project.id}/members")
    assert "dora@example.com" in members.text()
    assert path not in members.html


@pytest.mark.parametrize("htmx", [False, True])
def test_inviting_somebody_who_is_in_is_told_at_once(as_alice, container, project, bob, htmx):
    join(container, project, bob, "viewer")
    for email, words in ((bob.email, "belong to this project already"), ("alice@example.com", "yourself")):
        answer = as_alice.post(f"/projects/{project.id}/members/invite", {"email": email, "role": "viewer"}, htmx=htmx)
        assert answer.status_code == 400
        assert words in Page(answer.text, fragment=htmx).errors()["email"]


def test_a_member_who_opens_a_link_gets_to_the_project(as_alice, link, project):
    assert as_alice.post(f"{link}/accept").headers["Location"] == f"/projects/{project.id}"


@pytest.mark.parametrize("htmx", [False, True])
def test_what_was_typed_wrong_is_kept(as_alice, project, htmx):
    answer = as_alice.post(f"/projects/{project.id}/members/invite", {"email": "dora@", "role": "viewer"}, htmx=htmx)
    assert answer.status_code == 400
    page = Page(answer.text, fragment=htmx)
    assert set(page.errors()) == {"email"}
    assert page.one("//input[@id='email']").get("value") == "dora@"
    assert page.one("//input[@name='role'][@checked]").get("value") == "viewer"


def test_accepting_leads_into_the_project(as_bob, as_alice, link, project, machine):
    page = as_bob.page(link)
    assert "Alice" in page.text()
    assert as_bob.get(link).headers["Referrer-Policy"] == "origin"
    answer = as_bob.post(f"{link}/accept")
    assert answer.headers["Location"] == f"/projects/{project.id}"
    assert "web-1" in as_bob.page("/vms").text()
    assert as_bob.get(link).status_code == 404
    assert "bob@example.com" in as_alice.page(f"/projects/{project.id}/members").text()
    assert "Bob joined Website" in as_alice.page("/account/notices").text()


def test_declining_and_withdrawing_end_a_link(as_bob, as_alice, container, link, project, alice):
    assert as_bob.post(f"{link}/decline").status_code == 303
    assert as_bob.get(link).status_code == 404
    made = container.get_project_service().invitations.invite(project.id, TO_DORA, actor=acting(alice))
    assert as_alice.post(f"/projects/{project.id}/invitations/{made.id}/revoke").status_code == 303
    assert as_bob.post(f"/invitations/{made.secret}/accept").status_code == 404


def test_who_has_no_account_signs_up_and_comes_back(web, link):
    dora = Browser(web)
    page = dora.page(link)
    assert page.one("//a[contains(@href, '/login?next=')]").get("href").endswith(link)
    form = dora.page("/signup")
    stamp = form.one("//input[@name='stamp']").get("value")
    data = {"email": "dora@example.com", "name": "Dora", "password": "seven odd horses fly", "stamp": stamp}
    answer = dora.post("/signup", data)
    assert answer.headers["Location"] == link
    assert "dora@example.com" in dora.page(link).text()


def test_a_role_is_changed_and_a_member_removed(as_alice, as_bob, container, project, bob):
    join(container, project, bob, "viewer")
    base = f"/projects/{project.id}"
    assert as_bob.get(f"{base}/rename").status_code == 403
    assert as_alice.post(f"{base}/members/{bob.id}/role", {"role": "admin"}).status_code == 303
    assert as_bob.get(f"{base}/rename").status_code == 200
    assert as_alice.post(f"{base}/members/{bob.id}/role", {"role": "owner"}).status_code == 403
    assert as_alice.post(f"{base}/members/{bob.id}/role", {"role": "king"}).status_code == 400
    assert as_alice.post(f"{base}/members/{bob.id}/remove").status_code == 303
    assert as_bob.get(base).status_code == 404


def test_leaving_is_for_members(as_alice, as_bob, container, project, bob):
    join(container, project, bob, "viewer")
    assert "Leave" not in as_alice.page(f"/projects/{project.id}/members").text()
    assert "Leave" in as_bob.page(f"/projects/{project.id}/members").text()
    for _ in range(2):
        assert as_bob.post(f"/projects/{project.id}/leave").headers["Location"] == "/projects"
    assert as_bob.get(f"/projects/{project.id}").status_code == 404


@pytest.mark.parametrize(
    ("role", "sees", "misses"),
    [
        ("viewer", (), ("Console", "Stop: then", "Protect from deletion", "Reboot")),
        ("restricted", ("Console", "Stop: then", "Reboot"), ("Protect from deletion", "Change size")),
        ("member", ("Console", "Stop: then", "Protect from deletion", "Change size"), ()),
    ],
)
def test_pages_offer_what_the_role_may(as_bob, container, project, machine, bob, role, sees, misses):
    join(container, project, bob, role)
    page = as_bob.page(f"/vms/{machine.id}")
    assert [words for words in sees if words not in page.text()] == []
    controls = page.find("//main//*[self::a[@href] or self::button][not(@aria-disabled='true') and not(@disabled)]")
    offered = " | ".join("".join(each.itertext()) for each in controls)
    assert [words for words in sees if words not in offered] == []
    assert [words for words in misses if words in offered] == []
    page = as_bob.page(f"/projects/{project.id}").text()
    assert "paid by Alice" in page
    assert ("Launch machine" in page) == (role == "member")
    assert "Set a budget" not in page


def test_who_launches_for_somebody_else_is_told_who_pays(as_bob, container, project, bob):
    join(container, project, bob, "member")
    page = as_bob.page(f"/vms/new?project={project.id}")
    assert "Paid by Alice" in page.text()
    assert "Alice can use" in page.text()


@pytest.mark.parametrize("role", ["restricted", "viewer"])
def test_other_people_s_funds_are_not_shown_to_those_who_cannot_spend_them(as_bob, container, project, bob, role):
    join(container, project, bob, role)
    quote = as_bob.page(f"/vms/new/quote?project_id={project.id}&size_id=size_nano", htmx=True).text()
    assert "can use" not in quote
    assert "Alice" not in as_bob.page("/vms/new").text()
    chosen = {"project_id": project.id, "name": "mine", "size_id": "size_nano", "image_id": "img_tiny"}
    refused = as_bob.post("/vms/new", chosen)
    assert refused.status_code == 403
    assert "has 5.00" not in refused.text


def test_open_streams_of_a_removed_member_fall_silent(web, container, cloud, project, machine, alice, bob):
    join(container, project, bob, "viewer")
    hub = web.extensions[HUB]
    users, members = container.get_user_service(), container.get_project_service().members
    subscriber = hub.subscribe(bob.id, False)
    seq = users.latest_seq()

    def topics():
        nonlocal seq
        events = users.events_after(seq)
        seq = users.latest_seq()
        hub._deliver(events)
        return subscriber.take(0)

    cloud.vms.reboot_vm(machine.id, actor=acting(alice))
    assert f"vm:{machine.id}" in topics()
    members.remove(project.id, bob.id, actor=acting(alice))
    assert f"project:{project.id}" in topics()  # to hear of the removal itself
    cloud.vms.force_off_vm(machine.id, actor=acting(alice))
    assert topics() == []
    hub.unsubscribe(subscriber)


def test_an_open_page_of_a_removed_member_leads_away(as_bob, container, project, alice, bob):
    join(container, project, bob, "viewer")
    container.get_project_service().members.remove(project.id, bob.id, actor=acting(alice))
    for path in ("", "/members"):
        answer = as_bob.get(f"/projects/{project.id}{path}", htmx=True)
        assert (answer.status_code, answer.headers["HX-Redirect"]) == (404, "/projects")
