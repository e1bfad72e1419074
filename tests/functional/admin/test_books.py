"""/admin/books and /admin/write-offs: sums, charts' data, files."""

import pytest

from tests.csv_rows import csv_rows

pytestmark = pytest.mark.integration


@pytest.fixture
def used(container, machine, clock):
    """Two hours of Alice's machine charged."""
    clock.advance(hours=2)
    container.get_billing_service().runs.settle(clock.now())


def test_a_period_in_the_address(as_admin, alice, used):
    page = as_admin.page("/admin/books?from=2026-11-20&to=2026-11-30")
    text = page.text()
    assert page.one("//input[@name='from']").get("value") == "2026-11-20"
    assert "10.0000" in text, "two people's starting credits"
    assert "0.0100" in text
    rows = page.find("//figure[1]//tbody/tr")
    assert rows[0].findtext("td") == "2026-11-23", "no day that is still to come"
    assert as_admin.get("/admin/books?from=2030-01-01&to=2020-01-01").status_code == 200


def test_the_charts_and_the_file_say_the_same(as_admin, alice, used):
    found = as_admin.get("/admin/books.json?from=2026-11-22&to=2026-11-23").json
    assert found["times"] == [0, 86400]
    assert found["columns"]["usage_micro"] == [0, 10_000]
    assert found["columns"]["liability_micro"] == [0, 10_000_000 - 10_000]
    answer = as_admin.get("/admin/books.csv?from=2026-11-22&to=2026-11-23")
    rows = csv_rows(answer)
    assert [(row["day"], row["usage_micro"]) for row in rows] == [("2026-11-22", "0"), ("2026-11-23", "10000")]


def test_write_offs_with_total_and_file(as_admin, container, alice, machine, clock):
    billing = container.get_billing_service()
    billing.deduct_credits(alice.id, billing.get_balance(alice.id).wallet_micro, "All of it")
    clock.advance(hours=3)
    billing.runs.settle(clock.now())
    page = as_admin.page("/admin/write-offs?from=2026-11-23&to=2026-11-23")
    assert "0.010000 credits" in page.text()
    assert len(page.find("//tbody/tr")) == 2
    href = page.find("//tbody//a[contains(@href, '/admin/intervals/')]")[0].get("href")
    assert "web-1" in as_admin.page(href).text()
    rows = csv_rows(as_admin.get("/admin/write-offs.csv?from=2026-11-23&to=2026-11-23"))
    assert sum(int(row["amount_micro"]) for row in rows) == 10_000
    assert "Nothing was written off" in as_admin.page("/admin/write-offs?from=2026-01-01&to=2026-01-02").text()


def test_days_without_anything_are_said_in_words(as_admin, alice):
    page = as_admin.page("/admin/books?from=2026-01-01&to=2026-01-31")
    assert "Nothing was booked in these days" in page.text()
    assert not page.find("//*[@data-chart]")
    assert page.one("//input[@name='from']").get("value") == "2026-01-01"
    assert page.find("//a[contains(@href, '/admin/books?') and contains(., 'This month')]")
