"""/ : the front page."""

import pytest

pytestmark = pytest.mark.integration


def test_prices_are_the_catalogue_s(visitor):
    text = visitor.page("/").text()
    for words in ("nano", "0.005", "3.65", "large", "0.20", "146.00", "get 5.00 credits"):
        assert words in text


def test_a_new_price_shows_at_once(visitor, as_admin):
    as_admin.post("/admin/sizes/size_nano/price", {"running": "0.007", "disk": "0.0002"})
    assert "0.007" in visitor.page("/").text()


def test_a_withdrawn_size_is_gone(visitor, as_admin):
    as_admin.post("/admin/sizes/size_nano")
    assert "nano" not in visitor.page("/").text()


def test_somebody_signed_in_is_led_to_the_console(as_alice):
    assert "Open the console" in as_alice.page("/").text()
