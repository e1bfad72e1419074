"""/admin/audit with dates and actions to pick from, and /admin/audit/verify."""

from dataclasses import replace

import pytest
from sqlalchemy import text

from tests.functional.admin.test_projects import read
from zentry_web.services.shared.rate_rules import RULES
from zentry_web.services.users import trail

pytestmark = pytest.mark.integration


def spoil(container, *statements):
    """Do to the database what its triggers refuse."""
    with container.database.engine.begin() as connection:
        names = (
            connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'event'"))
            .scalars()
            .all()
        )
        for statement in (*(f"DROP TRIGGER {name}" for name in names), *statements):
            connection.execute(text(statement))


def rows(page):
    return page.find("//section[@id='audit']//tbody/tr")


def results(page):
    found = page.find("//section[@id='check']//tbody/tr")
    return [" ".join(cell.xpath("string()").split()) for row in found for cell in row.xpath("td[2]")]


@pytest.mark.parametrize(
    ("query", "is_there"),
    [
        ("from=2026-11-23", True), ("to=2026-11-23", True), ("from=2026-11-23&to=2026-11-23", True),
        ("from=2026-11-24", False), ("to=2026-11-22", False), ("from=2026-11-23&action=price.", False),
        ("from=nonsense&to=2026-13-40", True), ("from=9000-01-01", False), ("to=9000-01-01", True),
    ],
)  # fmt: skip
def test_days_are_chosen(as_admin, machine, query, is_there):
    page = as_admin.page(f"/admin/audit?{query}")
    assert bool(rows(page)) is is_there


def test_a_day_is_the_viewer_s(as_admin, container, machine, clock):
    """The clock says 10:00 UTC, which in Kiritimati is midnight: of the next day."""
    as_admin.post("/account", {"name": "Boss", "time_zone": "Pacific/Kiritimati"})
    assert rows(as_admin.page("/admin/audit?from=2026-11-24&to=2026-11-24"))
    assert not rows(as_admin.page("/admin/audit?to=2026-11-23"))


def test_the_file_has_what_the_page_shows(as_admin, machine):
    page = as_admin.page("/admin/audit?from=2026-11-23&to=2026-11-23&action=vm.")
    taken = read(as_admin.get(page.one("//a[contains(@href, 'audit.csv')]").get("href")))
    assert len(taken) == len(rows(page)) > 0
    assert {line["action"].split(".")[0] for line in taken} == {"vm"}


def test_actions_are_those_that_there_are(as_admin, machine):
    def offered(query=""):
        return [each.text for each in as_admin.page(f"/admin/audit{query}").find("//select[@name='action']//option")]

    there = offered()
    assert {"All actions", "vm: all", "vm.create", "auth.signup"} <= set(there)
    assert "price.publish" not in there
    assert there == sorted(there[:1]) + sorted(there[1:], key=lambda each: each.replace(": all", "."))
    assert set(offered("?action=price.publish")) == {*there, "price: all", "price.publish"}  # as it was asked for
    chosen = as_admin.page("/admin/audit?action=vm.").one("//select[@name='action']//option[@selected]")
    assert chosen.text == "vm: all"


def test_what_is_looked_for_is_kept_as_a_view(as_admin, machine):
    page = as_admin.page("/admin/audit?from=2026-11-23&to=&action=vm.&actor_id=&outcome=&before=9")
    form = as_admin.page(page.one("//a[.='Save view']").get("href"))
    kept = form.one("//input[@name='query']").get("value")
    assert kept == "from=2026-11-23&action=vm."
    fields = {"kind": "audit", "query": f"{kept}&before=9", "name": "Machines since", "is_default": "y"}
    answer = as_admin.post("/account/views/new", fields)
    assert answer.headers["Location"] == f"/admin/audit?{kept}"
    assert as_admin.get("/admin/audit").headers["Location"] == f"/admin/audit?{kept}"
    page = as_admin.page(f"/admin/audit?{kept}")
    assert [tab.text for tab in page.find("//nav[@aria-label='Views']/a")] == ["All events", "Machines since"]
    assert page.one("//nav[@aria-label='Views']/a[@aria-current]").text == "Machines since"
    everything = as_admin.page(page.one("//a[.='Show all']").get("href"))
    assert len(rows(everything)) > len(rows(page)) > 0


def test_what_it_was_done_to_may_be_an_address(as_admin, alice, machine):
    by_address = as_admin.page("/admin/audit?resource_id=Alice@example.com")
    assert len(rows(by_address)) == len(rows(as_admin.page(f"/admin/audit?resource_id={alice.id}"))) > 0
    assert not rows(as_admin.page("/admin/audit?resource_id=nobody@example.com"))


def test_the_trail_is_in_order(as_admin, container, machine):
    page = as_admin.page("/admin/audit/verify")
    assert results(page) == ["Holds", "Holds", "Holds", "Not checked"]
    assert "There are no older events." in page.text()
    container.get_billing_service().books.verification.run_hourly()
    page = as_admin.page("/admin/audit/verify")
    assert results(page)[-1] == "Holds"
    assert "No breach in the events that were checked." in page.text()


def test_what_was_altered_is_found(as_admin, container, machine):
    spoil(container, 'UPDATE event_personal SET fields = \'{"address": "1.2.3.4"}\'')
    container.get_billing_service().books.verification.run_hourly()
    page = as_admin.page("/admin/audit/verify")
    assert results(page)[1:] == ["Breach", "Holds", "Breach"]
    assert "altered: no. " in page.text()
    assert "UPDATE of event is not refused" in page.text()
    assert "The audit trail is not as it was written." in page.text()


def test_what_was_deleted_is_found(as_admin, container, machine):
    spoil(
        container, "DELETE FROM event_personal", "DELETE FROM event WHERE action = 'vm.create' AND outcome = 'accepted'"
    )
    page = as_admin.page("/admin/audit/verify")
    assert results(page)[0] == "Breach"
    assert "1 number without an event" in page.text()


def test_what_usage_refers_to_is_missed(as_admin, container, machine):
    opened = "(SELECT opened_by FROM usage_interval)"
    spoil(container, "DELETE FROM event_personal", f"DELETE FROM event WHERE id IN {opened}")
    assert results(as_admin.page("/admin/audit/verify"))[2] == "Breach"


def test_older_events_are_checked_in_turn(as_admin, monkeypatch, container, machine):
    monkeypatch.setattr(
        trail.AuditTrail.verify, "__kwdefaults__", {**trail.AuditTrail.verify.__kwdefaults__, "limit": 4}
    )
    page, checked = as_admin.page("/admin/audit/verify"), 0
    while older := page.find("//a[contains(., 'Check older events')]"):
        assert results(page)[1] == "Holds"
        page, checked = as_admin.page(older[0].get("href")), checked + 1
    assert checked >= 1
    assert "There are no events before that" in as_admin.page("/admin/audit/verify?before=1").text()


def test_checks_are_limited(as_admin, monkeypatch):
    monkeypatch.setitem(RULES, "verify", replace(RULES["verify"], count=2))
    assert [as_admin.get("/admin/audit/verify").status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(
    ("words", "is_there"),
    [
        ("action:vm.create", True), ("action:vm.", True), ("action:price.", False), ("create", True),
        ("who:alice", True), ("who:Alice@example.com", True), ("who:system", True), ("who:nobody@example.com", False),
        ("what:alice@example.com", True), ("outcome:accepted", True), ("outcome:refused", False), ("alice", True),
        ("date:2026-11-23", True), ("date:<2026-11-23", False), ("-date:<2026-11-23", True),
        ("action:project.create -who:alice", False), ("action:vm.create -outcome:failed", True),
        ("nothing-like-it", False),
    ],
)  # fmt: skip
def test_the_trail_is_searched(as_admin, machine, words, is_there):
    page = as_admin.page(f"/admin/audit?q={words}")
    assert bool(rows(page)) is is_there
    assert page.one("//main//input[@type='search']").get("value") == words


def test_older_addresses_are_searches_now(as_admin, machine):
    page = as_admin.page("/admin/audit?actor_id=alice@example.com&outcome=accepted")
    assert page.one("//main//input[@type='search']").get("value") == "who:alice@example.com outcome:accepted"
    assert rows(page)


def test_what_makes_no_sense_is_said(as_admin, machine):
    page = as_admin.page("/admin/audit?q=outcome:lost")
    assert "Use one of: accepted" in page.one("//p[@id='search-problem']").text
    assert as_admin.get("/admin/audit?q=outcome:lost", htmx=True).headers["HX-Retarget"] == "#search-problem"
    assert as_admin.get("/admin/audit.csv?q=outcome:lost").status_code == 400
    assert "events" in as_admin.get("/admin/audit?q=vm", htmx=True).text


def test_a_search_of_the_trail_completes_itself(as_admin, as_alice, machine):
    offers = as_admin.get("/search/complete/audit?q=action:vm", htmx=True).text
    assert "action:vm." in offers
    assert "action:vm.create" in offers
    assert "outcome:failed" in as_admin.get("/search/complete/audit?q=outcome:f", htmx=True).text
    assert as_alice.get("/search/complete/audit?q=a", htmx=True).status_code == 404
