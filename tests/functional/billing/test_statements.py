"""/credits/statements: the list, one as a page, PDF and CSV."""

import zlib
from datetime import UTC, datetime

import pytest

from tests.page import Page
from tests.services.people import acting

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
    for words in ("Opening balance", "Closing balance", "Starting credits", "web-1", "5.000000"):
        assert words in text


def test_the_pdf_is_the_same_every_time(statement, as_alice):
    first, second = (as_alice.get(f"/credits/statements/{statement.id}.pdf") for _ in range(2))
    assert first.mimetype == "application/pdf"
    assert "zentry-statement-2026-11-000001.pdf" in first.headers["Content-Disposition"]
    assert first.data.startswith(b"%PDF-")
    assert first.data == second.data
    assert len(first.data) > 5000
    assert b"/Font" in first.data or any(b"/Font" in part for part in inflated(first.data))


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
