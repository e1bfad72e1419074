"""Which payment provider the settings ask for, and what start-up refuses."""

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from zentry_web.cli import main
from zentry_web.config import Config
from zentry_web.domain.credits.payments import (
    CURRENCIES,
    CreditPrice,
    decimals_of,
    format_minor,
    parse_minor,
    step_of,
)

pytestmark = pytest.mark.unit

KEYS = {"stripe_secret_key": "sk_test_x1", "stripe_publishable_key": "pk_test_x2", "stripe_webhook_secret": "whsec_x3"}


def test_nobody_can_pay_in_production_unless_set_up(tmp_path):
    assert Config(data=tmp_path).payment_provider == "none"
    assert Config(data=tmp_path, environment="development").payment_provider == "test"
    assert Config(data=tmp_path, environment="test", payments="none").payment_provider == "none"
    assert Config(data=tmp_path, payments="stripe", **KEYS).payment_provider == "stripe"


@pytest.mark.error
def test_start_up_refuses_the_test_provider_in_production(tmp_path, monkeypatch):
    with pytest.raises(ValidationError, match="not for production"):
        Config(data=tmp_path, payments="test")
    monkeypatch.setenv("ZENTRY_PAYMENTS", "test")
    monkeypatch.setenv("ZENTRY_DATA", str(tmp_path))
    for command in ("web", "worker", "up"):
        refused = CliRunner().invoke(main, [command])
        assert refused.exit_code == 1
        assert "not for production" in refused.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.asvs("13.2.3")
@pytest.mark.error
@pytest.mark.parametrize("missing", KEYS)
def test_stripe_needs_all_its_keys_and_no_message_has_them(tmp_path, missing):
    given = {name: value for name, value in KEYS.items() if name != missing}
    with pytest.raises(ValidationError) as refused:
        Config(data=tmp_path, payments="stripe", **given)
    text = "".join(error["msg"] for error in refused.value.errors())
    assert "ZENTRY_STRIPE" in text
    assert not any(value in text for value in KEYS.values())


@pytest.mark.asvs("13.3.1")
def test_secrets_are_not_printed_with_the_settings(tmp_path):
    shown = repr(Config(data=tmp_path, payments="stripe", **KEYS))
    assert "sk_test_x1" not in shown
    assert "whsec_x3" not in shown


def test_the_price_of_a_credit(tmp_path):
    price = Config(data=tmp_path, credit_price="USD 250").price_of_credits
    assert price == CreditPrice("usd", 250)
    assert price.minor_of(2_000_000) == 500
    assert price.minor_of(1) is None
    for wrong in ("eur", "100", "eur 0", "euro 100", "eur 1.5", "eur １００", "eur 1_0"):
        with pytest.raises(ValidationError):
            Config(data=tmp_path, credit_price=wrong)


# currency and minor units for a credit: what five credits are shown as, and what Stripe is asked for
@pytest.mark.parametrize(
    ("price", "shown", "charged"),
    [
        ("eur 100", "5.00 EUR", 500), ("xof 600", "3,000 XOF", 3000), ("jpy 150", "750 JPY", 750),
        ("mga 4500", "22,500 MGA", 22_500), ("kwd 310", "1.550 KWD", 1550), ("isk 14000", "700.00 ISK", 70_000),
        ("huf 40000", "2,000.00 HUF", 200_000), ("twd 3200", "160.00 TWD", 16_000),
    ],
)  # fmt: skip
def test_what_is_shown_is_what_is_charged(tmp_path, price, shown, charged):
    found = Config(data=tmp_path, credit_price=price).price_of_credits
    minor = found.minor_of(5_000_000)
    assert (minor, format_minor(minor, found.currency)) == (charged, shown)
    assert parse_minor(shown.split()[0].replace(",", ""), found.currency) == charged, "and read back by a refund"


def test_every_currency_that_is_offered_is_shown_and_read_back_alike():
    assert len(CURRENCIES) > 120
    for currency in CURRENCIES:
        minor = 12_300 * step_of(currency)
        text, name = format_minor(minor, currency).split()
        assert (parse_minor(text.replace(",", ""), currency), name) == (minor, currency.upper())
        assert len(text.partition(".")[2]) == decimals_of(currency)


@pytest.mark.error
def test_amounts_that_the_provider_would_not_take_are_none():
    assert CreditPrice("kwd", 301).minor_of(1_000_000) is None
    assert CreditPrice("isk", 14_050).minor_of(1_000_000) is None
    for text, currency in (("1.551", "kwd"), ("7.50", "isk"), ("1.5", "xof"), ("1.555", "eur")):
        with pytest.raises(ValueError, match=r"multiples of|no cents|whole cents"):
            parse_minor(text, currency)


@pytest.mark.error
@pytest.mark.parametrize(("price", "reason"), [("ugx 3700", "two ways"), ("xyz 1", "no currency")])
def test_start_up_refuses_other_currencies_and_says_why(tmp_path, monkeypatch, price, reason):
    monkeypatch.setenv("ZENTRY_CREDIT_PRICE", price)
    monkeypatch.setenv("ZENTRY_DATA", str(tmp_path))
    refused = CliRunner().invoke(main, ["web"])
    assert refused.exit_code == 1
    assert reason in refused.output
