"""The admin's side of payments: finding them, refunds with a reason, and what a crash leaves open."""

import pytest

from tests.services.payment_world import CREDIT, STARTING, Till
from tests.services.people import acting, events_of
from zentry_web.adapters.payments.base import PaymentError, ProviderAway
from zentry_web.domain.credits.payments import DisputeState, PaymentState
from zentry_web.services.errors import (
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProviderUnavailableError,
    ValidationError,
)
from zentry_web.worker.paying import Cashier

pytestmark = pytest.mark.integration


@pytest.fixture
def till(container, alice):
    return Till(container, alice)


@pytest.fixture
def desk(till):
    return till.billing.payment_desk


@pytest.fixture
def boss(admin):
    return acting(admin)


def test_a_refund_in_parts(till, desk, boss, core):
    payment = till.pay(10)
    desk.refund(payment.id, 400, " half of it ", actor=boss)
    desk.refund(payment.id, 600, "the rest", actor=boss)
    found, events, refunds = desk.get_payment(payment.id, actor=boss)
    assert (found.refunded_minor, found.refundable_minor, till.wallet) == (1000, 0, STARTING)
    assert [(each.minor, each.reason, each.state) for each in refunds] == [
        (400, "half of it", PaymentState.SUCCEEDED),
        (600, "the rest", PaymentState.SUCCEEDED),
    ]
    assert [each.kind for each in events] == ["payment.succeeded"]
    assert [each.details["reason"] for each in events_of(core, "payment.refund")] == ["half of it", "the rest"]
    assert till.titles[1:] == ["Refunded: 4.00 EUR of your payment", "Refunded: 10.00 EUR of your payment"]
    till.assert_sound()


def test_a_refund_that_the_bank_returned_can_be_made_again(till, desk, boss, core):
    payment = till.pay(10)
    first = desk.refund(payment.id, 1000, "by mistake", actor=boss)
    event = till.provider.fail_refund(payment.provider_ref, first.id)
    for _ in range(2):
        till.take(event)
    found, events, refunds = desk.get_payment(payment.id, actor=boss)
    assert (found.refunded_minor, found.refundable_minor, till.wallet) == (0, 1000, STARTING + 10 * CREDIT)
    assert [(each.state, each.error) for each in refunds] == [(PaymentState.FAILED, "The bank returned the money.")]
    assert sorted(each.kind for each in events) == ["payment.succeeded", "refund.failed"]
    (logged,) = events_of(core, "credits.refund_failed")
    assert logged.details == {"amount": 10 * CREDIT, "not_written_off": 0}
    desk.refund(payment.id, 1000, "once more", actor=boss)
    assert (till.get(payment).refunded_minor, till.wallet) == (1000, STARTING)
    till.assert_sound()


def test_a_refund_whose_failure_is_told_before_the_answer_stays_failed(till, desk, boss, monkeypatch):
    payment, refund = till.pay(10), till.provider.refund

    def refunded(ref, minor, key):
        news = refund(ref, minor, key)
        till.take(till.provider.fail_refund(ref, key))
        return news

    monkeypatch.setattr(till.provider, "refund", refunded)
    with pytest.raises(ConflictError):
        desk.refund(payment.id, 400, "why", actor=boss)
    assert till.wallet == STARTING + 10 * CREDIT
    till.assert_sound()


@pytest.mark.error
@pytest.mark.parametrize("minor", [0, -1, 1001])
def test_an_amount_that_cannot_be_refunded(till, desk, boss, minor):
    payment = till.pay(10)
    with pytest.raises(ValidationError):
        desk.refund(payment.id, minor, "why", actor=boss)
    with pytest.raises(ValidationError):
        desk.refund(till.start(10).id, 100, "not paid yet", actor=boss)
    with pytest.raises(ValidationError):
        desk.refund(payment.id, 100, "\x00 ", actor=boss)
    with pytest.raises(ValidationError):
        desk.refund(payment.id, 100, "half\x00 of it", actor=boss)
    assert till.wallet == STARTING + 10 * CREDIT


@pytest.mark.error
def test_only_admins(till, desk):
    payment = till.pay(10)
    for call in (
        lambda: desk.refund(payment.id, 100, "mine", actor=till.me),
        lambda: desk.get_payment(payment.id, actor=till.me),
        lambda: desk.list_payments(actor=till.me),
    ):
        with pytest.raises(PermissionDeniedError):
            call()


@pytest.mark.error
def test_a_refund_whose_answer_was_lost_is_finished_once(till, desk, boss, monkeypatch):
    payment, refund = till.pay(10), till.provider.refund

    def lost(*given):
        refund(*given)
        raise ProviderAway("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(till.provider, "refund", lost)
        with pytest.raises(ProviderUnavailableError):
            desk.refund(payment.id, 700, "why", actor=boss)
        with pytest.raises(ValidationError):
            desk.refund(payment.id, 700, "again, while the first is under way", actor=boss)
    assert till.wallet == STARTING + 10 * CREDIT
    for _ in range(2):
        Cashier(till.billing).run()
    assert till.wallet == STARTING + 3 * CREDIT
    assert till.get(payment).refunded_minor == 700
    assert desk.list_open() == []


@pytest.mark.error
def test_a_refund_that_the_provider_refuses(till, desk, boss, monkeypatch):
    payment = till.pay(10)

    def refuse(*_given):
        raise PaymentError("too old")

    monkeypatch.setattr(till.provider, "refund", refuse)
    with pytest.raises(ConflictError):
        desk.refund(payment.id, 700, "why", actor=boss)
    _, _, (refund,) = desk.get_payment(payment.id, actor=boss)
    assert (refund.state, desk.list_open()) == (PaymentState.FAILED, [])
    assert till.wallet == STARTING + 10 * CREDIT


def test_finding_payments(till, desk, boss, container, bob):
    other = Till(container, bob)
    paid, waiting, disputed = till.pay(10), other.start(5), other.pay(7)
    other.take(other.provider.dispute(disputed.provider_ref, DisputeState.OPEN))
    refunded = till.pay(3)
    desk.refund(refunded.id, 300, "why", actor=boss)

    def ids(**filters):
        return {each.id for each in desk.list_payments(actor=boss, **filters)}

    assert ids() == {paid.id, waiting.id, disputed.id, refunded.id}
    assert ids(state=PaymentState.PENDING) == {waiting.id}
    assert ids(search=bob.email.upper()) == {waiting.id, disputed.id}
    assert ids(search=paid.provider_ref) == ids(search=paid.id) == {paid.id}
    assert ids(special="disputed") == {disputed.id}
    assert ids(special="refunded") == {refunded.id}
    assert ids(special="automatic") == set()
    newest = desk.list_payments(actor=boss, limit=1)[0]
    assert newest.id not in ids(before=newest.id)
    assert newest.owner_name == "Alice"
    with pytest.raises(NotFoundError):
        desk.get_payment("pay_none", actor=boss)
