"""/credits and the balance in the sidebar."""

import pytest

pytestmark = pytest.mark.integration


def test_a_new_account_has_its_starting_credits(as_alice):
    text = as_alice.page("/credits").text()
    for words in ("5.0000", "Starting credits", "+5.00", "For ever"):
        assert words in text


def test_usage_to_the_second(as_alice, cloud, machine, clock):
    cloud.clock.advance(597)
    cloud.bill()
    page = as_alice.page("/credits")
    row = page.one("//section[.//h2='Usage this month']//tbody/tr")
    assert "web-1" in "".join(row.itertext())
    assert "10 min" in "".join(row.itertext())


def test_transactions_are_paged_by_key(as_alice, cloud, alice, monkeypatch):
    monkeypatch.setattr("zentry_web.blueprints.billing.routes.PAGE_SIZE", 3)
    monkeypatch.setattr("zentry_web.blueprints.billing.routes.last_key", lambda rows, key: _last(rows, key))
    for number in range(4):
        cloud.billing.add_credits(alice.id, 1_000_000, f"gift {number}")
    first = as_alice.page("/credits")
    second = as_alice.page(first.one("//a[@rel='next']").get("href"))
    seen = [page.text().count("gift") for page in (first, second)]
    assert seen == [3, 1]
    assert "Starting credits" in second.text()


def test_what_was_set_aside_is_shown_when_asked_for(as_alice, machine):
    page = as_alice.page("/credits")
    assert "Set aside" not in page.text()
    more = page.one("//section[@id='transactions']//a[normalize-space()='With what was set aside']")
    assert "Set aside" in as_alice.page(more.get("href").partition("#")[0]).text()


def _last(rows, key):
    return getattr(rows[-1], key) if len(rows) >= 3 else None


def test_a_reason_is_escaped(as_alice, cloud, alice):
    cloud.billing.add_credits(alice.id, 1, "<script>alert(1)</script>")
    assert "<script>alert" not in as_alice.get("/credits").text


def test_the_chip_alone(as_alice, machine):
    page = as_alice.page("/credits/balance", htmx=True)
    chip = page.one("//a[@id='balance-chip']")
    assert chip.get("data-live") == "balance"
    assert page.one("//*[@data-burn-micro-per-hour]").get("data-burn-micro-per-hour") == "5000"
