"""Tax on top-ups: kept with the payment, on receipts with numbers of their own, and given back in proportion."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from tests.services.billing_world import World
from zentry_web.domain.credits.payments import PaymentNews, PaymentState, ProviderRefund
from zentry_web.domain.credits.taxes import BuyerKind, ReceiptKind, TaxRate, TradeParty
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.user import Actor, Role
from zentry_web.models import DbPayment, DbReceipt
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError, ValidationError

pytestmark = pytest.mark.integration

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
ACME = TradeParty("Acme GmbH", "Ring 1\n10115 Berlin", "DE", "DE136695976", is_business=True)


@pytest.fixture
def world(core):
    made = World(core)
    made.clock.set(START)
    made.person()
    made.person("bob")
    made.billing.settings.change(SettingKey.SELLER_COUNTRY, "de", 0)
    made.billing.settings.change(SettingKey.SELLER_NAME, "Cloud Ltd", 0)
    return made


def add(world, country="DE", kind=BuyerKind.PERSON, points=1900, note="", at=None):
    wanted = TaxRate("", country, kind, points, "VAT" if points else "", note, at or world.clock.now())
    return world.billing.payments.taxes.add_rate(wanted)


def pay(world, owner="alice", minor=1000):
    payment = world.payment(owner, minor * 10_000, minor)
    world.hear(PaymentNews(f"ref_{payment}", payment, state=PaymentState.SUCCEEDED), f"{payment}:paid")
    return payment


def refunded(world, payment, minor):
    world.hear(PaymentNews(f"ref_{payment}", payment, refunded_minor=minor), f"{payment}:{minor}")


def receipts(world, payment, owner="alice"):
    return world.billing.payments.receipts.list_of_payment(owner, payment)


def row(world, payment):
    return world.rows(select(DbPayment.minor, DbPayment.tax_minor).where(DbPayment.id == payment))[0]


def test_tax_comes_on_top_and_credits_are_worth_the_net(world):
    add(world)
    before = world.wallet()
    payment = pay(world)
    assert tuple(row(world, payment)) == (1190, 190)
    assert world.wallet() - before == 10_000_000
    (receipt,) = receipts(world, payment)
    assert (receipt.full_number, receipt.gross) == ("R-2026-000001", "11.90 EUR")
    assert (receipt.seller.name, receipt.tax.name, receipt.tax.net_minor) == ("Cloud Ltd", "VAT 19 %", 1000)
    assert world.breaches() == []


def test_without_a_row_there_is_no_tax_but_a_receipt(world):
    payment = pay(world)
    (receipt,) = receipts(world, payment)
    assert (tuple(row(world, payment)), receipt.tax.is_due) == ((1000, 0), False)


def test_what_was_worked_out_is_kept(world):
    add(world)
    world.billing.parties.set_details("alice", replace(ACME, is_business=False, vat_number=""))
    payment = world.payment("alice", 10_000_000, 1000)
    add(world, points=700)
    world.billing.parties.set_details("alice", ACME)
    world.hear(PaymentNews("ref", payment, state=PaymentState.SUCCEEDED), "paid")
    (receipt,) = receipts(world, payment)
    assert (receipt.tax.tax_minor, receipt.tax.buyer.is_business) == (190, False)


def test_reverse_charge_is_a_row_of_the_operators(world):
    add(world, kind=BuyerKind.BUSINESS)
    add(world, kind=BuyerKind.REGISTERED, points=0, note="Reverse charge")
    world.billing.parties.set_details("alice", ACME)
    (receipt,) = receipts(world, pay(world))
    assert (receipt.tax.tax_minor, receipt.tax.note, receipt.tax.buyer) == (0, "Reverse charge", ACME)
    world.billing.parties.set_details("alice", replace(ACME, vat_number=""))
    assert receipts(world, pay(world))[0].tax.tax_minor == 190


def test_credit_notes_give_tax_back_in_proportion(world):
    add(world)
    payment = pay(world, minor=333)  # 63 of tax
    refunded(world, payment, 100)
    refunded(world, payment, 100)
    refunded(world, payment, 396)
    receipt, *notes = receipts(world, payment)
    assert [note.full_number for note in notes] == ["C-2026-000001", "C-2026-000002"]
    assert {note.of for note in notes} == {receipt.full_number}
    assert [note.tax.tax_minor for note in notes] == [15, 48]
    assert [note.tax.gross_minor for note in notes] == [100, 296]
    assert world.breaches() == []


def test_a_refund_that_comes_back_is_a_note_below_zero(world):
    add(world)
    payment = pay(world)
    one = ProviderRefund("re_1", 595, False)
    world.hear(PaymentNews(f"ref_{payment}", payment, refunds=(one,)), "refund")
    world.hear(PaymentNews(f"ref_{payment}", payment, refunds=(replace(one, has_failed=True),)), "failed")
    assert [note.tax.tax_minor for note in receipts(world, payment)[1:]] == [95, -95]
    assert world.breaches() == []


def test_a_payment_refunded_before_it_was_heard_of_has_both(world):
    add(world)
    payment = world.payment("alice", 10_000_000, 1000)
    refunded(world, payment, 119)
    assert receipts(world, payment) == []
    world.hear(PaymentNews(f"ref_{payment}", payment, state=PaymentState.SUCCEEDED), "paid")
    assert [each.tax.tax_minor for each in receipts(world, payment)] == [190, 19]
    assert world.breaches() == []


def test_a_payment_from_before_taxes_is_readable(world):
    payment = world.payment("alice", 10_000_000, 1000)
    world.damage("UPDATE payment SET tax = NULL")
    assert world.billing.payments.get_payment("alice", payment).tax is None
    world.hear(PaymentNews("ref", payment, state=PaymentState.SUCCEEDED), "paid")
    assert receipts(world, payment)[0].tax.tax_minor == 0


def test_numbers_have_no_gap_when_many_pay_at_once(world):
    add(world)
    payments = [world.payment(owner, 10_000_000, 1000) for owner in ("alice", "bob") * 4]

    def hear(payment):
        world.hear(PaymentNews(f"ref_{payment}", payment, state=PaymentState.SUCCEEDED), f"{payment}:paid")
        refunded(world, payment, 595)

    threads = [threading.Thread(target=hear, args=(payment,)) for payment in payments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = world.rows(select(DbReceipt.kind, DbReceipt.number).order_by(DbReceipt.kind, DbReceipt.number))
    assert [tuple(each) for each in found] == [
        (kind, number) for kind in (ReceiptKind.CREDIT_NOTE, ReceiptKind.RECEIPT) for number in range(1, 9)
    ]
    assert world.breaches() == []


def test_each_year_begins_with_one(world):
    pay(world)
    world.pass_time(days=60)
    assert receipts(world, pay(world))[0].full_number == "R-2027-000001"
    assert world.breaches() == []


def test_sums_by_month_country_and_rate(world):
    add(world)
    refunded(world, pay(world), 595)
    world.pass_time(days=10)
    pay(world, "bob", 200)
    sums = world.billing.payments.receipts.sums(START - timedelta(days=30), START + timedelta(days=30))
    assert [
        (each.month, each.country, each.receipts, each.credit_notes, each.net_minor, each.tax_minor) for each in sums
    ] == [
        ("2026-11", "DE", 1, 1, 500, 95), ("2026-12", "DE", 1, 0, 200, 38),
    ]  # fmt: skip
    with pytest.raises(PermissionDeniedError):
        world.billing.payments.receipts.sums(START, START, actor=Actor("alice", Role.USER))


@given(st.integers(100, 5_000), st.lists(st.integers(1, 6_000), max_size=5))
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_refunds_add_up(world, minor, parts):
    if not world.billing.payments.taxes.list_rates():
        add(world, points=1955)
    payment = pay(world, minor=minor)
    for part in parts:
        refunded(world, payment, part)
    receipt, *notes = receipts(world, payment)
    back = min(max(parts, default=0), receipt.tax.gross_minor)
    assert sum(note.tax.gross_minor for note in notes) == back
    if back == receipt.tax.gross_minor:
        assert sum(note.tax.tax_minor for note in notes) == receipt.tax.tax_minor
    assert [each for each in world.breaches() if each.startswith("L18")] == []


def test_rates_are_checked_and_only_those_to_come_are_removed(world):
    for wrong, field in (
        ({"country": "ZZ"}, "country"), ({"points": 10_001}, "basis_points"), ({"points": -1}, "basis_points"),
        ({"at": START - timedelta(days=9)}, "valid_from"), ({"note": "x" * 201}, "note"),
    ):  # fmt: skip
        with pytest.raises(ValidationError) as refused:
            add(world, **wrong)
        assert set(refused.value.details) == {field}
    taxes = world.billing.payments.taxes
    later = add(world, at=START + timedelta(days=2))
    assert taxes.tax_on("alice", 1000).tax_minor == 0
    taxes.remove_rate(later.id)
    assert taxes.list_rates() == []
    with pytest.raises(ConflictError):
        taxes.remove_rate(add(world).id)
    with pytest.raises(NotFoundError):
        taxes.get_rate("tax_none")
    with pytest.raises(PermissionDeniedError):
        taxes.list_rates(actor=Actor("alice", Role.USER))


def test_details_are_checked_and_are_ones_own(world):
    parties = world.billing.parties
    for wrong, field in (
        ({"vat_number": "DE1"}, "vat_number"), ({"country": "ZZ"}, "country"), ({"is_business": False}, "vat_number"),
        ({"country": ""}, "country"), ({"name": "a\nb"}, "name"), ({"address": "x" * 501}, "address"),
    ):  # fmt: skip
        with pytest.raises(ValidationError) as refused:
            parties.set_details("alice", replace(ACME, **wrong))
        assert field in refused.value.details
    with pytest.raises(NotFoundError):
        parties.get_details("alice", actor=Actor("bob", Role.USER))
    assert parties.set_details("alice", ACME, actor=Actor("alice", Role.USER)) == parties.get_details("alice") == ACME
    assert parties.get_seller() == TradeParty("Cloud Ltd", "", "DE", "", is_business=True)
