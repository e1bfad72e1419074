"""Top-ups by payment at the test provider: one effect each, whatever order the news comes in."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.services.payment_world import CREDIT, STARTING, Till
from tests.services.people import acting
from zentry_web.adapters.payments.base import ProviderAway, SignedEvent
from zentry_web.domain.credits.payments import DisputeState, PaymentState
from zentry_web.models import DbPaymentMethod
from zentry_web.services.billing.payments.top_ups import FIRST_LOOK, GIVE_UP
from zentry_web.services.errors import (
    ConflictError,
    NotFoundError,
    ProviderUnavailableError,
    RateLimitedError,
    ValidationError,
)
from zentry_web.services.shared.rate_rules import RULES
from zentry_web.worker.paying import Cashier

pytestmark = pytest.mark.integration


@pytest.fixture
def till(container, alice):
    return Till(container, alice)


def test_a_payment_brings_credits_and_a_receipt(till):
    payment = till.start(10)
    assert (payment.state, payment.minor, payment.currency) == (PaymentState.PENDING, 1000, "eur")
    assert till.wallet == STARTING
    payment = till.press(payment)
    assert (payment.state, payment.method_label) == (PaymentState.SUCCEEDED, "Test card •••• 4242")
    assert till.wallet == STARTING + 10 * CREDIT
    assert till.kinds == ["payment"]
    assert till.titles == ["Payment received: 10.00 EUR for 10.00 credits"]
    assert till.payments.list_methods(till.user.id) == []
    till.assert_sound()


def test_a_decline_costs_nothing_and_may_be_tried_again(till):
    payment = till.press(till.start(10), "decline")
    assert (payment.state, payment.error) == (PaymentState.FAILED, "The card was declined.")
    assert (till.wallet, till.kinds) == (STARTING, [])
    payment = till.press(payment, "pay")
    assert (payment.state, payment.error) == (PaymentState.SUCCEEDED, "")
    with pytest.raises(ConflictError):
        till.press(payment, "decline")
    assert till.wallet == STARTING + 10 * CREDIT


def test_a_payment_that_comes_later_is_found_by_asking(till, clock):
    payment = till.press(till.start(10), "later")
    assert payment.state == PaymentState.PENDING
    clock.advance(5)
    assert till.payments.list_looks() == [payment.id]
    till.payments.look(payment.id)
    assert till.get(payment).state == PaymentState.PENDING
    clock.advance(60)
    till.payments.look(payment.id)
    assert till.get(payment).state == PaymentState.SUCCEEDED
    assert till.wallet == STARTING + 10 * CREDIT
    assert till.payments.list_looks() == []


def test_one_key_is_one_payment(till):
    first, again = (till.start(10, idempotency_key="k") for _ in range(2))
    assert first.id == again.id
    with pytest.raises(ConflictError):
        till.start(11, idempotency_key="k")
    assert len(till.payments.list_payments(till.user.id)) == 1


@pytest.mark.error
@pytest.mark.parametrize("micro", [0, 999_999, 10_001 * CREDIT, 1_001_000, -5])
def test_amounts_that_cannot_be_paid(till, micro):
    with pytest.raises(ValidationError):
        till.payments.start_top_up(till.user.id, micro, actor=till.me)
    assert till.payments.list_payments(till.user.id) == []


def test_a_stored_card_is_listed_and_forgotten(till, bob):
    method = till.kept()
    assert (method.label, method.expiry) == ("Test card •••• 4242", "12/39")
    with pytest.raises(NotFoundError):
        till.payments.remove_method(bob.id, method.id, actor=acting(bob))
    till.payments.remove_method(till.user.id, method.id, actor=till.me)
    assert till.payments.list_methods(till.user.id) == []
    with pytest.raises(NotFoundError):
        till.payments.remove_method(till.user.id, method.id, actor=till.me)


def test_an_erased_account_keeps_amounts_only(till, container):
    till.kept()
    container.get_user_service().erase_personal_data(till.user.id)
    (payment,) = till.payments.list_payments(till.user.id)
    assert (payment.minor, payment.method_label) == (100, "")
    assert till.payments.list_methods(till.user.id) == []
    assert "4242" not in str(till.rows(select(DbPaymentMethod.label)))
    till.assert_sound()


@pytest.mark.error
def test_payments_are_not_begun_without_end(till, clock):
    for _ in range(RULES["payment"].count):
        till.start(1)
    with pytest.raises(RateLimitedError):
        till.start(1)
    clock.advance(2 * 3600)
    till.start(1)
    assert len(till.payments.list_payments(till.user.id, limit=100)) == RULES["payment"].count + 1


@pytest.mark.error
def test_strangers_see_and_pay_nothing(till, bob):
    payment = till.start(10)
    for call in (till.payments.get_payment, till.payments.get_pay_page):
        with pytest.raises(NotFoundError):
            call(till.user.id, payment.id, actor=acting(bob))
        with pytest.raises(NotFoundError):
            call(bob.id, payment.id, actor=acting(bob))
    with pytest.raises(NotFoundError):
        till.payments.press_test_button(bob.id, payment.id, "pay", "4242", actor=acting(bob))


# -- webhooks (L7) ------------------------------------------------------------------------------


@pytest.mark.error
def test_a_bad_signature_has_no_effect(till, clock):
    payment = till.start(10)
    till.provider.act(payment.provider_ref, "pay")
    good = till.provider.event("payment.succeeded", payment.provider_ref)
    (name, value), *_ = good.headers.items()
    moment = value.partition(",")[0]
    bad = [
        SignedEvent(good.payload.replace(b"1000", b"9000"), good.headers),
        SignedEvent(good.payload, {name: f"{moment},s={'0' * 64}"}),
        SignedEvent(good.payload, {name: value.replace("t=", "t=9")}),
        SignedEvent(good.payload, {name: ""}),
        SignedEvent(good.payload, {name: "t=²,s=é"}),
        SignedEvent(good.payload, {}),
    ]
    for event in bad:
        with pytest.raises(ValidationError):
            till.take(event)
    clock.advance(301)
    with pytest.raises(ValidationError):
        till.take(good)
    assert (till.wallet, till.effects, till.get(payment).state) == (STARTING, [], PaymentState.PENDING)


def test_a_duplicate_has_one_effect(till):
    payment = till.start(10)
    event = till.provider.act(payment.provider_ref, "pay")
    for _ in range(3):
        till.take(event)
    till.take(till.provider.event("payment.succeeded", payment.provider_ref))
    assert till.wallet == STARTING + 10 * CREDIT
    assert till.effects == ["Nothing new", "Pending to succeeded, 10.00 credits added"]
    assert len(till.titles) == 1


@pytest.mark.parametrize("order", list(itertools.permutations(range(5)))[::7])
def test_any_order_of_news_comes_to_the_same(container, alice, order):
    till = Till(container, alice)
    payment = till.start(10)
    ref = payment.provider_ref
    events = [
        till.provider.act(ref, "decline"),
        till.provider.act(ref, "pay"),
        till.provider.dispute(ref, DisputeState.OPEN, 300),
        till.provider.dispute(ref, DisputeState.WON, 300),
    ]
    till.provider.refund(ref, 400, "k")
    events.append(till.provider.event("payment.refunded", ref))
    for place in order:
        till.take(events[place])
        till.take(events[place])
    found = till.get(payment)
    assert (found.state, found.refunded_minor, found.disputed_minor) == (PaymentState.SUCCEEDED, 400, 0)
    assert till.wallet == STARTING + 6 * CREDIT
    assert (till.account("payments"), till.written_off) == (-6 * CREDIT, 0)
    till.assert_sound()


def test_a_refund_takes_what_the_wallet_has_and_writes_off_the_rest(till):
    payment = till.pay(10)
    till.spend(12 * CREDIT)
    till.provider.refund(payment.provider_ref, 1000, "k")
    till.take(till.provider.event("payment.refunded", payment.provider_ref))
    found = till.get(payment)
    assert (till.wallet, till.written_off) == (0, 7 * CREDIT)
    assert (found.reversed_micro, found.written_off_micro, found.refundable_minor) == (10 * CREDIT, 7 * CREDIT, 0)
    assert till.account("payments") == 0
    till.assert_sound()


def test_a_dispute_takes_back_and_a_won_one_gives_again(till):
    payment = till.pay(10)
    till.spend(8 * CREDIT)
    till.take(till.provider.dispute(payment.provider_ref, DisputeState.OPEN))
    assert (till.wallet, till.written_off, till.get(payment).disputed_minor) == (0, 3 * CREDIT, 1000)
    won = till.provider.dispute(payment.provider_ref, DisputeState.WON)
    till.take(won)
    assert (till.wallet, till.written_off, till.get(payment).disputed_minor) == (7 * CREDIT, 0, 0)
    assert till.kinds == ["payment", "deduction", "dispute", "dispute"]
    till.assert_sound()


def test_a_lost_dispute_stays_taken(till):
    payment = till.pay(10)
    for state in (DisputeState.OPEN, DisputeState.LOST, DisputeState.OPEN, DisputeState.WON):
        till.take(till.provider.dispute(payment.provider_ref, state))
    assert till.wallet == STARTING
    till.assert_sound()


@pytest.mark.error
def test_news_with_another_amount_or_currency_is_refused(till):
    for place, (minor, currency) in enumerate([(100_000, "eur"), (1000, "usd")]):
        payment = till.start(10)
        till.provider.act(payment.provider_ref, "pay")
        with till.provider._open() as database:
            body = f"json_set(body, '$.minor', {minor}, '$.currency', '{currency}')"
            database.execute(f"UPDATE intent SET body = {body} WHERE ref = ?", (payment.provider_ref,))
        till.take(till.provider.event("payment.succeeded", payment.provider_ref))
        assert till.get(payment).state == PaymentState.PENDING
        assert [each.startswith("Refused") for each in till.effects] == [True] * (place + 1)
    assert till.wallet == STARTING


def test_kinds_that_mean_nothing_and_payments_of_others_are_passed_over(till):
    payment = till.start(10)
    till.take(till.provider.event("invoice.created", payment.provider_ref))
    with till.provider._open() as database:
        database.execute("UPDATE intent SET body = json_set(body, '$.ref', 'tpi_x', '$.payment_id', 'pay_x')")
    till.take(till.provider.event("payment.succeeded", payment.provider_ref))
    assert (till.wallet, till.effects) == (STARTING, [])
    with pytest.raises(NotFoundError):
        till.payments.take_event("stripe", b"{}", {})


def test_one_webhook_from_many_threads_has_one_effect(till):
    payment = till.start(10)
    events = [till.provider.act(payment.provider_ref, "pay")]
    till.provider.refund(payment.provider_ref, 200, "k")
    events.append(till.provider.event("payment.refunded", payment.provider_ref))
    barrier = threading.Barrier(16)

    def deliver(number):
        barrier.wait(30)
        till.take(events[number % 2])

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(deliver, range(16)))
    assert till.wallet == STARTING + 8 * CREDIT
    assert sorted(till.kinds) == ["pay_refund", "payment"]
    assert len(till.effects) == 2
    till.assert_sound()


# -- when things go wrong -----------------------------------------------------------------------


@pytest.mark.error
def test_a_crash_before_the_provider_was_asked_is_made_up_for(till, clock, monkeypatch):
    def away(_order):
        raise ProviderAway("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(till.provider, "create_intent", away)
        with pytest.raises(ProviderUnavailableError):
            till.start(10, idempotency_key="k")
        (payment,) = till.payments.list_payments(till.user.id)
        assert payment.state == PaymentState.CREATED
        clock.advance(FIRST_LOOK.total_seconds())
        Cashier(till.billing).run()
        assert till.payments.list_looks() == [], "and is asked again later"
    clock.advance(FIRST_LOOK.total_seconds())
    till.payments.look(payment.id)
    payment = till.get(payment)
    assert payment.state == PaymentState.PENDING
    assert till.start(10, idempotency_key="k") == payment
    till.press(payment)
    assert till.wallet == STARTING + 10 * CREDIT


@pytest.mark.error
def test_a_webhook_may_be_faster_than_the_answer(till, monkeypatch):
    """Killed between the provider's answer and its recording: the webhook names the payment by Zentry's id."""
    with monkeypatch.context() as patch:
        patch.setattr(till.payments, "_learn", lambda news: None)
        payment = till.start(10)
    assert payment.state == PaymentState.CREATED
    ref = till.provider.create_intent(till.payments.order_of(payment)).ref
    till.take(till.provider.act(ref, "pay"))
    assert (till.get(payment).state, till.get(payment).provider_ref) == (PaymentState.SUCCEEDED, ref)
    assert till.wallet == STARTING + 10 * CREDIT


def test_a_lost_webhook_is_made_up_for_by_asking(till, clock):
    payment = till.start(10)
    till.provider.act(payment.provider_ref, "pay")
    clock.advance(FIRST_LOOK.total_seconds())
    Cashier(till.billing).run()
    Cashier(till.billing).run()
    assert till.wallet == STARTING + 10 * CREDIT
    assert till.payments.list_looks() == []


def look(till, payment):
    for payment_id in till.payments.list_looks():
        assert payment_id == payment.id
        till.payments.look(payment_id)


def test_lost_webhooks_of_refunds_and_disputes_are_made_up_for(till, clock):
    payment = till.pay()
    assert till.payments.list_looks() == []
    till.provider.refund(till.get(payment).provider_ref, 300, "ref_elsewhere")  # no webhook came
    clock.advance(86_401)
    look(till, payment)
    assert (till.get(payment).refunded_minor, till.wallet) == (300, STARTING + 7 * CREDIT)
    assert till.payments.list_looks() == []
    till.provider.dispute(till.get(payment).provider_ref, DisputeState.OPEN, 700)
    clock.advance(2 * 86_400)
    for _ in range(2):
        look(till, payment)
    assert (till.get(payment).disputed_minor, till.wallet) == (700, STARTING)
    till.take(till.provider.event("dispute.open", till.get(payment).provider_ref))  # late after all: one effect
    assert (till.get(payment).disputed_minor, till.wallet) == (700, STARTING)
    till.provider.dispute(till.get(payment).provider_ref, DisputeState.WON, 700)
    clock.advance(4 * 86_400)
    look(till, payment)
    assert till.wallet == STARTING + 7 * CREDIT
    till.assert_sound()


def test_lost_webhooks_of_failed_refunds_are_made_up_for_however_late_the_refund_was(till, clock):
    payment = till.pay()
    clock.advance(119 * 86_400)
    look(till, payment)
    till.provider.refund(till.get(payment).provider_ref, 300, "ref_elsewhere")
    clock.advance(86_401)
    look(till, payment)
    assert till.wallet == STARTING + 7 * CREDIT
    till.provider.fail_refund(till.get(payment).provider_ref, "ref_elsewhere")
    clock.advance(30 * 86_400)
    for _ in range(2):
        look(till, payment)
    assert (till.get(payment).refunded_minor, till.wallet) == (0, STARTING + 10 * CREDIT)
    assert till.titles[-1] == "A refund did not reach you"
    till.assert_sound()


def test_payments_are_asked_about_less_and_less_and_not_for_ever(till, clock):
    payment, asked = till.pay(), []
    for day in range(1, 140):
        clock.advance(86_400)
        for payment_id in till.payments.list_looks():
            till.payments.look(payment_id)
            asked.append(day)
    assert asked == [1, 3, 7, 14, 30, 60, 90, 120]
    assert till.get(payment).state == PaymentState.SUCCEEDED


def test_a_provider_that_is_away_is_asked_again_within_the_hour(till, clock, monkeypatch):
    payment = till.pay()
    clock.advance(86_401)
    with monkeypatch.context() as patch:
        patch.setattr(till.provider, "read_history", away)
        with pytest.raises(ProviderUnavailableError):
            till.payments.look(payment.id)
    till.provider.refund(till.get(payment).provider_ref, 1000, "ref_elsewhere")
    clock.advance(3_601)
    look(till, payment)
    assert till.wallet == STARTING


def away(*_):
    raise ProviderAway("away")


def test_what_nobody_pays_is_cancelled_after_a_day(till, clock):
    payment = till.start(10)
    clock.advance((GIVE_UP + timedelta(hours=1)).total_seconds())
    till.payments.look(payment.id)
    assert till.get(payment).state == PaymentState.CANCELLED
    assert till.payments.list_looks() == []
    with pytest.raises(ConflictError):
        till.press(payment)


def test_without_a_provider_nothing_can_be_paid(till):
    till.payments.provider = None
    assert not till.payments.is_set_up
    with pytest.raises(ConflictError):
        till.start(10)
    with pytest.raises(NotFoundError):
        till.payments.take_event("test", b"{}", {})


# -- what follows -------------------------------------------------------------------------------


def test_a_payment_starts_again_what_credits_had_stopped(cloud, alice, project):
    cloud.set_wallet(alice, 205_000)
    vm = cloud.launch(alice, project, size="size_large")
    cloud.live(4000, step=20)
    assert cloud.vm(vm).state == "stopped"
    Till(cloud.container, alice).pay(10)
    cloud.land()
    assert cloud.vm(vm).state == "running"
    cloud.assert_sound()


@pytest.fixture
def project(cloud, alice):
    return cloud.project(alice)
