"""The contract of payment providers on the built-in test provider."""

import pytest

from tests.payment_contract import PaymentContract, order
from zentry_web.adapters.clock import ManualClock
from zentry_web.adapters.payments.base import PaymentError
from zentry_web.adapters.payments.test_provider import BuiltInTestProvider
from zentry_web.domain.credits.payments import PaymentState

pytestmark = pytest.mark.integration


@pytest.fixture
def provider(tmp_path, clock: ManualClock):
    return BuiltInTestProvider(tmp_path / "test-payments.sqlite", clock, "secret")


@pytest.fixture
def keep_card(provider):
    def keep(customer_ref, *, declines=False):
        ref = provider.create_intent(order("pay_kept", 100, customer_ref=customer_ref, save_method=True)).ref
        provider.act(ref, "pay", "0341" if declines else "4242")
        return provider.read_intent(ref).method.ref

    return keep


class TestTheTestProvider(PaymentContract):
    """And what localstripe cannot show of Stripe."""

    def test_one_order_is_one_intent_and_one_charge(self, provider, keep_card):
        assert provider.create_intent(order()).ref == provider.create_intent(order()).ref
        card = keep_card("")
        first, again = (provider.charge_method(order("pay_2"), card) for _ in range(2))
        assert first == again

    def test_one_key_refunds_once(self, provider, keep_card):
        paid = self.charged(provider, keep_card)
        for _ in range(2):
            assert provider.refund(paid.ref, 300, "ref_1").refunded_minor == 300
        with pytest.raises(PaymentError):
            provider.refund(paid.ref, 701, "ref_2")

    def test_another_process_sees_the_same(self, provider, tmp_path, clock):
        ref = provider.create_intent(order()).ref
        provider.act(ref, "pay")
        other = BuiltInTestProvider(tmp_path / "test-payments.sqlite", clock, "secret")
        assert other.read_intent(ref).state == PaymentState.SUCCEEDED
