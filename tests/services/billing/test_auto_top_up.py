"""Automatic top-up: at most once an hour, never beyond the month's ceiling, off after a decline, nobody pays twice."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.services.payment_world import CREDIT, STARTING, Till
from tests.services.people import acting
from zentry_web.adapters.payments.base import ProviderAway
from zentry_web.domain.credits.payments import AutoTopUp, PaymentState
from zentry_web.services.errors import ConflictError, NotFoundError, ValidationError
from zentry_web.worker.paying import Cashier

pytestmark = pytest.mark.integration

HOUR = 3600


@pytest.fixture
def till(container, alice):
    return Till(container, alice)


def switch_on(till, card="4242", **more):
    """On: below 5 credits add 20, at most 50 a month. The wallet has 6 credits."""
    wanted = AutoTopUp(
        enabled=True, threshold_micro=5 * CREDIT, amount_micro=20 * CREDIT, ceiling_micro=50 * CREDIT,
        method_id=till.kept(card).id,
    )  # fmt: skip
    till.billing.auto_top_ups.set_settings(till.user.id, replace(wanted, **more), actor=till.me)


def settings_of(till):
    return till.billing.auto_top_ups.get_settings(till.user.id)


def go_round(till):
    Cashier(till.billing).run()


def automatic(till):
    return [each for each in till.payments.list_payments(till.user.id) if each.is_automatic]


def test_a_low_balance_is_topped_up(till):
    switch_on(till)
    go_round(till)
    assert automatic(till) == []
    till.spend(2 * CREDIT)
    go_round(till)
    (payment,) = automatic(till)
    assert (payment.state, payment.method_label) == (PaymentState.SUCCEEDED, "Test card •••• 4242")
    assert till.wallet == 24 * CREDIT
    assert "Payment received: 20.00 EUR for 20.00 credits" in till.titles
    till.assert_sound()


def test_at_most_once_an_hour(till, clock):
    switch_on(till, amount_micro=2 * CREDIT, threshold_micro=50 * CREDIT)
    for _ in range(3):
        go_round(till)
    clock.advance(HOUR - 1)
    go_round(till)
    assert len(automatic(till)) == 1
    clock.advance(1)
    go_round(till)
    assert len(automatic(till)) == 2


def test_never_beyond_the_ceiling_of_the_account_s_month(till, container, clock):
    container.get_auth_service().update_profile(
        till.user.id, {"name": "Alice", "email": till.user.email, "time_zone": "Pacific/Auckland"}, actor=till.me
    )  # fmt: skip
    clock.set(datetime(2026, 11, 30, 8, 0, tzinfo=UTC))  # December begins there at 11:00
    switch_on(till, threshold_micro=900 * CREDIT)
    for _ in range(2):
        go_round(till)
        clock.advance(HOUR)
    go_round(till)
    assert len(automatic(till)) == 2
    assert till.titles.count("Automatic top-up has reached this month's ceiling") == 1
    clock.advance(HOUR - 1)
    go_round(till)
    assert len(automatic(till)) == 2
    clock.advance(1)
    go_round(till)
    assert len(automatic(till)) == 3
    assert settings_of(till).enabled


def test_off_after_a_decline_with_a_notice(till, clock):
    switch_on(till, card="0341")
    till.spend(3 * CREDIT)
    go_round(till)
    assert [each.state for each in automatic(till)] == [PaymentState.FAILED]
    assert (settings_of(till).enabled, settings_of(till).off_reason) == (False, "The card was declined.")
    assert till.titles.count("Automatic top-up is switched off") == 1
    clock.advance(2 * HOUR)
    go_round(till)
    assert len(automatic(till)) == 1
    assert till.wallet == 3 * CREDIT


def test_by_runway(cloud, alice):
    till = Till(cloud.container, alice)
    cloud.launch(alice, cloud.project(alice), size="size_large")  # 0.2 per hour of 6 credits: 30 hours
    switch_on(till, threshold_micro=0, runway_hours=24)
    go_round(till)
    assert automatic(till) == []
    cloud.clock.advance(8 * HOUR)
    go_round(till)
    assert len(automatic(till)) == 1


@pytest.mark.error
def test_two_workers_pay_once(till):
    switch_on(till)
    till.spend(3 * CREDIT)
    barrier = threading.Barrier(8)

    def attempt(_):
        barrier.wait(30)
        return till.billing.auto_top_ups.attempt(till.user.id)

    with ThreadPoolExecutor(8) as pool:
        made = [each for each in pool.map(attempt, range(8)) if each]
    assert len(made) == len(automatic(till)) == 1
    assert till.wallet == 23 * CREDIT


@pytest.mark.error
def test_a_provider_that_is_away_is_asked_again_with_the_same_key(till, clock, monkeypatch):
    switch_on(till)
    till.spend(3 * CREDIT)
    keys, charge = [], till.provider.charge_method

    def charged_but_lost(order, ref):
        keys.append(order.payment_id)
        charge(order, ref)
        raise ProviderAway("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(till.provider, "charge_method", charged_but_lost)
        go_round(till)
        clock.advance(2 * HOUR)
        go_round(till)
    assert [each.state for each in automatic(till)] == [PaymentState.CREATED]
    clock.advance(HOUR)
    go_round(till)
    assert len(set(keys)) == 1
    assert [each.state for each in automatic(till)] == [PaymentState.SUCCEEDED]
    assert till.wallet == 23 * CREDIT


@pytest.mark.error
def test_what_could_not_be_charged_for_a_day_is_never_charged(till, clock, monkeypatch):
    switch_on(till)
    till.spend(3 * CREDIT)

    def away(_order, _ref):
        raise ProviderAway("no route")

    with monkeypatch.context() as patch:
        patch.setattr(till.provider, "charge_method", away)
        go_round(till)
    clock.advance(21 * HOUR)
    go_round(till)
    assert [each.state for each in automatic(till)] == [PaymentState.FAILED]
    assert (till.wallet, settings_of(till).enabled) == (3 * CREDIT, False)


def test_removing_the_card_switches_it_off(till):
    switch_on(till)
    till.payments.remove_method(till.user.id, settings_of(till).method_id, actor=till.me)
    till.spend(5 * CREDIT)
    go_round(till)
    assert automatic(till) == []
    assert settings_of(till).off_reason == "The means of payment was removed."


@pytest.mark.error
def test_settings_that_make_no_sense(till, bob):
    switch_on(till)
    good = settings_of(till)
    wrong = [
        {"amount_micro": 0}, {"amount_micro": 1}, {"ceiling_micro": CREDIT}, {"threshold_micro": -1},
        {"runway_hours": 100_000}, {"method_id": "pm_none"}, {"method_id": ""},
    ]  # fmt: skip
    for change in wrong:
        with pytest.raises(ValidationError):
            till.billing.auto_top_ups.set_settings(till.user.id, replace(good, **change), actor=till.me)
    with pytest.raises(NotFoundError):
        till.billing.auto_top_ups.set_settings(till.user.id, good, actor=acting(bob))
    with pytest.raises(ValidationError):
        till.billing.auto_top_ups.set_settings(bob.id, good, actor=acting(bob))
    assert settings_of(till) == good
    till.payments.provider = None
    with pytest.raises(ConflictError):
        till.billing.auto_top_ups.set_settings(till.user.id, good, actor=till.me)
    go_round(till)
    assert till.wallet == STARTING + CREDIT
