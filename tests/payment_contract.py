"""What every payment provider must do: one suite for the built-in test provider and for Stripe.

Stripe is tried on localstripe, which has intents, methods and refunds, but neither idempotency keys, nor
``setup_future_usage``, nor disputes: those are tried elsewhere (docs/adr/0012 says where).
"""

import pytest

from zentry_web.adapters.payments.base import PaymentError
from zentry_web.domain.credits.payments import Order, PaymentState


def order(payment_id="pay_1", minor=1000, **more):
    return Order(payment_id, minor, "eur", "10 Zentry credits", **more)


class PaymentContract:
    """Subclasses bring the fixtures ``provider`` and ``keep_card(customer_ref, declines=False)``: a method's id."""

    def charged(self, provider, keep_card, *, payment_id="pay_1", minor=1000):
        customer = provider.create_customer("usr_1")
        return provider.charge_method(order(payment_id, minor, customer_ref=customer), keep_card(customer))

    def test_an_intent_waits_for_the_payer(self, provider):
        made = provider.create_intent(order())
        assert made.ref
        assert (made.payment_id, made.minor, made.currency) == ("pay_1", 1000, "eur")
        assert (made.state, made.error) == (PaymentState.PENDING, "")
        assert provider.read_intent(made.ref).state == PaymentState.PENDING

    def test_an_intent_can_be_cancelled_more_than_once(self, provider):
        ref = provider.create_intent(order()).ref
        for _ in range(2):
            assert provider.cancel_intent(ref).state == PaymentState.CANCELLED
        assert provider.read_intent(ref).state == PaymentState.CANCELLED

    def test_a_paid_intent_is_not_cancelled(self, provider, keep_card):
        ref = self.charged(provider, keep_card).ref
        assert provider.cancel_intent(ref).state == PaymentState.SUCCEEDED

    def test_a_stored_method_is_charged_without_its_holder(self, provider, keep_card):
        paid = self.charged(provider, keep_card)
        assert (paid.state, paid.minor, paid.refunded_minor) == (PaymentState.SUCCEEDED, 1000, 0)
        assert paid.method.label.endswith("•••• 4242")
        assert (paid.method.expiry_month, paid.method.expiry_year) == (12, 2039)
        again = provider.read_intent(paid.ref)
        assert (again.state, again.payment_id, again.method) == (paid.state, "pay_1", paid.method)

    def test_a_decline_is_no_error(self, provider, keep_card):
        customer = provider.create_customer("usr_1")
        method = keep_card(customer, declines=True)
        told = provider.charge_method(order(customer_ref=customer), method)
        assert (told.state, told.payment_id) == (PaymentState.FAILED, "pay_1")
        assert "declined" in told.error

    def test_refunds_in_parts_add_up(self, provider, keep_card):
        paid = self.charged(provider, keep_card)
        assert provider.refund(paid.ref, 300, "ref_1").refunded_minor == 300
        assert provider.refund(paid.ref, 700, "ref_2").refunded_minor == 1000
        assert provider.read_intent(paid.ref).refunded_minor == 1000

    def test_the_history_tells_what_was_refunded(self, provider, keep_card):
        paid = self.charged(provider, keep_card)
        (untouched,) = provider.read_history(paid.ref)
        assert (untouched.state, untouched.refunded_minor, untouched.dispute) == (PaymentState.SUCCEEDED, 0, None)
        provider.refund(paid.ref, 300, "ref_1")
        (told,) = provider.read_history(paid.ref)
        assert (told.ref, told.payment_id, told.refunded_minor) == (paid.ref, "pay_1", 300)
        (refund,) = told.refunds
        assert (refund.minor, refund.has_failed, refund.key) == (300, False, "ref_1")
        with pytest.raises(PaymentError):
            provider.read_history("pi_none")

    def test_a_removed_method_is_gone_and_removing_it_again_is_fine(self, provider, keep_card):
        customer = provider.create_customer("usr_1")
        method = keep_card(customer)
        for _ in range(2):
            provider.forget_method(method)

    def test_what_is_not_there(self, provider):
        with pytest.raises(PaymentError):
            provider.read_intent("pi_none")
        with pytest.raises(PaymentError):
            provider.refund("pi_none", 100, "ref_1")
