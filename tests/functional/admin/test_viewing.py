"""Viewing as: an admin sees a person's pages, changes nothing, and leaves a trail."""

import pytest
from sqlalchemy import func, select

from tests.functional.conftest import Browser
from tests.functional.test_route_matrix import ADMIN, RULES, address
from tests.page import Page
from tests.services.people import acting, events_of, personal_of
from zentry_web.domain.user import Role
from zentry_web.models import DbEvent, DbUser
from zentry_web.web.session import greyed
from zentry_web.web.session.viewing import SHOWN

pytestmark = pytest.mark.integration

REASON = {"reason": "Ticket 42"}
UNTOUCHED = ("user_view", "event", "event_personal")


@pytest.fixture
def looking(as_admin, alice):
    """The admin's browser, looking at Alice's pages."""
    answer = as_admin.post(f"/admin/users/{alice.id}/view", REASON)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/overview")
    return as_admin


PRESSED = "[not(@type='hidden')][not(self::button[@type='button'])]"


def offered(page):
    """What a page lets one press: (method, address), of links, forms and their buttons."""
    found = [("GET", link.get("href")) for link in page.find("//a[@href]")]
    for form in page.find("//form"):
        inside = f".//*[self::button or self::input or self::select or self::textarea][not(@disabled)]{PRESSED}"
        fields = form.xpath(inside)
        if form.get("id"):
            fields += page.find(f"//*[@form='{form.get('id')}'][not(@disabled)]{PRESSED}")
        method = (form.get("method") or "get").upper()
        found += [(method, field.get("formaction") or form.get("action") or "") for field in fields]
    for method in ("get", "post", "put", "patch", "delete"):
        pressed = page.find(f"//*[self::a or self::button][not(@disabled)][@hx-{method}]")
        found += [(method.upper(), each.get(f"hx-{method}")) for each in pressed]
    return found


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


def test_what_a_guest_printed_is_not_on_the_machines_page(looking, as_alice, container, machine):
    container.get_monitoring_service().record_console(machine.id, "root password: hunter2", 22)
    assert "hunter2" in as_alice.page(f"/vms/{machine.id}/console").text()
    assert looking.get(f"/vms/{machine.id}/console").status_code == 403
    for tab in ("", "/metrics", "/activity", "/settings"):
        seen = looking.get(f"/vms/{machine.id}{tab}")
        assert seen.status_code == 200
        assert "hunter2" not in seen.text
        assert "vms.console" not in seen.text


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


def test_nothing_that_would_be_refused_can_be_pressed(looking, web, alice, project, machine):
    """Of all pages shown, and of what they load: links, forms and buttons lead where the guard lets one."""
    targets = {}
    for endpoint in SHOWN:
        url = address(web, endpoint, project=project, machine=machine, alice=alice)
        for htmx in (False, True):
            answer = looking.get(url, htmx=htmx)
            if answer.mimetype != "text/html" or not answer.text.strip():
                continue
            for method, target in offered(Page(answer.text, fragment="<html" not in answer.text)):
                if not target.startswith(("#", "http", "mailto:", "ssh:")):
                    targets.setdefault((method, target or url), endpoint)
    assert targets.pop(("POST", "/account/view/leave"))
    assert [targets.pop(key) for key in list(targets) if key[1].startswith("/login")]  # once the session has ended
    assert {method for method, _ in targets} <= {"GET", "DIALOG"}
    refused = {target: seen for (_, target), seen in targets.items() if looking.get(target).status_code == 403}
    assert refused == {}
    assert len(targets) > 50


def test_what_cannot_be_pressed_says_why(looking, machine):
    page = looking.page(f"/vms/{machine.id}")
    stop = page.find("//main//form[contains(@action, '/stop')]//button")[0]
    assert stop.get("disabled") is not None
    assert stop.get("title") == "You are only looking at this account: nothing can be changed."
    page = looking.page("/account")
    tokens = page.one("//a[normalize-space()='API tokens']")
    assert tokens.get("href") is None
    assert (tokens.get("role"), tokens.get("aria-disabled")) == ("link", "true")
    assert tokens.get("title") == "Not shown to somebody who only looks at this account."
    assert page.find("//input[@name='name'][@disabled]")
    assert page.find("//a[normalize-space()='Machines'][@href='/vms']")
    assert page.find("//button[normalize-space()='Leave'][not(@disabled)]")


def test_pages_of_ones_own_are_not_greyed(as_alice, machine):
    page = as_alice.page(f"/vms/{machine.id}")
    assert page.find("//main//form[contains(@action, '/stop')]//button[not(@disabled)]")
    assert not page.find("//a[@aria-disabled]")


@pytest.mark.parametrize(
    ("html", "shown"),
    [
        ("<p>a > b &amp; c</p>\n<script>if (a < b) x = '<a href=\"/no\">'</script>", None),
        ('<a\n href="/yes?q=1&amp;p">x</a><br/>', None),
        (
            '<a id="b" href="/no?a&amp;b" hx-get="/no">x</a>',
            '<a id="b" role="link" aria-disabled="true" title="W">x</a>',
        ),
        (
            'é\n<form method="post" action="/no"><input name=a value="&lt;"></form><input>',
            'é\n<form method="post" action="/no"><input name="a" value="&lt;" disabled title="W"></form><input>',
        ),
        (
            '<button form="f">x</button><form id="f" method="post" action="/no"></form>',
            '<button form="f" disabled title="W">x</button><form id="f" method="post" action="/no"></form>',
        ),
        (
            '<form id="f" action="/yes"><button formaction="/no">x</button></form>',
            '<form id="f" action="/yes"><button formaction="/no" disabled title="W">x</button></form>',
        ),
        ('<form method="post" action="/no"><button type="button">x</button><input type="hidden"></form>', None),
    ],
)
def test_only_what_may_not_be_asked_for_is_written_anew(monkeypatch, html, shown):
    for why in ("_nothing_changes", "_not_shown"):
        monkeypatch.setattr(greyed, why, lambda: "W")
    assert greyed.grey(html, lambda method, url: method == "GET" and not url.startswith("/no")) == (shown or html)
