"""One rule for all by which an admin creates or moves credits or money, whatever way is tried around it."""

import contextlib
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.conftest import PASSWORD, sign_up
from tests.services.payment_world import CREDIT, Till
from tests.services.people import acting, events_of
from zentry_web.domain.credits.billing import Transaction
from zentry_web.domain.credits.books import Approval
from zentry_web.domain.credits.payments import PaymentState, Refund
from zentry_web.domain.credits.voucher import VoucherDraft
from zentry_web.domain.setting import Setting, SettingKey
from zentry_web.domain.user import Actor, Role
from zentry_web.models import DbNotice, DbPaymentRefund, DbTransfer, DbUser, DbVoucher
from zentry_web.services.errors import ConflictError, ProofRequiredError, ValidationError
from zentry_web.services.shared import settings as settings_module
from zentry_web.worker.paying import Cashier

pytestmark = pytest.mark.integration

THOUSAND = 1_000 * CREDIT  # what one admin may move alone


@pytest.fixture
def billing(container):
    return container.get_billing_service()


@pytest.fixture
def boss(admin):
    return acting(admin)


@pytest.fixture
def other(container, admin):
    """Another admin, made on the command line."""
    auth = container.get_auth_service()
    return acting(auth.redeem_link(auth.create_admin("second@example.com", "Second"), PASSWORD).user)


@pytest.fixture
def puppet(container, other, bob, boss):
    """An account that the first admin has just made an admin."""
    container.get_user_service().access.change_role(bob.id, Role.ADMIN, actor=boss)
    return Actor(bob.id, Role.ADMIN, proved_at=boss.proved_at)


def decide(billing, asked, actor, agree=True):
    return billing.books.approvals.decide(asked.id, agree, actor=actor)


def number(billing, key):
    return billing.settings.number(SettingKey(key))


# -- the limit ----------------------------------------------------------------------------------


@pytest.mark.asvs("2.3.5")
@pytest.mark.parametrize("way", ["change", "reset"])
def test_raising_the_limit_waits_for_another_admin(billing, boss, other, alice, clock, way):
    change = billing.settings.change
    if way == "change":
        asked = change("approval_credits", 5 * THOUSAND, 0, actor=boss)
    else:
        assert isinstance(change("approval_credits", THOUSAND // 2, 0, actor=boss), Setting), "lowering does not"
        clock.advance(days=1, seconds=1)
        asked = billing.settings.reset("approval_credits", 1, actor=boss)
    assert isinstance(asked, Approval)
    before = number(billing, "approval_credits")
    with pytest.raises(ConflictError, match="You asked for this"):
        decide(billing, asked, boss)
    assert number(billing, "approval_credits") == before
    decide(billing, asked, other)
    assert number(billing, "approval_credits") > before
    for actor in (boss, other):  # and a day goes by before anybody has it
        assert isinstance(billing.add_credits(alice.id, before + 1, "x", actor=actor), Approval)
    clock.advance(days=1, seconds=1)
    assert isinstance(billing.add_credits(alice.id, before + 1, "y", actor=boss), Transaction)


@pytest.mark.asvs("2.3.5")
def test_whoever_has_just_become_an_admin_changes_nothing_about_money(billing, boss, puppet, alice, clock):
    for key in ("approval_credits", "starting_credits", "signups_per_hour"):
        for call in (
            lambda key=key: billing.settings.change(key, 1, 0, actor=puppet),
            lambda key=key: billing.settings.reset(key, 0, actor=puppet),
        ):
            with pytest.raises(ConflictError, match="24 hours"):
                call()
    assert isinstance(billing.settings.change("grace_days", 5, 0, actor=puppet), Setting)
    asked = billing.add_credits(alice.id, 2 * THOUSAND, "x", actor=boss)
    with pytest.raises(ConflictError, match="24 hours"):
        decide(billing, asked, puppet)
    clock.advance(days=1, seconds=1)
    assert isinstance(billing.settings.change("starting_credits", 1, 0, actor=puppet), Setting)
    decide(billing, asked, puppet)


def test_an_admin_has_not_as_many_limits_as_accounts_to_make_admins(billing, puppet, alice):
    assert isinstance(billing.add_credits(alice.id, 1, "x", actor=puppet), Approval)
    assert isinstance(billing.vouchers.create(VoucherDraft(1), actor=puppet), Approval)


def test_a_request_to_change_a_setting_is_made_once_and_not_beside_another(billing, boss, other):
    def ask(value=5 * THOUSAND, actor=boss):
        return billing.settings.change("approval_credits", value, 0, actor=actor)

    asked = ask()
    assert ask().id == asked.id
    for value, actor in ((6 * THOUSAND, boss), (5 * THOUSAND, other)):
        with pytest.raises(ConflictError, match="waits for a second admin already"):
            ask(value, actor)
    decide(billing, asked, boss, agree=False)
    assert ask().id != asked.id, "what was taken back can be asked for again"


def test_a_setting_that_was_changed_meanwhile_is_not_overwritten(billing, boss, other):
    asked = billing.settings.change("approval_credits", 5 * THOUSAND, 0, actor=boss)
    billing.settings.change("approval_credits", 10 * CREDIT, 0, actor=boss)
    with pytest.raises(ConflictError, match="changed this setting meanwhile"):
        decide(billing, asked, other)
    assert number(billing, "approval_credits") == 10 * CREDIT
    assert billing.books.approvals.get_approval(asked.id).is_open


def test_where_there_is_one_admin_settings_change_at_once_and_the_old_limit_holds_for_a_day(billing, boss, alice):
    assert isinstance(billing.settings.change("approval_credits", 5 * THOUSAND, 0, actor=boss), Setting)
    assert isinstance(billing.settings.change("starting_credits", 20 * CREDIT, 0, actor=boss), Setting)
    assert isinstance(billing.add_credits(alice.id, THOUSAND + 1, "x", actor=boss), Approval)


@pytest.mark.parametrize("way", ["disabled", "demoted"])
def test_nobody_is_the_only_admin_because_the_others_have_just_gone(container, billing, boss, other, way):
    access = container.get_user_service().access
    if way == "disabled":
        access.set_disabled(other.id, True, actor=boss)
    else:
        access.change_role(other.id, Role.USER, actor=boss)
    for key in ("approval_credits", "starting_credits"):
        assert isinstance(billing.settings.change(key, 5_000 * THOUSAND, 0, actor=boss), Approval)


# -- starting credits ---------------------------------------------------------------------------


@pytest.mark.asvs("2.3.5")
def test_starting_credits_are_weighed_by_the_sign_ups_they_would_go_to(container, billing, core, boss, other):
    change = billing.settings.change
    asked = change("starting_credits", 5_000_000 * CREDIT, 0, actor=boss)
    assert isinstance(asked, Approval)
    assert asked.what == "“Starting credits” to be 5,000,000.00 instead of 5.00"
    assert asked.move.amount_micro == 5_000_000 * CREDIT * 100 * 24
    late = sign_up(container, "late")
    assert billing.get_user_credits(late.id) == 5 * CREDIT
    assert events_of(core, "setting.change") == []
    assert isinstance(change("starting_credits", 0, 0, actor=boss), Setting)
    assert isinstance(change("signups_per_hour", 10_000, 0, actor=boss), Setting), "nobody gets anything by it"
    clashing = change("starting_credits", 1 * CREDIT, 1, actor=boss) if decide(billing, asked, boss, False) else None
    assert isinstance(clashing, Approval), "1 × 10 000 × 24"


def test_more_sign_ups_per_hour_are_more_credits(billing, boss, other):
    asked = billing.settings.change("signups_per_hour", 200, 0, actor=boss)
    assert isinstance(asked, Approval)
    decide(billing, asked, other)
    assert number(billing, "signups_per_hour") == 200
    assert isinstance(billing.settings.change("signups_per_hour", 100, 1, actor=boss), Setting)


def test_the_most_that_a_setting_can_be_is_stored_as_what_it_can_come_to(billing, boss, other):
    billing.settings.change("signups_per_hour", 10_000, 0)
    asked = billing.settings.change("starting_credits", 10**15, 0, actor=boss)
    assert asked.move.amount_micro == 10**18
    decide(billing, asked, other)
    assert number(billing, "starting_credits") == 10**15


# -- vouchers -----------------------------------------------------------------------------------


@pytest.mark.asvs("2.3.5")
def test_vouchers_are_weighed_by_value_and_number_and_uses(container, billing, boss, other, alice):
    draft = VoucherDraft(2 * CREDIT, count=500, uses=1000, note="Autumn")
    asked = billing.vouchers.create(draft, actor=boss, idempotency_key="form")
    assert isinstance(asked, Approval)
    assert asked.move.amount_micro == 1000 * THOUSAND
    assert asked.what == "500 × a voucher of 2.00 credits with 1,000 uses each"
    assert billing.vouchers.create(draft, actor=boss, idempotency_key="form").id == asked.id
    with container.database.reading() as session:
        assert session.scalars(select(DbVoucher.id)).all() == []
    for _ in range(2):
        decide(billing, asked, other)
    with container.database.reading() as session:
        made = session.scalars(select(DbVoucher)).all()
        assert len(made) == 500
        assert {(row.batch_id, row.created_by, row.uses, row.note) for row in made} == {
            (asked.batch_id, boss.id, 1000, "Autumn")
        }
    billing.vouchers.redeem(alice.id, made[0].code, actor=acting(alice))
    assert billing.get_user_credits(alice.id) == 7 * CREDIT


def test_an_approved_voucher_gives_what_it_is_worth(container, billing, boss, other, alice):
    asked = billing.vouchers.create(VoucherDraft(3 * THOUSAND), actor=boss)
    decide(billing, asked, other)
    with container.database.reading() as session:
        code = session.scalars(select(DbVoucher.code)).one()
    billing.vouchers.redeem(alice.id, code, actor=acting(alice))
    assert billing.get_user_credits(alice.id) == 3 * THOUSAND + 5 * CREDIT


def test_vouchers_whose_day_is_over_when_they_are_agreed_to_are_not_made(billing, boss, other, clock):
    end = clock.now() + timedelta(hours=1)
    asked = billing.vouchers.create(VoucherDraft(2 * THOUSAND, expires_at=end), actor=boss)
    clock.advance(hours=2)
    with pytest.raises(ValidationError, match="last day"):
        decide(billing, asked, other)
    assert billing.books.approvals.get_approval(asked.id).is_open


def test_all_vouchers_together_can_be_computed(billing, boss):
    with pytest.raises(ValidationError) as refused:
        billing.vouchers.create(VoucherDraft(1_000 * THOUSAND, count=1000, uses=2), actor=boss)
    assert "together" in refused.value.details["value_micro"]


# -- what adds up -------------------------------------------------------------------------------


@pytest.mark.asvs("2.3.5")
def test_what_one_admin_gives_adds_up_whoever_gets_it_and_by_whatever_way(billing, boss, other, alice, bob, clock):
    four = 400 * CREDIT
    assert isinstance(billing.add_credits(alice.id, four, "one", actor=boss), Transaction)
    (voucher,) = billing.vouchers.create(VoucherDraft(four), actor=boss)
    assert isinstance(billing.add_credits(bob.id, four, "two", actor=boss), Approval)
    assert isinstance(billing.vouchers.create(VoucherDraft(four), actor=boss), Approval)
    assert isinstance(billing.add_credits(bob.id, four, "two", actor=other), Transaction), "each has their own"
    billing.vouchers.revoke(voucher.id, actor=boss)
    assert isinstance(billing.add_credits(bob.id, four, "three", actor=boss), Transaction), "it gave nothing"
    assert isinstance(billing.deduct_credits(bob.id, four, "back", actor=boss), Transaction), "taking is not giving"
    clock.advance(days=1, seconds=1)
    assert isinstance(billing.add_credits(alice.id, THOUSAND, "new day", actor=boss), Transaction)


def test_what_is_asked_for_at_once_is_weighed_one_by_one(container, billing, boss, other):
    people, done = [sign_up(container, f"p{number}") for number in range(6)], []

    def give(user):
        done.append(isinstance(billing.add_credits(user.id, 300 * CREDIT, "x", actor=boss), Transaction))

    threads = [threading.Thread(target=give, args=(user,)) for user in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False] * 3 + [True] * 3


@pytest.mark.asvs("2.3.5")
def test_settings_that_multiply_are_weighed_one_by_one_when_sent_at_once(billing, boss, other, monkeypatch):
    """Each alone comes to less than the limit, both together to more: the second to be looked at waits."""
    settings = billing.settings
    settings.change("starting_credits", 1000, 0, actor=boss)
    settings.change("signups_per_hour", 1, 0, actor=boss)
    both, weigh, done = threading.Barrier(2), settings_module.comes_to, []

    def weigh_together(*asked):
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(2)
        return weigh(*asked)

    monkeypatch.setattr(settings_module, "comes_to", weigh_together)
    changes = {"starting_credits": 40 * CREDIT, "signups_per_hour": 10_000}

    def change(key):
        done.append(type(settings.change(key, changes[key], 1, actor=boss)))

    threads = [threading.Thread(target=change, args=(key,)) for key in changes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done, key=str) == [Approval, Setting]


# -- payments -----------------------------------------------------------------------------------


@pytest.fixture
def till(container, alice):
    return Till(container, alice)


@pytest.mark.asvs("2.3.5")
def test_a_large_refund_of_a_payment_waits_and_is_made_once(container, till, billing, boss, other):
    payment, desk = till.pay(2000), billing.payment_desk
    asked = desk.refund(payment.id, 150_000, "Wrong account", actor=boss, idempotency_key="k")
    assert isinstance(asked, Approval)
    assert asked.what == "a refund of 1,500.00 EUR of a payment"
    assert desk.refund(payment.id, 150_000, "Wrong account", actor=boss, idempotency_key="k").id == asked.id
    assert (till.get(payment).refunded_minor, desk.list_open()) == (0, [])
    with pytest.raises(ConflictError, match="You asked for this"):
        decide(billing, asked, boss)
    for _ in range(2):
        decide(billing, asked, other)
        Cashier(billing).run()
    assert till.get(payment).refunded_minor == 150_000
    with container.database.reading() as session:
        assert [(row.id, row.state) for row in session.scalars(select(DbPaymentRefund))] == [
            (asked.refund_id, PaymentState.SUCCEEDED)
        ]
    till.assert_sound()


def test_refunds_of_payments_add_up_and_what_was_agreed_to_does_not_count(till, billing, boss, other):
    payment, desk = till.pay(4000), billing.payment_desk
    decide(billing, desk.refund(payment.id, 110_000, "one", actor=boss), other)
    Cashier(billing).run()
    assert isinstance(desk.refund(payment.id, 60_000, "two", actor=boss), Refund)
    assert isinstance(desk.refund(payment.id, 60_000, "three", actor=boss), Approval)
    assert isinstance(desk.refund(payment.id, 40_000, "four", actor=boss), Refund)


@pytest.mark.asvs("2.3.5")
def test_one_s_own_payment_is_given_back_by_another_admin(container, billing, admin, boss, other):
    own = Till(container, admin)
    payment = own.pay(10)
    asked = billing.payment_desk.refund(payment.id, 100, "mine", actor=boss)
    assert isinstance(asked, Approval)
    with container.database.reading() as session:
        told = session.scalars(select(DbNotice.title).where(DbNotice.user_id == other.id)).all()
    assert "Admin asks for a refund of 1.00 EUR of a payment" in told
    decide(billing, asked, other)
    Cashier(billing).run()
    assert own.get(payment).refunded_minor == 100


def test_where_there_is_one_admin_they_may_give_their_own_payment_back(container, billing, admin, boss):
    payment = Till(container, admin).pay(10)
    assert isinstance(billing.payment_desk.refund(payment.id, 100, "mine", actor=boss), Refund)


def test_a_refund_that_cannot_be_made_is_not_asked_for_and_one_that_cannot_any_more_waits(till, billing, boss, other):
    payment, desk = till.pay(2000), billing.payment_desk
    with pytest.raises(ValidationError, match="At most"):
        desk.refund(payment.id, 200_001, "too much", actor=boss)
    asked = desk.refund(payment.id, 150_000, "why", actor=boss)
    desk.refund(payment.id, 90_000, "sooner", actor=other)
    with pytest.raises(ValidationError, match="At most"):
        decide(billing, asked, other)
    assert billing.books.approvals.get_approval(asked.id).is_open


# -- proof --------------------------------------------------------------------------------------


@pytest.mark.asvs("7.5.3")
def test_whatever_moves_credits_or_money_takes_a_fresh_proof(container, till, billing, boss, alice):
    payment, stale = till.pay(10), replace(boss, proved_at=None)
    before = till.wallet
    for call in (
        lambda: billing.add_credits(alice.id, 1, "x", actor=stale),
        lambda: billing.deduct_credits(alice.id, 1, "x", actor=stale),
        lambda: billing.vouchers.create(VoucherDraft(1), actor=stale),
        lambda: billing.payment_desk.refund(payment.id, 1, "x", actor=stale),
        lambda: billing.settings.change("signups_per_hour", 1, 0, actor=stale),
    ):
        with pytest.raises(ProofRequiredError):
            call()
    with container.database.reading() as session:
        assert session.scalars(select(DbTransfer.id).where(DbTransfer.actor_id == boss.id)).all() == []
        assert session.scalars(select(DbVoucher.id)).all() == []
        assert session.get(DbUser, alice.id) is not None
    assert till.wallet == before
