"""Stripe's webhooks, from payloads signed with a test secret in Stripe's own format. Nothing is asked of Stripe."""

import itertools
import json

import pytest
from structlog.testing import capture_logs

from tests.services.payment_world import CREDIT, STARTING, Till
from tests.stripe_fixture import SECRET_KEY, WEBHOOK_SECRET, provider_at, signed
from zentry_web.adapters.payments.base import PaymentError
from zentry_web.domain.credits.payments import PaymentNews, PaymentState
from zentry_web.models import DbPaymentEvent
from zentry_web.services.errors import NotFoundError, ValidationError

pytestmark = pytest.mark.integration


class StripeTill(Till):
    """Payments of 10 credits, which Stripe knows as pi_1, pi_2 …"""

    def __init__(self, container, user, monkeypatch):
        super().__init__(container, user)
        provider, numbers = provider_at("http://127.0.0.1:9"), itertools.count(1)
        monkeypatch.setattr(
            provider,
            "create_intent",
            lambda order: PaymentNews(f"pi_{next(numbers)}", order.payment_id, state=PaymentState.PENDING),
        )
        self.payments.provider = self.provider = provider

    def deliver(self, *given, **more):
        self.payments.take_event("stripe", *signed(*given, **more))


@pytest.fixture
def till(container, alice, monkeypatch):
    return StripeTill(container, alice, monkeypatch)


@pytest.fixture
def payment(till):
    return till.start(10)


def intent(payment, status="succeeded", **more):
    return {
        "id": payment.provider_ref, "object": "payment_intent", "amount": 1000, "currency": "eur", "status": status,
        "client_secret": "pi_1_secret_2", "metadata": {"payment_id": payment.id}, "payment_method": "pm_1",
    } | more  # fmt: skip


def charge(payment, refunded, **more):
    card = {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2039}
    return {
        "id": "ch_1", "object": "charge", "amount": 1000, "amount_refunded": refunded, "currency": "eur",
        "payment_intent": payment.provider_ref, "status": "succeeded", "payment_method": "pm_1",
        "payment_method_details": {"type": "card", "card": card}, "metadata": {"payment_id": payment.id},
    } | more  # fmt: skip


def dispute(payment, status="needs_response", minor=1000, **more):
    return {
        "id": "dp_1", "object": "dispute", "amount": minor, "currency": "eur", "status": status,
        "payment_intent": payment.provider_ref, "charge": "ch_1", "reason": "fraudulent",
    } | more  # fmt: skip


def test_a_payment_comes_in(till, payment):
    till.deliver("payment_intent.processing", intent(payment, "processing"))
    till.deliver("payment_intent.succeeded", intent(payment), event_id="evt_2")
    till.deliver("payment_intent.succeeded", intent(payment), event_id="evt_2")
    assert till.get(payment).state == PaymentState.SUCCEEDED
    assert till.wallet == STARTING + 10 * CREDIT
    till.assert_sound()


@pytest.mark.asvs("16.3.3")
@pytest.mark.error
def test_a_signature_that_is_not_right(till, payment):
    payload, headers = signed("payment_intent.succeeded", intent(payment))
    good = headers["Stripe-Signature"]
    moment, _, signature = good.partition(",")
    bad = [
        (payload.replace(b'"amount": 1000', b'"amount": 9000'), good),
        (payload, f"{moment},v1={'0' * 64}"),
        (payload, f"t={int(moment[2:]) + 1},{signature}"),
        (payload, good.replace("v1=", "v0=")),
        (payload, ""),
        (b"\xff\xfe", good),
        (b"", good),
        signed("payment_intent.succeeded", intent(payment), secret="whsec_of_somebody_else"),
        signed("payment_intent.succeeded", intent(payment), age=301),
    ]
    for body, header in bad:
        given = header if isinstance(header, dict) else {"Stripe-Signature": header}
        with pytest.raises(ValidationError):
            till.payments.take_event("stripe", body, given)
    with pytest.raises(ValidationError):
        till.payments.take_event("stripe", payload, {})
    assert (till.wallet, till.effects, till.get(payment).state) == (STARTING, [], PaymentState.PENDING)
    till.deliver("payment_intent.succeeded", intent(payment), age=290)
    assert till.wallet == STARTING + 10 * CREDIT, "within the five minutes"


def test_a_decline_then_another_card(till, payment):
    problem = {"code": "card_declined", "message": "Your card was declined."}
    declined = intent(payment, "requires_payment_method", last_payment_error=problem)
    till.deliver("payment_intent.payment_failed", declined)
    assert (till.get(payment).state, till.get(payment).error) == (PaymentState.FAILED, "Your card was declined.")
    till.deliver("payment_intent.succeeded", intent(payment), event_id="evt_2")
    till.deliver("payment_intent.payment_failed", declined, event_id="evt_3")
    assert till.get(payment).state == PaymentState.SUCCEEDED
    assert till.wallet == STARTING + 10 * CREDIT


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_refunds_may_arrive_before_the_payment_and_out_of_order(container, alice, monkeypatch, order):
    till = StripeTill(container, alice, monkeypatch)
    payment = till.start(10)
    news = [
        ("payment_intent.succeeded", intent(payment)),
        ("charge.refunded", charge(payment, 300)),
        ("charge.refunded", charge(payment, 800)),
        ("payment_intent.processing", intent(payment, "processing")),
    ]
    for place in order:
        till.deliver(*news[place], event_id=f"evt_{place}")
    found = till.get(payment)
    assert (found.state, found.refunded_minor) == (PaymentState.SUCCEEDED, 800)
    assert till.wallet == STARTING + 2 * CREDIT
    till.assert_sound()


def test_a_refund_alone_brings_in_what_it_left(till, payment):
    till.deliver("charge.refunded", charge(payment, 400))
    assert till.wallet == STARTING + 6 * CREDIT
    assert till.kinds == ["payment", "pay_refund"]
    assert till.get(payment).method_label == "Visa •••• 4242"


def test_disputes_won_lost_and_mere_inquiries(till):
    for place, (ending, left) in enumerate([("won", 10), ("lost", 0)]):
        payment, before = till.start(10), till.wallet
        of = {"id": f"dp_{place}"}
        till.deliver("payment_intent.succeeded", intent(payment), event_id=f"evt_{place}")
        till.deliver("charge.dispute.created", dispute(payment, "warning_needs_response", **of), event_id=f"q{place}")
        assert till.wallet == before + 10 * CREDIT
        till.deliver("charge.dispute.created", dispute(payment, **of), event_id=f"evt_{place}_o")
        till.deliver("charge.dispute.updated", dispute(payment, "under_review", **of), event_id=f"evt_{place}_u")
        assert till.wallet == before
        till.deliver("charge.dispute.closed", dispute(payment, ending, **of), event_id=f"evt_{place}_c")
        till.deliver("charge.dispute.created", dispute(payment, **of), event_id=f"evt_{place}_late")
        assert till.wallet == before + left * CREDIT
    till.assert_sound()


def test_a_dispute_of_a_part_before_the_payment(till, payment):
    till.deliver("charge.dispute.created", dispute(payment, minor=250))
    assert till.wallet == STARTING
    till.deliver("payment_intent.succeeded", intent(payment), event_id="evt_2")
    assert till.wallet == STARTING + 7_500_000
    till.assert_sound()


@pytest.mark.error
def test_another_amount_or_currency_has_no_effect(till, payment):
    wrong = [
        ("payment_intent.succeeded", intent(payment, amount=999)),
        ("payment_intent.succeeded", intent(payment, currency="usd")),
        ("charge.refunded", charge(payment, 0, amount=100_000)),
        ("charge.dispute.created", dispute(payment, currency="usd")),
    ]
    for place, (kind, thing) in enumerate(wrong):
        till.deliver(kind, thing, event_id=f"evt_{place}")
    assert (till.wallet, till.get(payment).state) == (STARTING, PaymentState.PENDING)
    assert [each.startswith("Refused") for each in till.effects] == [True] * 4


def test_what_is_not_ours_or_means_nothing_is_passed_over(till, payment):
    till.deliver("customer.created", {"id": "cus_1", "object": "customer"})
    till.deliver("charge.refunded", charge(payment, 100, payment_intent=None))
    till.deliver("payment_intent.succeeded", intent(payment, id="pi_x", metadata={}))
    till.deliver("payment_intent.succeeded", intent(payment, id="pi_x"), event_id="evt_2")
    assert (till.wallet, till.effects) == (STARTING, [])


@pytest.mark.asvs("16.2.5")
def test_no_secret_is_kept_or_logged(till, payment):
    with capture_logs() as logs:
        till.deliver("payment_intent.succeeded", intent(payment))
        payload, _ = signed("payment_intent.succeeded", intent(payment))
        with pytest.raises(ValidationError):
            till.payments.take_event("stripe", payload, {"Stripe-Signature": f"t=1,v1={WEBHOOK_SECRET}"})
    with till.container.database.reading() as session:
        (row,) = session.query(DbPaymentEvent).all()
        kept = json.dumps(row.payload)
    assert row.payload["status"] == "succeeded"
    for secret in ("pi_1_secret_2", WEBHOOK_SECRET, SECRET_KEY):
        assert secret not in kept
        assert secret not in str(logs)


def refund(payment, number=1, status="succeeded", minor=400, **more):
    return {
        "id": f"re_{number}", "object": "refund", "amount": minor, "currency": "eur", "status": status,
        "payment_intent": payment.provider_ref, "charge": "ch_1", "metadata": {},
    } | more  # fmt: skip


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
@pytest.mark.parametrize("sum_after", [400, 0], ids=["the sum stays", "the sum goes down"])
def test_a_failed_refund_gives_the_credits_back_once_in_any_order(container, alice, monkeypatch, order, sum_after):
    till = StripeTill(container, alice, monkeypatch)
    payment = till.start(10)
    news = [
        ("payment_intent.succeeded", intent(payment)),
        ("charge.refunded", charge(payment, 400)),
        ("refund.failed", refund(payment, status="failed")),
        ("charge.refunded", charge(payment, sum_after)),
    ]
    for place in (*order, *order):
        till.deliver(*news[place], event_id=f"evt_{place}")
    till.deliver("charge.refund.updated", refund(payment, status="failed"), event_id="evt_the_same_told_otherwise")
    till.deliver("refund.updated", refund(payment, status="succeeded"), event_id="evt_late")
    assert till.get(payment).refunded_minor == 0
    assert till.wallet == STARTING + 10 * CREDIT
    assert till.kinds in (["payment"], ["payment", "pay_refund", "pay_refund"])
    till.assert_sound()


def test_a_failed_refund_is_told_of_and_the_next_one_counts(till, payment):
    till.deliver("payment_intent.succeeded", intent(payment))
    till.deliver("charge.refunded", charge(payment, 400), event_id="evt_refunded")
    till.deliver("refund.failed", refund(payment, status="failed"), event_id="evt_2")
    assert till.wallet == STARTING + 10 * CREDIT
    till.deliver("charge.refunded", charge(payment, 400), event_id="evt_3")  # the sum went down and up again
    till.deliver("refund.created", refund(payment, 2), event_id="evt_4")
    assert (till.get(payment).refunded_minor, till.wallet) == (400, STARTING + 6 * CREDIT)
    assert till.get(payment).refundable_minor == 600
    assert till.titles[1:] == [
        "Refunded: 4.00 EUR of your payment", "A refund did not reach you", "Refunded: 4.00 EUR of your payment",
    ]  # fmt: skip
    till.assert_sound()


def test_one_of_two_refunds_fails(till, payment):
    till.deliver("charge.refunded", charge(payment, 700))
    till.deliver("refund.updated", refund(payment, 2, "canceled", 300), event_id="evt_2")
    assert (till.get(payment).refunded_minor, till.wallet) == (400, STARTING + 6 * CREDIT)
    till.assert_sound()


def test_what_was_written_off_for_a_refund_that_failed_is_no_loss_any_more(till, payment):
    till.deliver("payment_intent.succeeded", intent(payment))
    till.spend(STARTING + 7 * CREDIT)
    till.deliver("charge.refunded", charge(payment, 400), event_id="evt_refunded")
    assert (till.wallet, till.written_off) == (0, CREDIT)
    for number in range(2):
        till.deliver("refund.failed", refund(payment, status="failed"), event_id=f"evt_f{number}")
    assert (till.wallet, till.written_off) == (3 * CREDIT, 0)
    till.assert_sound()


def test_a_failed_refund_of_a_disputed_payment(till, payment):
    till.deliver("charge.refunded", charge(payment, 400))
    till.deliver("charge.dispute.created", dispute(payment), event_id="evt_2")
    assert till.wallet == STARTING
    till.deliver("refund.failed", refund(payment, status="failed"), event_id="evt_3")
    assert till.wallet == STARTING, "the bank holds all of it"
    till.deliver("charge.dispute.closed", dispute(payment, "won"), event_id="evt_4")
    assert till.wallet == STARTING + 10 * CREDIT
    till.assert_sound()


@pytest.mark.error
def test_a_failed_refund_in_another_currency_or_of_another_payment_has_no_effect(till, payment):
    till.deliver("charge.refunded", charge(payment, 400))
    till.deliver("refund.failed", refund(payment, status="failed", currency="usd"), event_id="evt_2")
    till.deliver("refund.failed", refund(payment, status="failed", payment_intent=None), event_id="evt_3")
    other = till.start(10)
    till.deliver("refund.created", refund(payment), event_id="evt_4")
    till.deliver("refund.failed", refund(other, status="failed"), event_id="evt_5")
    assert till.wallet == STARTING + 6 * CREDIT
    till.assert_sound()


def test_no_button_ends_a_payment(till, payment):
    with pytest.raises(NotFoundError):
        till.press(payment)
    with pytest.raises(PaymentError):
        till.provider.act(payment.provider_ref, "pay", "4242")
    assert till.get(payment).state == PaymentState.PENDING
