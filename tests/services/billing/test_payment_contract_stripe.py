"""The contract of payment providers on StripeProvider, with localstripe in Stripe's place."""

import pytest

from tests.payment_contract import PaymentContract, order
from tests.stripe_fixture import (
    DECLINED_LATER,
    SECRET_KEY,
    VISA,
    WANTS_ITS_HOLDER,
    Recorder,
    card_of,
    localstripe,
    provider_at,
)
from zentry_web.adapters.payments.base import ProviderAway
from zentry_web.domain.credits.payments import PaymentState

pytestmark = [pytest.mark.integration, pytest.mark.real]


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    with localstripe(tmp_path_factory.mktemp("localstripe")) as address:
        yield address


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def provider(api, recorder):
    return provider_at(api, recorder)


@pytest.fixture
def keep_card(api):
    def keep(customer_ref, *, declines=False):
        return card_of(api, customer_ref, DECLINED_LATER if declines else VISA)

    return keep


class TestStripeOnLocalstripe(PaymentContract):
    """And what only Stripe has."""

    def test_every_change_carries_its_key(self, provider, keep_card, recorder):
        paid = self.charged(provider, keep_card)
        provider.create_intent(order("pay_2"))
        provider.refund(paid.ref, 300, "ref_1")
        keys = [headers.get("Idempotency-Key") for method, _, headers in recorder.sent if method == "post"]
        assert keys == ["customer:usr_1", "pay_1", "pay_2", "ref_1"]

    def test_a_card_that_wants_its_holder_fails_when_nobody_is_there(self, provider, api):
        customer = provider.create_customer("usr_1")
        told = provider.charge_method(order(customer_ref=customer), card_of(api, customer, WANTS_ITS_HOLDER))
        assert told.state == PaymentState.FAILED
        assert provider.read_intent(told.ref).state == PaymentState.CANCELLED

    def test_the_payer_s_browser_gets_the_intent_s_secret_only(self, provider):
        made = provider.create_intent(order())
        assert made.secret.startswith(f"{made.ref}_secret_")
        assert SECRET_KEY not in repr(made)


@pytest.mark.error
def test_nobody_there():
    with pytest.raises(ProviderAway) as away:
        provider_at("http://127.0.0.1:9").create_intent(order())
    assert SECRET_KEY not in str(away.value)
