"""Viewing as: an admin sees a person's pages, changes nothing, and leaves a trail."""

import pytest
from sqlalchemy import func, select

from tests.functional.conftest import Browser
from tests.functional.test_route_matrix import ADMIN, RULES, address
from tests.page import Page
from tests.services.people import acting, events_of, personal_of
from zentry_web.domain.user import Role
from zentry_web.models import DbEvent, DbUser
from zentry_web.web.viewing import SHOWN

pytestmark = pytest.mark.integration

REASON = {"reason": "Ticket 42"}
UNTOUCHED = ("user_view", "event", "event_personal")


@pytest.fixture
def looking(as_admin, alice):
    """The admin's browser, looking at Alice's pages."""
    answer = as_admin.post(f"/admin/users/{alice.id}/view", REASON)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/overview")
    return as_admin


def rows(core):
    """How many rows each table has, but those that record the look."""
    with core.database.reading() as session:
        tables = [table for table in DbUser.metadata.sorted_tables if table.name not in UNTOUCHED]
        return {table.name: session.scalar(select(func.count()).select_from(table)) for table in tables}


def test_pages_are_the_persons_with_a_banner(looking, alice, admin, machine):
    page = looking.page("/overview")
    banner = page.one("//section[@aria-label='Viewing as Alice']")
    text = " ".join("".join(banner.itertext()).split())
    assert "the pages of Alice (alice@example.com) since" in text
    assert "Administration" not in page.text()
    assert "web-1" in looking.page("/vms").text()
    assert looking.page(f"/vms/{machine.id}").find("//section[@class='z-viewing d-print-none']")
    assert not page.find("//body[@data-events]")


@pytest.mark.parametrize("htmx", [False, True])
def test_it_begins_with_a_reason_and_ends_with_a_button(as_admin, alice, admin, core, htmx):
    url = f"/admin/users/{alice.id}/view"
    assert as_admin.page(url, htmx=htmx).find("//input[@name='reason']")
    refused = as_admin.post(url, {"reason": " "}, htmx=htmx)
    assert refused.status_code == 400
    assert set(Page(refused.text, fragment=htmx).errors()) == {"reason"}
    assert as_admin.post(url, REASON, htmx=htmx).status_code == (204 if htmx else 303)
    assert "Alice" in as_admin.page("/account").text()
    assert as_admin.get("/admin").status_code == 403
    left = as_admin.post("/account/view/leave")
    assert (left.status_code, left.headers["Location"]) == (303, f"/admin/users/{alice.id}")
    assert as_admin.get("/admin").status_code == 200
    assert not as_admin.page("/overview").find("//section[contains(@class, 'z-viewing')]")
    begin, end = events_of(core, "user.view_begin")[0], events_of(core, "user.view_end")[0]
    assert {begin.actor_id, end.actor_id} == {admin.id}
    assert {begin.owner_id, end.owner_id} == {alice.id}
    assert personal_of(core, begin.id)["reason"] == "Ticket 42"
    assert end.details["why"] == "left"
    assert as_admin.post("/account/view/leave").headers["Location"] == "/overview"


def test_every_post_is_refused_and_nothing_is_written(looking, web, core, alice, project, machine):
    before = rows(core)
    for endpoint, (_, methods) in RULES.items():
        if "POST" not in methods or endpoint == "account.leave_view" or endpoint.startswith(("api.", "webhooks.")):
            continue
        if endpoint.startswith("internal."):  # other processes, with their tokens
            continue
        url = address(web, endpoint, project=project, machine=machine, alice=alice)
        for htmx in (False, True):
            answer = looking.post(url, {"name": "x", "action": "stop"}, htmx=htmx)
            assert answer.status_code == 403, endpoint
            assert "only looking" in answer.text, endpoint
    assert rows(core) == before
    with core.database.reading() as session:
        last = session.scalars(
            select(DbEvent).where(DbEvent.actor_id == alice.id, DbEvent.request_id.is_not(None))
        ).all()
    assert [event.action for event in last] == []


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_other_methods_are_refused_too(looking, method):
    call = getattr(looking.client, method)
    assert call("/account", headers={"X-CSRFToken": looking.token()}).status_code == 403


def test_pages_that_are_not_on_the_list_are_not_shown(looking, web, alice, project, machine):
    for endpoint, (who, methods) in RULES.items():
        if "GET" not in methods or endpoint in SHOWN or endpoint.startswith(("static", "health.")):
            continue
        url = address(web, endpoint, project=project, machine=machine, alice=alice)
        assert looking.get(url).status_code == 403, (endpoint, who)


@pytest.mark.parametrize(
    "secret",
    [
        "account.tokens", "account.factor_app", "account.add_passkey", "account.confirm", "auth.welcome",
        "auth.reset_password", "auth.finish_signup", "invitations.show", "vms.console", "billing.pay", "billing.top_up",
        "billing.bill_file", "billing.statement_csv", "billing.statement_pdf", "live.events", "account.leave",
    ],
)  # fmt: skip
def test_what_holds_secrets_is_not_on_the_list(secret):
    assert secret in RULES
    assert secret not in SHOWN


def test_the_list_names_pages_there_are_and_none_of_the_admins(looking, web, alice, project, machine):
    for endpoint in SHOWN:
        assert RULES[endpoint][0] != ADMIN
        url = address(web, endpoint, project=project, machine=machine, alice=alice)
        assert looking.get(url).status_code in (200, 404), endpoint


def test_every_page_seen_is_the_admins_in_the_trail(looking, core, alice, admin, machine, as_alice):
    for url in ("/overview", "/overview", f"/vms/{machine.id}", f"/vms/{machine.id}/status", "/vms?q=private-words"):
        assert looking.get(url).status_code == 200
    seen = events_of(core, "user.view_page")
    assert [event.details["page"] for event in seen] == [
        "dashboard.overview", f"vms.show vm_id={machine.id}", "vms.index",
    ]  # fmt: skip
    assert {(event.actor_id, event.owner_id) for event in seen} == {(admin.id, alice.id)}
    assert "private-words" not in str([event.details for event in seen])
    told = as_alice.page("/overview").text()
    assert "Looked at the pages of the account, as an admin" in told
    assert "Saw a page" not in told
    assert "Ticket 42" not in told


def test_seeing_a_part_of_a_page_is_recorded_too(looking, core):
    """Nobody gets around the trail by asking for fragments."""
    looking.get("/projects", htmx=True)
    assert [event.details["page"] for event in events_of(core, "user.view_page")] == ["projects.index"]


def test_after_half_an_hour_it_is_over(looking, clock, core, alice, machine):
    clock.advance(minutes=31)
    answer = looking.post(f"/vms/{machine.id}/stop")
    assert answer.status_code == 409
    assert "ended" in answer.text
    assert not events_of(core, "vm.stop")
    looking.get("/admin")  # oneself again
    (end,) = events_of(core, "user.view_end")
    assert end.details["why"] == "time"


def test_a_page_after_half_an_hour_leads_back(looking, clock):
    clock.advance(minutes=31)
    answer = looking.get("/vms")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/users")
    assert "has ended" in looking.page("/admin/users").text()


def test_forms_of_the_persons_pages_do_not_work_for_the_admin(looking, machine, core):
    stale = looking.token()
    looking.post("/account/view/leave")
    with looking.client.session_transaction() as session:
        session["csrf_token"] = "d" * 40
    answer = looking.client.post(f"/vms/{machine.id}/stop", data={"csrf_token": stale})
    assert answer.status_code == 400
    assert not events_of(core, "vm.stop")


def test_the_token_of_forms_changes_at_both_ends(as_admin, alice):
    def raw():
        with as_admin.client.session_transaction() as session:
            return session.get("csrf_token")

    as_admin.get("/admin")
    before = raw()
    as_admin.post(f"/admin/users/{alice.id}/view", REASON)
    assert raw() != before or raw() is None
    as_admin.get("/overview")
    during = raw()
    as_admin.post("/account/view/leave")
    assert raw() != during


@pytest.mark.asvs("8.3.2")
def test_it_ends_with_the_admins_session_and_role(looking, container, admin, bob, clock):
    container.get_auth_service().end_sessions(admin.id)
    assert looking.get("/vms").headers["Location"].startswith("/login")
    assert container.get_user_service().views.expire() == 1
    looking.log_in(admin)
    assert looking.get("/admin").status_code == 200


def test_a_view_belongs_to_one_session(looking, web, admin, alice, core):
    with looking.client.session_transaction() as session:
        view_id = session["view"]
    other = Browser(web).log_in(admin)
    with other.client.session_transaction() as session:
        session["view"] = view_id
    assert other.get("/vms").headers["Location"] == "/admin/users"
    assert "Alice" in looking.page("/account").text()  # that one goes on
    charlie = Browser(web).log_in(alice)
    with charlie.client.session_transaction() as session:
        session["view"] = view_id
    charlie.get("/vms")
    assert not charlie.page("/overview").find("//section[contains(@class, 'z-viewing')]")


def test_whose_pages_are_not_viewed(as_admin, container, admin, bob, as_alice, alice):
    container.get_user_service().access.change_role(bob.id, Role.ADMIN, actor=acting(admin))
    assert as_admin.post(f"/admin/users/{bob.id}/view", REASON).status_code == 403
    assert as_admin.post(f"/admin/users/{admin.id}/view", REASON).status_code == 409
    assert as_admin.post("/admin/users/usr_nobody/view", REASON).status_code == 404
    assert as_alice.post(f"/admin/users/{bob.id}/view", REASON).status_code == 403
    assert "View as" not in as_admin.page(f"/admin/users/{bob.id}").text()


def test_an_account_that_becomes_an_admins_is_seen_no_more(looking, container, admin, alice):
    container.get_user_service().access.change_role(alice.id, Role.ADMIN, actor=acting(admin))
    assert looking.get("/vms").headers["Location"] == "/admin/users"


def test_an_old_log_in_is_asked_again(as_admin, alice, clock):
    clock.advance(minutes=6)
    answer = as_admin.post(f"/admin/users/{alice.id}/view", REASON)
    assert answer.headers["Location"].startswith("/account/confirm")
    assert as_admin.get("/admin").status_code == 200


def test_error_pages_have_the_banner_too(looking):
    assert looking.get("/vms/vm_none").status_code == 404
    assert "Viewing as Alice" in looking.get("/vms/vm_none").text
