"""/admin/vouchers: making, finding, exporting and revoking."""

import pytest

from tests.csv_rows import csv_rows
from tests.page import Page
from zentry_web.domain.credits.voucher import VoucherDraft, VoucherFilter

pytestmark = pytest.mark.integration

NEW = {"value": "2,5", "count": "3", "uses": "2", "last_day": "2026-12-24", "note": "Course", "idempotency_key": "k"}


@pytest.fixture
def vouchers(cloud):
    return cloud.billing.vouchers


def rows(page):
    return ["".join(row.itertext()) for row in page.find("//section[@id='vouchers']//tbody/tr")]


def test_nothing_yet(as_admin):
    assert "No vouchers yet" in as_admin.page("/admin/vouchers").text()
    assert "No voucher fits" in as_admin.page("/admin/vouchers?q=none").text()


@pytest.mark.parametrize("htmx", [False, True])
def test_a_batch_is_made_once_and_shown(as_admin, vouchers, htmx):
    as_admin.page("/admin/vouchers/new", htmx=htmx)
    for _ in range(2):
        answer = as_admin.post("/admin/vouchers/new", NEW, htmx=htmx)
        assert answer.status_code == (204 if htmx else 303)
    page = as_admin.page(answer.headers["HX-Redirect" if htmx else "Location"])
    assert "3 vouchers are made" in page.text()
    made = vouchers.list_vouchers(VoucherFilter())
    assert len(made) == len(rows(page)) == 3
    assert all("2.50" in row and "0 of 2" in row and "Course" in row for row in rows(page))
    assert all(voucher.expires_at.isoformat() == "2026-12-25T00:00:00+00:00" for voucher in made)
    trail = as_admin.page("/admin/audit?action=voucher.").text()
    assert "Made vouchers" in trail
    assert made[0].code not in trail


def test_vouchers_may_give_promotional_credit(as_admin, as_alice, vouchers):
    answer = as_admin.post("/admin/vouchers/new", NEW | {"is_promo": "y", "promo_days": "30"})
    assert "promotional, 30 days" in as_admin.page(answer.headers["Location"]).text()
    as_alice.post("/credits/redeem", {"code": vouchers.list_vouchers(VoucherFilter())[0].code})
    assert "2.5000 promotional" in as_alice.page("/credits").text()


@pytest.mark.error
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"value": ""}, "value"), ({"value": "0"}, "value"), ({"value": "much"}, "value"), ({"count": "0"}, "count"),
        ({"count": "1001"}, "count"), ({"count": "x"}, "count"), ({"uses": "0"}, "uses"), ({"uses": ""}, "uses"),
        ({"last_day": "2026-11-22"}, "last_day"), ({"last_day": "soon"}, "last_day"),
        ({"last_day": "9999-12-31"}, "last_day"), ({"note": "x" * 201}, "note"),
    ],
)  # fmt: skip
def test_a_bad_form_says_so_and_keeps_what_was_typed(as_admin, vouchers, changes, field):
    answer = as_admin.post("/admin/vouchers/new", NEW | changes)
    assert answer.status_code == 400
    page = Page(answer.text)
    assert set(page.errors()) == {field}
    for name, typed in (NEW | changes).items():
        assert (page.one(f"//input[@name='{name}']").get("value") or "") == typed
    assert vouchers.list_vouchers(VoucherFilter()) == []


def test_the_filter_and_its_csv(as_admin, vouchers):
    (spring,) = vouchers.create(VoucherDraft(1_000_000, note="=spring"))
    vouchers.create(VoucherDraft(1_000_000, note="autumn"))
    page = as_admin.page("/admin/vouchers?q=spring&state=open")
    assert [spring.shown_code in row for row in rows(page)] == [True]
    link = page.one("//a[contains(@href, 'vouchers.csv')]").get("href")
    assert link == "/admin/vouchers.csv?q=spring&state=open"
    answer = as_admin.get(link)
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    (row,) = csv_rows(answer)
    assert (row["code"], row["note"]) == (spring.shown_code, "'=spring")
    assert len(rows(as_admin.page("/admin/vouchers?state=expired"))) == 0
    assert len(rows(as_admin.page("/admin/vouchers?state=nonsense"))) == 2


def test_vouchers_are_paged_by_key(as_admin, vouchers, monkeypatch):
    vouchers.create(VoucherDraft(1, count=3))
    monkeypatch.setattr("zentry_web.blueprints.admin.vouchers.PAGE_SIZE", 2)
    monkeypatch.setattr(
        "zentry_web.blueprints.admin.vouchers.last_key",
        lambda found, key: getattr(found[-1], key) if len(found) >= 2 else None,
    )
    first = as_admin.page("/admin/vouchers")
    second = as_admin.page(first.one("//a[@rel='next']").get("href"))
    assert (len(rows(first)), len(rows(second))) == (2, 1)


@pytest.mark.parametrize("htmx", [False, True])
def test_a_revoked_code_works_no_more(as_admin, as_alice, vouchers, htmx):
    (voucher,) = vouchers.create(VoucherDraft(1_000_000, uses=5))
    url = f"/admin/vouchers/{voucher.id}/revoke"
    assert voucher.shown_code in as_admin.page(url, htmx=htmx).text()
    answer = as_admin.post(url, htmx=htmx)
    assert answer.status_code == (204 if htmx else 303)
    assert "Revoked" in "".join(rows(as_admin.page("/admin/vouchers")))
    refused = as_alice.post("/credits/redeem", {"code": voucher.code})
    assert "no longer valid" in Page(refused.text).errors()["code"]


@pytest.mark.error
def test_there_is_no_such_voucher(as_admin):
    for htmx in (False, True):
        assert as_admin.get("/admin/vouchers/vch_none/revoke", htmx=htmx).status_code == 404
        assert as_admin.post("/admin/vouchers/vch_none/revoke", htmx=htmx).status_code == 404
