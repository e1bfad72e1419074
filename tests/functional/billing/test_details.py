"""/credits/details, what is taxed by it, and receipts."""

import pytest

from tests.page import Page
from zentry_web.domain.credits.taxes import BuyerKind, TaxRate, TradeParty

pytestmark = pytest.mark.integration

TYPED = {
    "kind": "business", "name": "Acme GmbH", "address": "Ring 1\r\n10115 Berlin", "country": "DE",
    "vat_number": "de 136 695 976",
}  # fmt: skip


@pytest.fixture
def taxed(cloud):
    """Buyers in Germany pay 19 % of tax; what is not said is Germany."""
    cloud.billing.settings.change("seller_country", "DE", 0)
    cloud.billing.settings.change("seller_name", "Cloud Ltd", 0)
    for kind in (BuyerKind.PERSON, BuyerKind.BUSINESS):
        rate = TaxRate("", "DE", kind, 1900, "VAT", "", cloud.clock.now())
        cloud.billing.payments.taxes.add_rate(rate)
    return cloud.billing


@pytest.mark.parametrize("htmx", [False, True])
def test_details_are_kept_in_one_spelling(as_alice, cloud, alice, htmx):
    as_alice.page("/credits/details", htmx=htmx)
    assert as_alice.post("/credits/details", TYPED, htmx=htmx).status_code == (204 if htmx else 303)
    kept = TradeParty("Acme GmbH", "Ring 1\n10115 Berlin", "DE", "DE136695976", is_business=True)
    assert cloud.billing.parties.get_details(alice.id) == kept
    page = as_alice.page("/credits/details")
    assert page.find("//input[@name='vat_number']")[0].get("value") == "DE136695976"
    assert page.find("//option[@value='DE'][@selected]")


@pytest.mark.error
@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"vat_number": "DE1"}, "vat_number"), ({"country": "ZZ"}, "country"), ({"kind": "person"}, "vat_number"),
        ({"name": "x" * 121}, "name"), ({"address": "x" * 501}, "address"), ({"kind": "cat"}, "kind"),
    ],
)  # fmt: skip
def test_a_bad_form_says_so(as_alice, changes, field):
    answer = as_alice.post("/credits/details", TYPED | changes)
    assert (answer.status_code, set(Page(answer.text).errors())) == (400, {field})


def test_tax_is_shown_before_paying_on_the_receipt_and_as_pdf(as_alice, taxed):
    assert "VAT 19 % comes on top." in as_alice.page("/credits/top-up").text()
    answer = as_alice.post("/credits/top-up", {"amount": "10", "idempotency_key": "k"})
    text = as_alice.page(answer.headers["Location"]).text()
    assert all(part in text for part in ("10.00 EUR", "VAT 19 %", "1.90 EUR", "11.90 EUR"))
    there = answer.headers["Location"].removesuffix("/pay")
    assert as_alice.post(f"{there}/test", {"action": "pay", "card": "4242"}).status_code == 303
    page = as_alice.page(there)
    assert all(part in page.text() for part in ("R-20", "Cloud Ltd", "VAT 19 %", "11.90 EUR"))
    (link,) = page.find("//a[contains(@href, '/credits/receipts/')]")
    pdf = as_alice.get(link.get("href"))
    assert (pdf.status_code, pdf.mimetype, pdf.data[:5]) == (200, "application/pdf", b"%PDF-")


def test_without_a_rate_nothing_is_said_of_tax(as_alice):
    assert "comes on top" not in as_alice.page("/credits/top-up").text()
