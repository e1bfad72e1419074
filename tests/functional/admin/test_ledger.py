"""/admin/ledger: the filter in the address, one transfer opened, the file."""

import pytest

from tests.csv_rows import csv_rows

pytestmark = pytest.mark.integration


@pytest.fixture
def grant(container, alice):
    """A gift with a reason that a spreadsheet would run."""
    return container.get_billing_service().add_credits(alice.id, 2_500_000, '=HYPERLINK("x")')


@pytest.mark.parametrize("htmx", [False, True])
def test_the_filter_is_in_the_address_and_kept(as_admin, alice, bob, grant, htmx):
    page = as_admin.page(f"/admin/ledger?person={alice.email}&kind=grant&q=hyper+amount:>=2.5", htmx=htmx)
    assert len(page.find("//tbody/tr")) == 1
    if not htmx:
        text = page.one("//input[@id='search']").get("value")
        assert text == f"hyper amount:>=2.5 person:{alice.email} kind:grant"
    assert "2.500000" in page.text()
    assert "Nothing matches" in as_admin.page("/admin/ledger?kind=usage").text()


def test_an_amount_that_is_none_is_said_and_kept(as_admin, alice):
    page = as_admin.page("/admin/ledger?q=amount:much&before=nothing")
    assert "“much” is no amount of credits" in page.text()
    assert page.one("//input[@id='search']").get("value") == "amount:much"
    for text, said in (
        ("date:2026-99-99", "no date"),
        ("-kind:grant", "without “-”"),
        ("kind:grant kind:usage", "once"),
    ):
        assert said in as_admin.page(f"/admin/ledger?q={text}").one("//p[@id='search-problem']").text
        assert as_admin.get(f"/admin/ledger.csv?q={text}").status_code == 400


def test_pages_by_key(as_admin, container, alice):
    for number in range(60):
        container.get_billing_service().add_credits(alice.id, 1, f"Gift {number}")
    page = as_admin.page("/admin/ledger?q=gift")
    assert len(page.find("//tbody/tr")) == 50
    page = as_admin.page(page.one("//a[@rel='next']").get("href"))
    assert len(page.find("//tbody/tr")) == 10
    assert "Gift 9" in page.text()


def test_a_transfer_with_its_entries(as_admin, alice, grant):
    page = as_admin.page(f"/admin/ledger/{grant.id}")
    text = page.text()
    for words in ("Grants", "Wallet", "+2.500000", "−2.500000", "7.500000", alice.email, "by-hand:", "0.000000"):
        assert words in text, words
    assert page.find(f"//a[@href='/admin/users/{alice.id}']")
    assert as_admin.get("/admin/ledger/tr_unknown").status_code == 404


@pytest.mark.asvs("1.2.10")
def test_the_file_is_the_filter_and_no_formula(as_admin, as_alice, alice, bob, grant):
    answer = as_admin.get(f"/admin/ledger.csv?person={alice.id}&q=amount:2.5")
    assert answer.mimetype == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    rows = csv_rows(answer)
    assert [(row["account"], row["amount_micro"]) for row in rows] == [("grants", "-2500000"), ("wallet", "2500000")]
    assert {row["reason"] for row in rows} == {'\'=HYPERLINK("x")'}
    assert as_alice.get("/admin/ledger.csv").status_code == 403
