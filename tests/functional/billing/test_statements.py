"""/credits/statements: the list, one as a page, PDF and CSV."""

import zlib
from datetime import UTC, datetime

import pytest
import weasyprint

from tests.page import Page
from tests.services.people import acting
from zentry_web.domain.credits.taxes import BuyerKind, TaxRate, TradeParty
from zentry_web.domain.money import MICRO
from zentry_web.domain.user import SYSTEM
from zentry_web.web.output.pdf import STYLES

pytestmark = pytest.mark.integration


@pytest.fixture
def words(cloud, alice, machine):
    """What an admin wrote beside a grant."""
    written = "<img src='file:///etc/passwd'></td> & \"Co\" {{ 7*7 }}"
    cloud.billing.add_credits(alice.id, 1_000_000, written)
    return written


@pytest.fixture
def statement(cloud, alice, machine):
    """Alice's November, closed by the worker's housekeeping in December."""
    cloud.clock.set(datetime(2026, 12, 2, tzinfo=UTC))
    cloud.round(3)
    cloud._biller._keep_house()
    (found,) = cloud.billing.statements.list_statements(alice.id)
    return found


def test_the_list(statement, as_alice):
    page = as_alice.page("/credits/statements")
    assert page.one("//td[@data-label='Month']/a").text == "2026-11"
    assert "000001" in page.text()


def test_none_yet(as_charlie):
    assert "No statements yet" in as_charlie.page("/credits/statements").text()


def test_a_statement(statement, as_alice):
    text = as_alice.page(f"/credits/statements/{statement.id}").text()
    for words in ("Opening balance", "Closing balance", "Starting credits", "web-1", "5.000000", "alice@example.com"):
        assert words in text


def test_the_pdf_is_the_same_every_time(statement, as_alice):
    first, second = (as_alice.get(f"/credits/statements/{statement.id}.pdf") for _ in range(2))
    assert first.mimetype == "application/pdf"
    assert "zentry-statement-2026-11-000001.pdf" in first.headers["Content-Disposition"]
    assert first.data.startswith(b"%PDF-")
    assert first.data == second.data
    assert len(first.data) > 5000
    assert b"/Font" in first.data or any(b"/Font" in part for part in inflated(first.data))


def test_it_says_who_buys_with_the_address_given_for_bills(statement, as_alice, cloud, alice):
    buyer = TradeParty("Alice Ahlgren KG", "Hafenstraße 1\n20457 Hamburg", "DE", "DE123456788", is_business=True)
    cloud.billing.parties.set_details(alice.id, buyer, actor=acting(alice))
    text = as_alice.page(f"/credits/statements/{statement.id}").text()
    for words in ("Alice Ahlgren KG", "Hafenstraße 1", "20457 Hamburg", "Germany", "VAT DE123456788"):
        assert words in text


@pytest.fixture
def taxed(cloud, alice):
    """Alice's November with two taxed top-ups, a part of one given back; closed."""
    pays = TradeParty("Alice Ahlgren KG", "Hafenstraße 1\n20457 Hamburg", "DE", "", is_business=True)
    cloud.billing.parties.set_details(alice.id, pays, actor=acting(alice))
    rate = TaxRate("", "DE", BuyerKind.BUSINESS, 1900, "VAT", "", cloud.clock.now())
    cloud.billing.payments.taxes.add_rate(rate)
    payments = cloud.billing.payments
    for credits in (20, 10):
        payment = payments.start_top_up(alice.id, credits * MICRO, actor=acting(alice))
        payments.press_test_button(alice.id, payment.id, "pay", "4242", actor=acting(alice))
    cloud.billing.payment_desk.refund(payment.id, 238, "A part", actor=SYSTEM)
    cloud.clock.set(datetime(2026, 12, 2, tzinfo=UTC))
    cloud.round(3)
    cloud._biller._keep_house()
    (found,) = cloud.billing.statements.list_statements(alice.id)
    return found


def test_it_has_net_rate_tax_and_gross_of_the_month_s_payments(taxed, as_alice):
    page = as_alice.page(f"/credits/statements/{taxed.id}")
    rows = [[" ".join(cell.itertext()).split() for cell in row] for row in page.find("//*[@id='receipts']//tbody/tr")]
    first, second, note, total = (["".join(cell) for cell in row[1:]] for row in rows)
    assert first == ["VAT19%", "20.00EUR", "3.80EUR", "23.80EUR"]
    assert second == ["VAT19%", "10.00EUR", "1.90EUR", "11.90EUR"]
    assert note == ["VAT19%", "-2.00EUR", "-0.38EUR", "-2.38EUR"]
    assert total == ["VAT19%", "28.00EUR", "5.32EUR", "33.32EUR"]
    assert as_alice.get(f"/credits/statements/{taxed.id}.pdf").data.startswith(b"%PDF-")


def test_nothing_lies_over_anything_in_the_pdf(statement, as_alice, cloud, alice, project, monkeypatch):
    """The longest name and id there can be, and a machine of 63 letters, keep to their places."""
    sources = []
    monkeypatch.setattr("zentry_web.blueprints.billing.statements.render_pdf", lambda html: sources.append(html) or b"")
    as_alice.get(f"/credits/statements/{statement.id}.pdf")
    source = sources[0].replace("web-1", "w" * 63).replace(">Alice<", f">{'Wilhelmine ' * 9}<")
    assert "w" * 63 in source
    document = weasyprint.HTML(string=source).render(stylesheets=[weasyprint.CSS(filename=str(STYLES))])
    for page in document.pages:
        boxes = [box for box in page._page_box.descendants() if type(box).__name__ == "TextBox" and box.text.strip()]
        assert boxes
        for at, one in enumerate(boxes):
            assert one.position_x + one.width <= page.width
            assert not [other.text for other in boxes[at + 1 :] if overlap(one, other)], one.text


def overlap(one, other):
    """Whether two texts share more than a hair's breadth."""
    across = min(one.position_x + one.width, other.position_x + other.width) - max(one.position_x, other.position_x)
    down = min(one.position_y + one.height, other.position_y + other.height) - max(one.position_y, other.position_y)
    return across > 1 and down > 2


@pytest.mark.asvs("1.1.2", "1.2.1")
def test_in_the_document_words_of_people_are_text(words, statement, as_alice, monkeypatch):
    """Markup in a PDF's source could draw, or fetch, what is not in the statement."""
    sources = []
    monkeypatch.setattr("zentry_web.blueprints.billing.statements.render_pdf", lambda html: sources.append(html) or b"")
    as_alice.get(f"/credits/statements/{statement.id}.pdf")
    (source,) = sources
    document = Page(source, fragment=True)
    assert words in document.text()
    assert document.find("//img") == []


def inflated(data):
    """The streams of a PDF that are compressed."""
    for part in data.split(b"stream\n")[1:]:
        try:
            yield zlib.decompressobj().decompress(part)
        except zlib.error:
            continue


def test_the_csv_is_the_same_every_time(statement, as_alice, cloud, machine):
    first = as_alice.get(f"/credits/statements/{statement.id}.csv")
    cloud.clock.advance(7200)
    cloud.round(3)
    assert as_alice.get(f"/credits/statements/{statement.id}.csv").data == first.data
    assert first.text.splitlines()[1].startswith("opening,")
    assert first.text.splitlines()[-1].startswith("closing,")


def test_the_page_is_the_same_for_every_time_zone(statement, as_alice, container, alice):
    first = as_alice.page(f"/credits/statements/{statement.id}").one("//*[@id='statement']")
    profile = {"name": "Alice", "email": alice.email, "time_zone": "Asia/Tokyo"}
    container.get_auth_service().update_profile(alice.id, profile, actor=acting(alice))
    again = as_alice.page(f"/credits/statements/{statement.id}").one("//*[@id='statement']")
    assert "".join(first.itertext()) == "".join(again.itertext())


@pytest.mark.parametrize("kind", ["", ".pdf", ".csv"])
def test_strangers_are_told_that_there_is_nothing(statement, as_charlie, kind):
    assert as_charlie.get(f"/credits/statements/{statement.id}{kind}").status_code == 404


@pytest.mark.parametrize(
    ("name", "font"), [("東京プロジェクト", b"Droid-Sans-Fallback"), ("Ελλάδα Москва", b"DejaVu-Sans")]
)
def test_letters_of_other_scripts_have_their_signs_in_the_pdf(name, font):
    """Where no font had them, boxes would stand there; scripts/install puts these in place."""
    document = weasyprint.HTML(string=f"<p>{name}</p>").render(stylesheets=[weasyprint.CSS(filename=str(STYLES))])
    written = document.write_pdf(uncompressed_pdf=True)
    assert font in written
