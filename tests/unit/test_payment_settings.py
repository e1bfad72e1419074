"""Which payment provider the settings ask for, and what start-up refuses."""

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from zentry_web.cli import main
from zentry_web.config import Config
from zentry_web.domain.payments import CreditPrice

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
    for wrong in ("eur", "100", "eur 0", "euro 100", "eur 1.5"):
        with pytest.raises(ValidationError):
            Config(data=tmp_path, credit_price=wrong)
