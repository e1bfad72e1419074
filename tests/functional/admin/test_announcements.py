"""/admin/announcements, and the banner on everybody's pages."""

from datetime import timedelta

import pytest

from tests.conftest import START
from tests.page import Page
from zentry_web.domain.people.announcement import AnnouncementDraft

pytestmark = pytest.mark.integration

NEW = {
    "level": "warning", "words": "Work on the host <tonight>", "link": "https://status.example.com",
    "starts": "2026-11-23T10:00", "ends": "2026-11-23T12:00", "link_text": "Status",
    "idempotency_key": "k",
}  # fmt: skip


@pytest.fixture
def told(container):
    return container.get_user_service().announcements


def banner(page):
    return ["".join(each.itertext()) for each in page.find("//section[@aria-label='Announcements']/div")]


def test_an_announcement_is_written_and_seen(as_admin, as_alice, visitor, clock):
    assert "Nothing announced" in as_admin.page("/admin/announcements").text()
    as_admin.page("/admin/announcements/new")
    for _ in range(2):
        assert as_admin.post("/admin/announcements/new", NEW).status_code == 303
    (text,) = banner(as_alice.page("/overview"))
    assert "Warning:" in text
    assert "Work on the host <tonight>" in text
    link = as_alice.page("/vms").one("//section[@aria-label='Announcements']//a")
    assert (link.get("href"), link.text) == ("https://status.example.com", "Status")
    assert banner(visitor.page("/login")) == []
    clock.advance(2 * 3600)
    assert banner(as_alice.page("/overview")) == []
    assert "Over" in as_admin.page("/admin/announcements").text()


def test_a_preview_announces_nothing(as_admin, told):
    answer = as_admin.post("/admin/announcements/new", NEW | {"preview": "y"})
    assert answer.status_code == 200
    page = Page(answer.text)
    assert "Work on the host <tonight>" in "".join(page.one("//section[@id='preview']").itertext())
    assert page.one("//textarea[@name='words']").text.strip() == NEW["words"]
    assert told.list_all() == []


@pytest.mark.asvs("2.2.3")
@pytest.mark.error
@pytest.mark.parametrize("more", [{}, {"preview": "y"}])
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"words": ""}, "words"), ({"words": "x" * 501}, "words"), ({"words": "\u202eoops"}, "words"),
        ({"level": "loud"}, "level"),
        ({"link": "javascript:alert(1)"}, "link"), ({"link": "//evil.example"}, "link"), ({"starts": ""}, "starts"),
        ({"starts": "soon"}, "starts"), ({"ends": "2026-11-23T09:00"}, "ends"), ({"ends": "9999-12-31T23:59"}, "ends"),
        ({"starts": "0001-01-01T00:00"}, "starts"), ({"link_text": "y" * 41}, "link_text"),
    ],
)  # fmt: skip
def test_a_bad_form_says_so_and_keeps_what_was_typed(as_admin, told, changes, field, more):
    answer = as_admin.post("/admin/announcements/new", NEW | changes | more)
    assert answer.status_code == 400
    page = Page(answer.text)
    assert set(page.errors()) == {field}
    assert page.one("//input[@name='link']").get("value") == (NEW | changes)["link"]
    assert told.list_all() == []


def test_changing_and_ending(as_admin, as_alice, told):
    made = told.create(AnnouncementDraft("info", "Hello", START))
    url = f"/admin/announcements/{made.id}"
    page = as_admin.page(url)
    version = page.one("//input[@name='version']").get("value")
    assert page.one("//input[@name='starts']").get("value") == "2026-11-23T10:00"
    assert as_admin.post(url, NEW | {"version": version}).status_code == 303
    assert "tonight" in banner(as_alice.page("/overview"))[0]
    again = as_admin.post(url, NEW | {"version": version, "words": "Late"})
    assert again.status_code == 409
    assert "Somebody else changed" in Page(again.text).text()
    assert as_admin.post(url, NEW | {"version": "x"}).status_code == 409
    assert as_admin.post(f"{url}/end").status_code == 303
    assert banner(as_alice.page("/overview")) == []
    assert "Ended an announcement" in as_admin.page("/admin/audit?action=announcement.").text()


@pytest.mark.error
def test_there_is_no_such_announcement(as_admin):
    assert as_admin.get("/admin/announcements/ann_none").status_code == 404
    assert as_admin.post("/admin/announcements/ann_none", NEW).status_code == 404
    assert as_admin.post("/admin/announcements/ann_none/end").status_code == 404


def test_visitors_see_the_public_ones_and_put_nothing_away(visitor, told):
    told.create(AnnouncementDraft("critical", "Down tonight", START, is_public=True))
    for url in ("/", "/login", "/signup"):
        page = visitor.page(url)
        assert "Down tonight" in banner(page)[0]
        assert page.find("//section[@aria-label='Announcements']//button") == []


def test_putting_one_away_without_script(as_alice, told):
    made = told.create(AnnouncementDraft("info", "Hello", START))
    (form,) = as_alice.page("/projects").find("//section[@aria-label='Announcements']//form")
    assert form.get("action") == f"/account/announcements/{made.id}/dismiss"
    headers = {"Referer": "http://localhost/projects?x=1"}
    answer = as_alice.post(form.get("action"), headers=headers)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/projects?x=1")
    headers = {"Referer": "http://localhost//evil.example/x"}
    assert as_alice.post(form.get("action"), headers=headers).headers["Location"] == "/overview"
    assert as_alice.post(form.get("action"), headers={"Referer": "https://evil.example/x"}).status_code == 400
    assert banner(as_alice.page("/projects")) == []


def test_putting_one_away_with_htmx(as_alice, told):
    made = told.create(AnnouncementDraft("warning", "Hello", START))
    answer = as_alice.post(f"/account/announcements/{made.id}/dismiss", htmx=True)
    assert (answer.status_code, answer.text) == (200, "")
    assert banner(as_alice.page("/projects")) == []


@pytest.mark.error
def test_a_critical_one_stays(as_alice, told):
    made = told.create(AnnouncementDraft("critical", "Hello", START))
    assert as_alice.post(f"/account/announcements/{made.id}/dismiss").status_code == 409
    page = as_alice.page("/projects")
    assert page.find("//section[@aria-label='Announcements']//div[@role='alert']")
    assert page.find("//section[@aria-label='Announcements']//form") == []


def test_they_are_paged_by_key(as_admin, told):
    for number in range(51):
        told.create(AnnouncementDraft("info", f"No. {number}", START + timedelta(hours=number)))
    first = as_admin.page("/admin/announcements")
    second = as_admin.page(first.one("//a[@rel='next']").get("href"))
    assert len(second.find("//section[@id='announcements']//tbody/tr")) == 1
