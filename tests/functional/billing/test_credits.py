"""/credits and the balance in the sidebar."""

import pytest

from tests.csv_rows import csv_rows

pytestmark = pytest.mark.integration


def test_a_new_account_has_its_starting_credits(as_alice):
    text = as_alice.page("/credits").text()
    for words in ("5.0000", "Starting credits", "+5.00", "For ever"):
        assert words in text


def test_usage_to_the_second(as_alice, cloud, machine, clock):
    cloud.clock.advance(597)
    cloud.bill()
    page = as_alice.page("/credits/spend")
    row = page.one("//div[@aria-label='Spent by machine']//tbody/tr[not(@class)]")
    assert "web-1" in "".join(row.itertext())
    assert "10 min" in "".join(row.itertext())


def test_transactions_are_paged_by_key(as_alice, cloud, alice, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.billing.routes.PAGE_SIZE", 3)
    for number in range(4):
        cloud.billing.add_credits(alice.id, 1_000_000, f"gift {number}")
    first = as_alice.page("/credits/transactions")
    second = as_alice.page(first.one("//a[@rel='next']").get("href"))
    seen = [page.text().count("gift") for page in (first, second)]
    assert seen == [3, 1]
    assert "Starting credits" in second.text()


def test_transactions_are_searched_for_and_taken_along_as_a_file(as_alice, cloud, alice, machine):
    cloud.billing.add_credits(alice.id, 2_500_000, "Gift of spring")
    rows = {
        "": 2, "q=spring": 1, "q=-spring": 1, "q=kind:grant": 2, "q=amount:>2": 2, "q=amount:2.5": 1,
        "q=amount:<3+-kind:usage": 1, "q=machine:web": 0, f"q=date:{cloud.clock.now():%Y-%m}": 2, "q=date:<2020": 0,
        "q=kind:hold": 1, "q=kind:hold+machine:web": 1, "kind=grant": 2, "q=kind:grant+date:>2020+gift": 1,
    }  # fmt: skip
    for query, count in rows.items():
        found = as_alice.page(f"/credits/transactions?{query}").find("//div[@id='transaction-list']//tbody/tr")
        assert len(found) == count, query
    assert "Nothing matches" in as_alice.page("/credits/transactions?q=zzz").text()
    assert "no date" in as_alice.page("/credits/transactions?q=date:soon").one("//p[@id='search-problem']").text
    answer = as_alice.get("/credits/transactions.csv?q=spring")
    assert [(row["kind"], row["amount_micro"], row["reason"]) for row in csv_rows(answer)] == [
        ("grant", "2500000", "Gift of spring")
    ]
    assert as_alice.get("/credits/transactions.csv?q=date:soon").status_code == 400
    offers = as_alice.get("/search/complete/transactions?q=kind:us", htmx=True).text
    assert "kind:usage" in offers
    assert as_alice.get("/search/complete/ledger?q=k", htmx=True).status_code == 404


def test_what_was_set_aside_is_shown_when_asked_for(as_alice, machine):
    page = as_alice.page("/credits/transactions")
    assert "Set aside" not in "".join(page.one("//div[@id='transaction-list']").itertext())
    more = page.one("//section[@id='transactions']//a[normalize-space()='Show what was set aside']")
    found = as_alice.page(more.get("href")).one("//div[@id='transaction-list']")
    assert "Set aside" in "".join(found.itertext())


def test_addresses_from_before_the_tabs_lead_to_the_transactions(as_alice):
    answer = as_alice.get("/credits?holds=y&before=tr_1")
    assert (answer.status_code, answer.headers["Location"]) == (301, "/credits/transactions?holds=y&before=tr_1")


TABS = {
    "/credits": "Overview",
    "/credits/spend": "Spend",
    "/credits/bill": "Charges",
    "/credits/transactions": "Transactions",
    "/credits/statements": "Statements",
    "/credits/prices": "Prices",
    "/credits/plan": "If credits run out",
    "/credits/what-if": "What if",
}


@pytest.mark.parametrize("path", TABS)
def test_each_tab_is_a_page_of_its_own(as_alice, machine, path):
    page = as_alice.page(path)
    tabs = page.find("//nav[@aria-label='Credits']/a")
    assert {tab.get("href"): tab.text for tab in tabs} == TABS
    assert [tab.get("href") for tab in tabs if tab.get("aria-current")] == [path]


def test_the_overview_says_what_the_month_costs_and_the_newest_transactions_only(
    as_alice, cloud, alice, machine, clock
):
    for number in range(7):
        cloud.billing.add_credits(alice.id, 1_000_000, f"gift {number}")
    clock.advance(3600)
    page = as_alice.page("/credits")
    assert len(page.find("//section[@id='transactions']//tbody/tr")) == 5
    assert "forecast" in page.text()
    assert page.one("//*[@id='curve']").get("hx-get") == "/credits/history"


def test_a_week_before_the_end_the_overview_warns_and_says_what_stops_first(as_alice, cloud, alice, machine, clock):
    assert "run out today" not in as_alice.page("/credits").text()
    cloud.set_wallet(alice, 10_000)
    text = as_alice.page("/credits").text()
    assert "Your credits run out to" in text
    assert "web-1 stops first" in text


def test_credits_for_ages_last_over_five_years(as_alice, cloud, alice, machine):
    cloud.billing.add_credits(alice.id, 10_000_000_000, "for ages")
    assert "Over 5 years" in as_alice.page("/credits").text()


def test_a_reason_is_escaped(as_alice, cloud, alice):
    cloud.billing.add_credits(alice.id, 1, "<script>alert(1)</script>")
    assert "<script>alert" not in as_alice.get("/credits").text


def test_the_chip_alone(as_alice, machine):
    page = as_alice.page("/credits/balance", htmx=True)
    chip = page.one("//a[@id='balance-chip']")
    assert chip.get("data-live") == "balance"
    assert chip.find(".//*[@data-burn-micro-per-hour]").get("data-burn-micro-per-hour") == "5000"
