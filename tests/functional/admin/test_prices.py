"""/admin/prices: drafted on one page, rehearsed, published, withdrawn; what owners see of it."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.csv_rows import csv_rows
from tests.page import Page
from zentry_web.domain.credits.prices import ItemKind, PriceItem
from zentry_web.domain.user import Actor, Role
from zentry_web.services.billing.usage import price_versions

pytestmark = pytest.mark.integration

ADMIN = Actor("admin", Role.ADMIN)
NANO = PriceItem(ItemKind.SIZE, "size_nano", 8_000, 300)
FAR = PriceItem(ItemKind.SIZE, "size_nano", 20_000, 300)
TINY = PriceItem(ItemKind.IMAGE, "img_tiny", 700)


@pytest.fixture
def changes(container):
    return container.get_billing_service().price_changes


@pytest.fixture
def draft(changes, clock):
    return changes.save_draft("Prices of winter", clock.now() + timedelta(days=20), [NANO, TINY], actor=ADMIN)


@pytest.fixture
def announced(changes, draft, container, machine):
    changes.publish(draft, actor=ADMIN)
    container.get_billing_service().price_telling.run()
    return draft


def filled(page, **typed):
    """The form's fields as the browser would send them, with some typed over."""
    fields = page.find("//main//form[.//input[@name='title']]//input[@name]")
    values = {field.get("name"): field.get("value") or "" for field in fields}
    values.pop("csrf_token")
    return values | typed


def test_a_draft_is_made_of_what_was_typed_over(as_admin, changes):
    page = as_admin.page("/admin/prices/new")
    assert page.one("//input[@name='starts']").get("value") == "2026-12-08T00:00"
    values = filled(
        page, title="Winter", running_size_nano="0.008", surcharge_img_tiny="0,0007", starts="2027-01-01T06:30"
    )
    answer = as_admin.post("/admin/prices/new", values)
    assert answer.status_code == 303
    (change,) = changes.list_changes(actor=ADMIN)
    nano = PriceItem(ItemKind.SIZE, "size_nano", 8_000, 100)
    assert (change.title, change.starts_at, set(change.items)) == (
        "Winter", datetime(2027, 1, 1, 6, 30, tzinfo=UTC), {nano, TINY},
    )  # fmt: skip
    again = as_admin.page(answer.headers["Location"])
    assert again.one("//input[@name='running_size_nano']").get("value") == "0.008"
    changed = filled(again, title="Later", running_size_nano="0.005")
    assert as_admin.post(answer.headers["Location"], changed).status_code == 303
    assert changes.list_changes(actor=ADMIN)[0].items == (TINY,)
    assert "Later" in as_admin.page("/admin/prices").text()


def test_the_start_is_typed_in_the_admin_s_zone(as_admin, admin, changes, container):
    container.get_auth_service().update_profile(
        admin.id, {"name": admin.name, "time_zone": "America/New_York"}, actor=Actor(admin.id, Role.ADMIN)
    )
    values = filled(as_admin.page("/admin/prices/new"), title="x", running_size_nano="1", starts="2027-01-01T00:00")
    answer = as_admin.post("/admin/prices/new", values)
    assert changes.list_changes(actor=ADMIN)[0].starts_at == datetime(2027, 1, 1, 5, tzinfo=UTC)
    assert as_admin.page(answer.headers["Location"]).one("//input[@name='starts']").get("value") == "2027-01-01T00:00"


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"title": ""}, "title"),
        ({"starts": "soon"}, "starts"),
        ({"starts": ""}, "starts"),
        ({"starts": "9999-12-31T00:00"}, "starts"),
        ({"running_size_nano": "cheap"}, "running_size_nano"),
        ({"disk_size_nano": "-1"}, "disk_size_nano"),
        ({"surcharge_img_tiny": ""}, "surcharge_img_tiny"),
    ],
)
def test_a_wrong_draft_keeps_what_was_typed(as_admin, changes, typed, field):
    values = filled(as_admin.page("/admin/prices/new"), title="Winter", running_size_small="0.06") | typed
    answer = as_admin.post("/admin/prices/new", values)
    assert answer.status_code == 400
    page = Page(answer.text)
    assert set(page.errors()) == {field}
    assert page.one("//input[@name='running_size_small']").get("value") == "0.06"
    assert changes.list_changes(actor=ADMIN) == []


def test_a_draft_without_a_change_is_refused(as_admin):
    answer = as_admin.post("/admin/prices/new", filled(as_admin.page("/admin/prices/new"), title="Nothing"))
    assert answer.status_code == 400
    assert "Change at least one price" in answer.text


def test_a_draft_is_thrown_away(as_admin, draft):
    assert as_admin.post(f"/admin/prices/{draft}/discard").headers["Location"] == "/admin/prices"
    assert as_admin.get(f"/admin/prices/{draft}").status_code == 404


def publish(browser, change_id):
    """From the rehearsal, as it is shown."""
    seal = browser.page(f"/admin/prices/{change_id}/rehearsal").find("//input[@name='seal']")
    return browser.post(f"/admin/prices/{change_id}/publish", {"seal": seal[0].get("value")} if seal else {})


def test_a_draft_is_published_from_its_rehearsal_only(as_admin, draft, machine):
    assert not as_admin.page(f"/admin/prices/{draft}").find("//form[contains(@action, '/publish')]")
    page = as_admin.page(f"/admin/prices/{draft}/rehearsal")
    section = page.one("//section[@id='publish']")
    words = " ".join("".join(section.itertext()).split())
    assert "0.005 → 0.008" in words
    assert "2026-12-13 10:00:00 UTC" in words
    assert "1 owner has 1 machine of these now: they are told at once" in words


def test_saving_leads_to_the_rehearsal(as_admin, changes):
    values = filled(as_admin.page("/admin/prices/new"), title="Winter", running_size_nano="0.008") | {"rehearse": "y"}
    answer = as_admin.post("/admin/prices/new", values)
    (change,) = changes.list_changes(actor=ADMIN)
    assert answer.headers["Location"] == f"/admin/prices/{change.id}/rehearsal"
    assert "0.008" in as_admin.page(answer.headers["Location"]).text()


@pytest.mark.parametrize("field", ["title", "starts", "price"])
def test_what_was_changed_since_the_rehearsal_is_not_published(as_admin, changes, draft, clock, field):
    seal = as_admin.page(f"/admin/prices/{draft}/rehearsal").one("//input[@name='seal']").get("value")
    was = changes.get_change(draft, actor=ADMIN)
    title = "Another" if field == "title" else was.title
    starts = was.starts_at + timedelta(hours=1) if field == "starts" else was.starts_at
    items = [FAR] if field == "price" else was.items
    changes.save_draft(title, starts, items, change_id=draft, actor=ADMIN)
    answer = as_admin.post(f"/admin/prices/{draft}/publish", {"seal": seal})
    assert answer.status_code == 409
    assert "not the prices that you rehearsed" in answer.text
    assert as_admin.post(f"/admin/prices/{draft}/publish").status_code == 409  # without any
    assert changes.get_change(draft, actor=ADMIN).published_at is None
    assert publish(as_admin, draft).status_code == 303


def test_publishing_tells_the_owner_and_shows_the_coming_price(as_admin, as_alice, draft, machine, container):
    answer = publish(as_admin, draft)
    assert answer.headers["Location"] == f"/admin/prices/{draft}"
    container.get_billing_service().price_telling.run()
    shown = as_admin.page(f"/admin/prices/{draft}").text()
    assert "Announced" in shown
    notices = as_alice.page("/account/notices").text()
    assert "3.65 → 6.35 (+2.70) credits per month" in notices
    assert "Price from 13 Dec 2026, 10:00 UTC" in as_alice.page(f"/vms/{machine.id}").text()
    own = as_alice.page("/credits/prices").text()
    assert "0.0087" in own
    assert "now 0.005" in own
    assert "New prices come on 13 Dec 2026" in as_alice.page("/credits/plan").text()
    quote = as_alice.page(
        f"/vms/new/quote?project_id={machine.project_id}&size_id=size_nano&image_id=img_tiny", htmx=True
    )
    assert "From 13 Dec 2026, 10:00 UTC: 0.0087 per hour" in quote.text()
    assert "0.008 from 13 Dec 2026" in as_alice.page("/").text()
    assert publish(as_admin, draft).headers["Location"] == f"/admin/prices/{draft}"
    assert "These prices are published already." in as_admin.page(f"/admin/prices/{draft}").text()
    other = filled(as_admin.page("/admin/prices/new"), title="x", running_size_nano="1")
    assert as_admin.post(f"/admin/prices/{draft}", other).status_code == 409


def test_what_follows_an_announced_change_is_compared_with_it(as_admin, as_alice, announced, machine, changes, clock):
    later = changes.save_draft("Prices of spring", clock.now() + timedelta(days=60), [FAR], actor=ADMIN)
    clock.advance(3600)
    assert "Other prices are announced to come before these" in as_admin.page(f"/admin/prices/{later}/rehearsal").text()
    assert "announced to come before" not in as_admin.page(f"/admin/prices/{announced}/rehearsal").text()
    changes.publish(later, actor=ADMIN)
    own = as_alice.page("/credits/prices").text()
    assert "before 0.0087" in own
    assert own.count("now 0.005") == 1


def test_what_begins_too_soon_is_not_published(as_admin, changes, clock, machine):
    draft = changes.save_draft("Soon", clock.now() + timedelta(days=2), [NANO], actor=ADMIN)
    answer = publish(as_admin, draft)
    assert answer.status_code == 400
    assert "14 days before" in answer.text
    assert "Draft" in as_admin.page("/admin/prices").text()


@pytest.mark.parametrize("htmx", [False, True])
def test_withdrawing_says_first_who_was_told_what(as_admin, as_alice, announced, machine, container, htmx):
    url = f"/admin/prices/{announced}/withdraw"
    page = as_admin.page(url, htmx=htmx)
    assert "One owner was told of them" in page.text()
    for words in ("Alice", "alice@example.com", "Announced prices are withdrawn", "13 Dec 2026", "0.005 → 0.00"):
        assert words in page.text()
    assert container.get_billing_service().price_changes.get_change(announced, actor=ADMIN).withdrawn_at is None
    answer = as_admin.post(url, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    if not htmx:
        assert as_admin.get(url).status_code == 303  # nothing left to withdraw


def test_who_was_told_of_nothing_is_told_of_no_withdrawal(as_admin, changes, clock):
    draft = changes.save_draft("Later", clock.now() + timedelta(days=40), [NANO], actor=ADMIN)
    assert as_admin.get(f"/admin/prices/{draft}/withdraw").status_code == 303
    changes.publish(draft, actor=ADMIN)
    assert "Nobody was told of them yet" in as_admin.page(f"/admin/prices/{draft}/withdraw").text()
    assert as_admin.get("/admin/prices/chg_none/withdraw").status_code == 404


def test_an_announced_change_is_withdrawn(as_admin, as_alice, announced, machine, container):
    assert as_admin.post(f"/admin/prices/{announced}/withdraw").status_code == 303
    container.get_billing_service().price_telling.run()
    assert "Withdrawn" in as_admin.page(f"/admin/prices/{announced}").text()
    assert "Announced prices are withdrawn" in as_alice.page("/account/notices").text()
    assert "Price from" not in as_alice.page(f"/vms/{machine.id}").text()
    again = as_admin.post(f"/admin/prices/{announced}/withdraw")
    assert again.headers["Location"] == f"/admin/prices/{announced}"
    assert "These prices are withdrawn already." in as_admin.page(f"/admin/prices/{announced}").text()


@pytest.mark.parametrize("period", ["", "?period=month", "?page=9"])
def test_a_rehearsal_names_the_owners(as_admin, as_alice, draft, machine, alice, clock, cloud, period):
    clock.advance(3600 * 5)
    container = cloud.container
    container.get_billing_service().runs.settle(clock.now())
    page = as_admin.page(f"/admin/prices/{draft}/rehearsal{period}")
    assert alice.name in page.text()
    answer = as_admin.get(f"/admin/prices/{draft}/rehearsal.csv{period}")
    (row,) = [row for row in csv_rows(answer) if row["owner_id"] == alice.id]
    assert row["burn_before_micro_per_hour"] == "5000"
    assert row["burn_after_micro_per_hour"] == "8700"
    now = page.one("//div[contains(@class, 'z-stat')][div[normalize-space()='Machines as they are now']]")
    assert " ".join("".join(now.itertext()).split()).startswith(
        "Machines as they are now 6.351 per month +2.701 from 3.65"
    )
    if "month" not in period:
        assert int(row["new_micro"]) - int(row["old_micro"]) == int(row["difference_micro"]) > 0


@pytest.mark.asvs("1.2.10")
def test_a_name_in_the_rehearsal_s_file_is_no_formula(as_admin, draft, machine, alice, container):
    container.get_auth_service().update_profile(
        alice.id, {"name": "=1+1", "time_zone": "UTC"}, actor=Actor(alice.id, Role.USER)
    )
    assert "'=1+1" in as_admin.get(f"/admin/prices/{draft}/rehearsal.csv").text


@pytest.mark.parametrize("path", ["", "/rehearsal", "/rehearsal.csv"])
def test_a_change_that_is_not_there(as_admin, path):
    assert as_admin.get(f"/admin/prices/chg_none{path}").status_code == 404
    assert as_admin.post("/admin/prices/chg_none/publish").status_code == 404


def test_the_image_s_surcharge_is_in_every_price_shown(as_alice, project, container, clock):
    with container.get_billing_service().transaction() as session:
        origin = price_versions.Origin(clock.now(), clock.now(), "admin")
        price_versions.add_image_version(session, "img_tiny", 1_000, origin)
    form = as_alice.page("/vms/new")
    assert "Launch for 0.006 per hour" in form.text()
    assert "adds 0.001 per hour" in form.text()
    assert "0.051" in form.text()
    moved = as_alice.get(f"/vms/new/quote?project_id={project.id}&size_id=size_large&image_id=img_tiny", htmx=True).text
    assert "Launch for 0.201 per hour" in moved
    assert 'hx-target="#price-size_small"' in moved
    answer = as_alice.post("/credits/what-if", {"launch": "size_nano", "count": "2", "image": "img_tiny"}, htmx=True)
    assert "0.012" in answer.text
    assert "0.001" in as_alice.page("/").text()
    assert "0.001" in as_alice.page("/credits/prices").text()
