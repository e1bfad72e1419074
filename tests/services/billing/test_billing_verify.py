"""``verify``: quiet on a ledger with a history, and each check sees the damage it is there for."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from tests.services.billing_world import World
from zentry_web.adapters.database import Database, make_engine
from zentry_web.domain.credits.payments import PaymentNews, PaymentState
from zentry_web.domain.credits.voucher import VoucherDraft
from zentry_web.domain.user import SYSTEM
from zentry_web.services.base_service import Core

pytestmark = pytest.mark.integration

FIRST_USAGE = "(SELECT id FROM transfer WHERE kind = 'usage' ORDER BY seq LIMIT 1)"
FIRST_CHARGE = "interval_id = (SELECT MIN(interval_id) FROM charge WHERE kind = 'usage' AND seconds = 3600)"
OPEN_RUN = "(SELECT id FROM usage_interval WHERE end_at IS NULL AND state = 'running')"
RUNNING_VM = "(SELECT vm_id FROM usage_interval WHERE end_at IS NULL AND state = 'running')"
STOPPED_VM = "(SELECT MIN(vm_id) FROM usage_interval WHERE end_at IS NULL AND state = 'stopped')"

DAMAGES = {
    "an entry's amount": ("L1", "UPDATE entry SET amount = amount + 1 WHERE account_id = 'acc_revenue' AND seq = 1"),
    "an entry lost": ("L1", "DELETE FROM entry WHERE account_id = 'acc_revenue' AND seq = 2"),
    "a balance": ("L2", "UPDATE account SET balance = balance + 1 WHERE id = 'wallet_alice'"),
    "a balance after": (
        "L2",
        "UPDATE entry SET balance_after = balance_after + 1 WHERE account_id = 'wallet_alice' AND seq = 2",
    ),
    "a gap in the numbers": ("L2", "UPDATE entry SET seq = seq + 100 WHERE account_id = 'wallet_alice' AND seq > 2"),
    "the last number": ("L2", "UPDATE account SET last_seq = last_seq + 1 WHERE id = 'wallet_alice'"),
    "a past below zero": ("L3", "UPDATE entry SET balance_after = -1 WHERE account_id = 'held_alice' AND seq = 1"),
    "a transfer without effect": ("L15", f"DELETE FROM entry WHERE transfer_id = {FIRST_USAGE}"),
    "a forgotten request": ("L15", f"UPDATE transfer SET body_hash = '' WHERE id = {FIRST_USAGE}"),
    "a charge lost": ("L8", f"DELETE FROM charge WHERE kind = 'usage' AND {FIRST_CHARGE}"),
    "a charge of other seconds": (
        "L8",
        f"UPDATE charge SET seconds = seconds - 1 WHERE kind = 'usage' AND {FIRST_CHARGE}",
    ),
    "seconds charged twice": ("L8", f"UPDATE charge SET to_at = to_at + 5, seconds = seconds + 5 WHERE {FIRST_CHARGE}"),
    "an end not reached": ("L8", "UPDATE usage_interval SET end_at = end_at + 60 WHERE settled"),
    "closed but not settled": ("L8", "UPDATE usage_interval SET settled = (1 = 0) WHERE settled"),
    "intervals that overlap": (
        "L8",
        "UPDATE usage_interval SET start_at = start_at - 7 WHERE end_at IS NULL AND state = 'stopped'",
    ),
    "a minimum too long": ("L8", "UPDATE charge SET seconds = seconds + 1 WHERE kind = 'minimum'"),
    "a minimum forgotten": ("L8", "DELETE FROM charge WHERE kind = 'minimum'"),
    "a dearer charge": ("L13", f"UPDATE charge SET amount = amount + 1 WHERE {FIRST_CHARGE}"),
    "another rate": (
        "L13",
        f"UPDATE usage_interval SET rate_micro_per_hour = rate_micro_per_hour + 1 WHERE id = {OPEN_RUN}",
    ),
    "a price changed afterwards": (
        "L13",
        "UPDATE price_version SET running_micro_per_hour = 7 WHERE id = 'price_nano_1'",
    ),
    "a disk price changed": ("L13", "UPDATE price_version SET disk_micro_per_gib_hour = 70 WHERE id = 'price_nano_1'"),
    "a price left out": ("L13", "UPDATE price_version SET number = 3 WHERE id = 'price_large_1'"),
    "a cut at no hour": ("L13", "UPDATE charge SET to_at = to_at - 60 WHERE to_at % 3600 = 0"),
    "no cut at the hour": ("L13", f"UPDATE charge SET to_at = to_at + 60 WHERE {FIRST_CHARGE}"),
    "a sum of a month": ("L13", "UPDATE usage_month SET amount = amount + 1 WHERE state = 'running'"),
    "a project's month": ("L13", "UPDATE project_month SET amount = amount + 1"),
    "a month forgotten": ("L13", "DELETE FROM usage_month WHERE state = 'stopped'"),
    "a running VM unheld": ("L14", f"UPDATE hold SET interval_id = NULL WHERE interval_id = {OPEN_RUN}"),
    "a hold after the end": ("L14", f"UPDATE hold SET closed_at = NULL WHERE vm_id = {STOPPED_VM}"),
    "a hold for no start": ("L14", f"UPDATE hold SET closed_at = NULL, interval_id = NULL WHERE vm_id = {STOPPED_VM}"),
    "a deleted VM that runs": ("L14", f"UPDATE vm SET state = 'deleted' WHERE id = {RUNNING_VM}"),
    "starting credits twice": (
        "L15",
        "UPDATE transfer SET idempotency_key = 'starting:' || id WHERE kind = 'grant' AND owner_id = 'alice'",
    ),
    "a grant to another": ("L15", "UPDATE transfer SET owner_id = 'bob' WHERE kind = 'grant' AND owner_id = 'alice'"),
    "a voucher used more often": ("L15", "UPDATE voucher SET uses = 9, used = 2"),
    "a redemption lost": ("L15", "DELETE FROM voucher_redemption"),
    "a voucher of another value": ("L15", "UPDATE voucher SET value = value + 1"),
    "a voucher for another": ("L15", "UPDATE transfer SET owner_id = 'bob' WHERE kind = 'voucher'"),
    "a hold of another size": ("L14", f"UPDATE hold SET remaining = remaining + 1 WHERE interval_id = {OPEN_RUN}"),
}


def history(world):
    """Two people, VMs that ran, stopped, ran short, went unpaid and still run, over a month's end in Kolkata."""
    world.clock.set(datetime(2026, 11, 30, 15, 10, tzinfo=UTC))
    world.person("alice", zone="Asia/Kolkata")
    world.billing.grant_starting_credits("alice")
    world.person("bob", credits=20_000)
    (voucher,) = world.billing.vouchers.create(VoucherDraft(50_000, uses=2))
    world.billing.vouchers.redeem("alice", voucher.code)
    stopped, running, short, poor = world.vm(), world.vm(size="micro"), world.vm(), world.vm("bob", size="micro")
    world.start(stopped)
    world.start(running)
    world.start(poor)
    world.pass_time(hours=2, seconds=7)
    world.settle()
    world.billing.runs.renew_holds()
    world.stop(stopped)
    world.start(short)
    world.pass_time(seconds=22)
    world.delete(short)
    world.pass_time(hours=3)
    world.settle()
    world.billing.runs.renew_holds()
    world.delete(poor)
    return world


@pytest.fixture
def damaged(core):
    return history(World(core))


def failing(world):
    return {check.id for check in world.billing.verify() if not check.ok}


def test_a_ledger_with_a_history_is_in_order(damaged):
    assert damaged.breaches() == []
    checks = damaged.billing.verify()
    assert [check.id for check in checks] == [f"L{number}" for number in range(1, 19)]
    by_test = {check.id for check in checks if check.detail == "by test only"}
    assert by_test == {"L5", "L6", "L7", "L9", "L10", "L11"} == {check.id for check in checks if not check.live}
    assert all(check.title and check.detail and check.milliseconds >= 0 for check in checks)


def test_each_check_sees_its_damage(core):
    """One database, each damage undone by a rollback: verify looks from inside the damaging transaction."""
    world = history(World(core))
    world.damage()
    missed = []
    for name, (check_id, statement) in DAMAGES.items():
        with world.database.writing() as session:
            assert session.execute(text(statement)).rowcount > 0, name
            session.info["read_only"] = True
            token = world.database.open_session.set(session)
            found = {check.id for check in world.billing.verify() if not check.ok}
            world.database.open_session.reset(token)
            session.rollback()
        if check_id not in found:
            missed.append(f"{name}: {check_id} not in {found}")
    assert missed == []
    assert failing(world) == {"L4"}


def test_a_charge_that_crosses_the_month_of_its_account_is_seen(damaged):
    boundary = "(1796063400)"  # 2026-11-30 18:30 UTC, midnight in Kolkata
    damaged.damage(
        f"DELETE FROM charge WHERE from_at = {boundary}",
        "UPDATE charge SET to_at = to_at + 1800, seconds = seconds + 1800, amount = amount * 2 "
        f"WHERE to_at = {boundary}",
    )
    (check,) = [check for check in damaged.billing.verify() if check.id == "L13"]
    assert "crosses a month" in check.detail


def test_an_account_below_zero_is_seen(damaged):
    with damaged.database.engine.connect() as connection:
        if damaged.database.is_sqlite:
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        else:
            connection.execute(text("ALTER TABLE account DROP CONSTRAINT ck_account_not_below_zero"))
        connection.execute(text("UPDATE account SET balance = -5 WHERE id = 'wallet_bob'"))
        connection.commit()
    assert "L3: account wallet_bob is at -5" in damaged.breaches()


@pytest.mark.parametrize("table", ["entry", "transfer", "charge", "price_version", "event", "voucher_redemption"])
def test_a_table_without_its_guard_is_seen(sqlite_config, clock, table):
    core = Core(Database(make_engine(sqlite_config.business_url)), clock)
    with core.database.engine.begin() as connection:
        connection.execute(text(f"DROP TRIGGER {table}_no_update"))
    world = World(core)
    assert world.breaches() == [f"L4: UPDATE of {table} is not refused"]
    core.database.dispose()


def test_verify_changes_nothing(damaged):
    with damaged.database.reading() as session:
        before = session.execute(text("SELECT COUNT(*) FROM entry")).scalar()
    damaged.billing.verify()
    with damaged.database.reading() as session:
        assert session.execute(text("SELECT COUNT(*) FROM entry")).scalar() == before


# -- one damage per row that only that row sees ---------------------------------------------------

LAST_GRANT = "account_id = 'acc_grants' AND seq = (SELECT last_seq FROM account WHERE id = 'acc_grants')"
PAST = "(SELECT balance FROM account WHERE id = 'wallet_carol')"
EXACTLY = {
    "L1": (
        f"UPDATE entry SET amount = amount + 1, balance_after = balance_after + 1 WHERE {LAST_GRANT}",
        "UPDATE account SET balance = balance + 1 WHERE id = 'acc_grants'",
    ),
    "L2": ("UPDATE account SET balance = balance + 1 WHERE id = 'wallet_alice'",),
    "L3": (
        "UPDATE entry SET amount = amount - 9, balance_after = balance_after - 9 WHERE account_id = 'wallet_carol' "
        "AND seq = 1",
        "UPDATE entry SET amount = amount + 9 WHERE account_id = 'wallet_carol' AND seq = 2",
        "UPDATE entry SET amount = amount + 9, balance_after = balance_after + 9 WHERE account_id = 'acc_grants' "
        "AND transfer_id = (SELECT transfer_id FROM entry WHERE account_id = 'wallet_carol' AND seq = 1)",
        "UPDATE entry SET amount = amount - 9 WHERE account_id = 'acc_grants' "
        "AND transfer_id = (SELECT transfer_id FROM entry WHERE account_id = 'wallet_carol' AND seq = 2)",
    ),
    "L8": ("UPDATE usage_interval SET settled = (1 = 0) WHERE settled",),
    "L12": ("UPDATE statement SET credited = credited + 1, written_off = written_off - 1",),
    "L13": ("UPDATE usage_month SET amount = amount + 1 WHERE state = 'running'",),
    "L14": (f"UPDATE hold SET remaining = remaining + 1 WHERE interval_id = {OPEN_RUN}",),
    "L15": ("UPDATE transfer SET idempotency_key = 'starting:' || id WHERE kind = 'grant' AND owner_id = 'alice'",),
    "L16": (f"UPDATE vm SET credit_stopped_at = 1 WHERE id = {RUNNING_VM}",),
    "L18": ("UPDATE receipt_series SET last = last + 1",),
    "L17": ("UPDATE account SET promo = promo + 1 WHERE id = 'wallet_dora'",),
}
ALSO = {
    "a refund without its parts": ("L12", "DELETE FROM refund"),
    "more refunded than charged": ("L12", "UPDATE refund SET amount = amount + 1000000"),
    "a day's sum": ("L12", "UPDATE ledger_day SET amount = amount + 1 WHERE kind = 'grant'"),
    "a day forgotten": ("L12", "DELETE FROM ledger_day WHERE kind = 'usage'"),
    "a line of a statement": ("L12", "UPDATE statement SET charged = charged - 1, closing = closing + 1"),
    "a statement that begins elsewhere": ("L13", "UPDATE statement SET opening = opening + 1, closing = closing + 1"),
    "a charge that no statement has": ("L13", "UPDATE statement SET last_seq = 1"),
    "a promotion with more left": ("L17", "UPDATE promotion SET remaining = remaining + 1 WHERE remaining < amount"),
    "a promotion of another amount": ("L17", "UPDATE promotion SET amount = amount + 1"),
    "a receipt of another tax": ("L18", "UPDATE receipt SET tax_minor = tax_minor + 1, net_minor = net_minor - 1"),
    "a credit note lost": ("L18", "DELETE FROM receipt WHERE kind = 'credit_note'"),
    "a number left out": ("L18", "UPDATE receipt SET number = number + 1"),
    "a promotion lost": ("L17", "DELETE FROM promotion WHERE remaining = amount"),
    "a promotion of another person": ("L17", "UPDATE promotion SET owner_id = 'alice' WHERE owner_id = 'dora'"),
    "a use lost": ("L17", "DELETE FROM promotion_use"),
    "more promotional than there is": ("L17", "UPDATE account SET promo = 9000000 WHERE id = 'wallet_dora'"),
    "a wallet's promotions on what is held": ("L17", "UPDATE account SET promo = 1 WHERE id = 'held_dora'"),
    "a disk kept and charged": ("L16", f"UPDATE vm SET disk_until = 1 WHERE id = {STOPPED_VM}"),
}


@pytest.fixture
def whole(core):
    """As ``damaged``, with a closed month, a refund, daily sums, and somebody whose wallet was at nothing between."""
    world = history(World(core))
    for _ in range(40):
        world.pass_time(hours=1)
        world.settle()
        world.billing.runs.renew_holds()
    assert world.billing.statements.close_month("alice") is not None
    (interval,) = world.rows(text("SELECT interval_id FROM charge WHERE amount > 100 ORDER BY from_at LIMIT 1"))[0]
    world.billing.books.approvals.refund(f"interval:{interval}", 50, "Host down", actor=SYSTEM)
    world.pass_time(days=1)
    assert world.billing.books.totals.close_days() > 0
    world.person("carol", credits=7)
    world.billing.deduct_credits("carol", 7, "Back")
    world.billing.add_credits("carol", 7, "Again")
    world.person("dora", credits=7)
    end = world.clock.now() + timedelta(hours=3)
    world.billing.promote("dora", 9_000, "Spring", expires_at=end)
    world.billing.promote("dora", 100, "Course")
    payment = world.payment("dora", 3_000, 30)
    world.hear(PaymentNews("ref_1", payment, state=PaymentState.SUCCEEDED), "paid")
    world.hear(PaymentNews("ref_1", payment, refunded_minor=10), "refunded")
    promoted = world.vm("dora")
    world.start(promoted)
    world.pass_time(hours=1)
    world.settle()
    world.delete(promoted)
    assert world.breaches() == []
    return world


def after(world, *statements):
    """What fails when these were done behind everybody's back; undone again."""
    with world.database.writing() as session:
        for statement in statements:
            assert session.execute(text(statement)).rowcount > 0, statement
        session.info["read_only"] = True
        token = world.database.open_session.set(session)
        found = failing(world)
        world.database.open_session.reset(token)
        session.rollback()
    return found


def test_each_row_sees_its_damage_and_no_other_row_does(whole):
    whole.damage()
    assert failing(whole) == {"L4"}
    for row, statements in EXACTLY.items():
        assert after(whole, *statements) == {row, "L4"}, row
    missed = {name: found for name, (row, sql) in ALSO.items() if row not in (found := after(whole, sql))}
    assert missed == {}
    assert failing(whole) == {"L4"}


def test_nothing_waits_for_verify_and_verify_waits_for_nothing(damaged):
    with damaged.database.writing() as session:
        session.execute(text("UPDATE account SET balance = balance WHERE id = 'wallet_alice'"))
        assert damaged.billing.verify()[0].ok, "beside an open write transaction"
        session.rollback()
