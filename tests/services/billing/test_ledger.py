"""Posting to the ledger: double entry, once per key, never below zero, never changed."""

from itertools import pairwise

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DatabaseError

from tests.services.billing_world import World
from tests.services.people import ALWAYS, events_of
from zentry_web.domain.credits.billing import AccountKind, TransferKind
from zentry_web.domain.user import Actor, Role
from zentry_web.models import DbEntry, DbTransfer
from zentry_web.services.errors import (
    ConflictError,
    InsufficientCreditsError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)

pytestmark = pytest.mark.integration

ADMIN = Actor("admin_1", Role.ADMIN, proved_at=ALWAYS)
ALICE = Actor("alice", Role.USER)


@pytest.fixture
def world(core):
    found = World(core)
    found.person("alice", credits=0)
    return found


def test_a_grant_moves_credits_between_two_accounts(world):
    made = world.billing.add_credits("alice", 2_000_000, "  sorry for the outage ", actor=ADMIN)
    assert (made.kind, made.amount_micro, made.balance_after_micro) == (TransferKind.GRANT, 2_000_000, 2_000_000)
    assert (made.reason, made.actor_id) == ("sorry for the outage", "admin_1")
    entries = world.rows(select(DbEntry.account_id, DbEntry.seq, DbEntry.amount, DbEntry.balance_after))
    assert sorted(map(tuple, entries)) == [
        ("acc_grants", 1, -2_000_000, -2_000_000),
        ("wallet_alice", 1, 2_000_000, 2_000_000),
    ]


def test_a_deduction_takes_from_the_wallet(world):
    world.billing.add_credits("alice", 300, "gift")
    made = world.billing.deduct_credits("alice", 120, "gave too much", actor=ADMIN)
    assert (made.kind, made.amount_micro, made.balance_after_micro) == (TransferKind.DEDUCTION, -120, 180)
    assert world.account(AccountKind.GRANTS) == -180


def test_a_deduction_beyond_the_wallet_is_refused_with_both_figures(world):
    world.billing.add_credits("alice", 300, "gift")
    with pytest.raises(InsufficientCreditsError) as refused:
        world.billing.deduct_credits("alice", 301, "too much")
    assert refused.value.details == {"needed": 301, "available": 300, "payer": "alice"}
    assert world.wallet() == 300


def test_entries_of_an_account_are_numbered_without_gaps_and_carry_its_balance(world):
    for amount in (5, 7, 11):
        world.billing.add_credits("alice", amount, "gift")
    query = select(DbEntry.seq, DbEntry.balance_after).where(DbEntry.account_id == "wallet_alice").order_by(DbEntry.seq)
    assert [tuple(row) for row in world.rows(query)] == [(1, 5), (2, 12), (3, 23)]


@pytest.mark.asvs("2.3.3")
def test_a_refused_movement_leaves_no_gap(world):
    world.billing.add_credits("alice", 5, "gift")
    with pytest.raises(InsufficientCreditsError):
        world.billing.deduct_credits("alice", 6, "too much")
    world.billing.add_credits("alice", 7, "gift")
    assert world.breaches() == []


# -- once per key -------------------------------------------------------------------------------


def test_the_same_key_gives_the_same_transaction_and_one_effect(world):
    first = world.billing.add_credits("alice", 5, "gift", idempotency_key="form-1")
    again = world.billing.add_credits("alice", 5, "gift", idempotency_key="form-1")
    assert again == first
    assert world.wallet() == 5
    assert len(events_of(world.core, "credits.add")) == 1


@pytest.mark.parametrize(
    ("user", "amount", "reason"), [("alice", 6, "gift"), ("alice", 5, "present"), ("bob", 5, "gift")]
)
def test_the_same_key_for_something_else_is_refused(world, user, amount, reason):
    world.person("bob", credits=0)
    world.billing.add_credits("alice", 5, "gift", idempotency_key="form-1")
    with pytest.raises(ConflictError):
        world.billing.add_credits(user, amount, reason, idempotency_key="form-1")
    assert (world.wallet("alice"), world.wallet("bob")) == (5, 0)


def test_a_key_for_a_grant_is_not_good_for_a_deduction(world):
    world.billing.add_credits("alice", 5, "gift", idempotency_key="form-1")
    with pytest.raises(ConflictError):
        world.billing.deduct_credits("alice", 5, "gift", idempotency_key="form-1")


def test_starting_credits_are_given_once_ever(world):
    first = world.billing.grant_starting_credits("alice")
    assert first.amount_micro == 5_000_000
    world.billing.deduct_credits("alice", 5_000_000, "all of it")
    assert world.billing.grant_starting_credits("alice").id == first.id
    assert world.wallet() == 0


def test_no_starting_credits_when_the_setting_is_nothing(core):
    world = World(core, starting=0)
    world.person("alice", credits=0)
    assert world.billing.grant_starting_credits("alice") is None
    assert world.billing.list_transactions("alice") == []


# -- who may, and what is refused ---------------------------------------------------------------


def test_only_admins_move_credits_by_hand(world):
    for method in (world.billing.add_credits, world.billing.deduct_credits):
        with pytest.raises(PermissionDeniedError):
            method("alice", 5, "for me", actor=ALICE)


@pytest.mark.asvs("1.4.2", "15.3.5")
@pytest.mark.parametrize("amount", [0, -5, 1.0, True, "5", None, 10**15 + 1])
def test_amounts_are_whole_positive_micro_credits(world, amount):
    with pytest.raises(ValidationError) as refused:
        world.billing.add_credits("alice", amount, "gift")
    assert list(refused.value.details) == ["amount"]


@pytest.mark.parametrize("reason", ["", "   ", "x" * 501])
def test_a_movement_by_hand_needs_a_reason(world, reason):
    with pytest.raises(ValidationError) as refused:
        world.billing.deduct_credits("alice", 5, reason)
    assert list(refused.value.details) == ["description"]


def test_usage_is_not_recorded_by_hand(world):
    with pytest.raises(ValidationError):
        world.billing.record_transaction("alice", TransferKind.USAGE, 5, "a charge")


def test_credits_for_nobody_are_refused(world):
    with pytest.raises(NotFoundError):
        world.billing.add_credits("nobody", 5, "gift")


def test_a_movement_by_hand_is_audited(world):
    world.billing.add_credits("alice", 9, "gift")
    made = world.billing.deduct_credits("alice", 9, "mistake", actor=ADMIN)
    (event,) = events_of(world.core, "credits.deduct")
    assert (event.actor_id, event.owner_id, event.resource_id) == ("admin_1", "alice", made.id)
    assert event.details == {"amount": 9}


# -- lists --------------------------------------------------------------------------------------


def test_transactions_are_listed_newest_first_and_by_pages(world):
    for amount in range(1, 6):
        world.billing.add_credits("alice", amount, "gift")
    first = world.billing.list_transactions("alice", limit=3)
    rest = world.billing.list_transactions("alice", before=first[-1].id, limit=3)
    assert [made.amount_micro for made in first + rest] == [5, 4, 3, 2, 1]
    assert [made.balance_after_micro for made in first] == [15, 10, 6]


def test_what_was_set_aside_can_be_left_out_and_balances_add_up(world):
    world.billing.add_credits("alice", 100_000, "gift")
    vm = world.vm()
    world.start(vm)
    world.billing.add_credits("alice", 7, "gift")
    world.pass_time(minutes=30)
    world.stop(vm)
    every = world.billing.list_transactions("alice")
    moving = world.billing.list_transactions("alice", with_holds=False)
    kinds = {TransferKind.HOLD, TransferKind.RELEASE}
    assert {made.kind for made in every} > kinds
    assert moving == [made for made in every if made.kind not in kinds]
    assert every[0].balance_after_micro == world.wallet() + world.held()
    for newer, older in pairwise(every):
        assert newer.balance_after_micro == older.balance_after_micro + newer.amount_micro
    assert world.billing.list_transactions("alice", with_holds=False, before=moving[0].id) == moving[1:]


def test_only_oneself_and_admins_see_transactions_and_balance(world):
    stranger = Actor("charlie", Role.USER)
    for look in (world.billing.list_transactions, world.billing.get_balance, world.billing.get_usage_summary):
        look("alice", actor=ALICE)
        look("alice", actor=ADMIN)
        with pytest.raises(NotFoundError):
            look("alice", actor=stranger)


def test_system_balances_show_what_was_given_away(world):
    world.billing.add_credits("alice", 70, "gift")
    found = world.billing.books.ledger.get_system_balances(actor=ADMIN)
    assert found == {
        AccountKind.WALLET: 70,
        AccountKind.HELD: 0,
        AccountKind.GRANTS: -70,
        AccountKind.PAYMENTS: 0,
        AccountKind.REVENUE: 0,
        AccountKind.WRITE_OFF: 0,
        AccountKind.PROMOTIONS: 0,
        AccountKind.PROMO_USED: 0,
        AccountKind.EXPIRED: 0,
    }
    with pytest.raises(PermissionDeniedError):
        world.billing.books.ledger.get_system_balances(actor=ALICE)


# -- what the database itself refuses -----------------------------------------------------------


APPEND_ONLY = {
    "entry": "amount",
    "transfer": "reason",
    "charge": "amount",
    "price_version": "number",
    "event": "action",
}


@pytest.mark.asvs("16.4.2")
@pytest.mark.parametrize("change", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}"])
def test_raw_sql_cannot_change_what_was_written(world, change):
    world.billing.add_credits("alice", 10**6, "gift")
    world.start(world.vm("alice"))
    world.pass_time(hours=1)
    world.settle()
    for table, column in APPEND_ONLY.items():
        with pytest.raises(DatabaseError, match="append-only"), world.database.engine.begin() as connection:
            connection.execute(text(change.format(table, column)))


@pytest.mark.parametrize("account", ["wallet_alice", "held_alice"])
def test_raw_sql_cannot_take_a_persons_account_below_zero(world, account):
    with pytest.raises(DatabaseError, match="not_below_zero"), world.database.engine.begin() as connection:
        connection.execute(text(f"UPDATE account SET balance = -1 WHERE id = '{account}'"))


def test_the_check_of_the_database_is_an_insufficient_credits_error(world):
    with pytest.raises(InsufficientCreditsError), world.billing.transaction() as session:
        session.execute(text("UPDATE account SET balance = -1 WHERE id = 'wallet_alice'"))


def test_a_transfer_keeps_what_was_asked_for(world):
    world.billing.add_credits("alice", 5, "gift", idempotency_key="form-1")
    ((key, body),) = world.rows(select(DbTransfer.idempotency_key, DbTransfer.body_hash))
    assert key == "by-hand:form-1"
    assert len(body) == 64
