"""A full disk or a crash at each statement in turn: nothing twice, nothing lost, the rerun as if undisturbed."""

import sqlite3
from datetime import UTC, datetime
from itertools import count

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

from tests.services.billing_world import World, sqlite_copy
from zentry_web.adapters.clock import ManualClock
from zentry_web.models import DbAccount, DbCharge, DbHold, DbTransfer, DbUsageInterval, DbUsageMonth
from zentry_web.services.base_service import Core

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

START = datetime(2026, 11, 30, 22, 40, 30, tzinfo=UTC)


class Fault:
    """Lets the database fail at the n-th thing it is asked within a write transaction, the commit included."""

    def __init__(self, engine):
        self.countdown = 0
        event.listen(engine, "before_cursor_execute", self._statement)
        event.listen(engine, "commit", self._commit)

    def _statement(self, _connection, _cursor, statement, *_rest):
        if not statement.startswith("BEGIN"):
            self._count(statement)

    def _commit(self, _connection):
        self._count("COMMIT")

    def _count(self, statement):
        self.countdown -= 1
        if self.countdown == 0:
            raise OperationalError(statement, None, sqlite3.OperationalError("database or disk is full"))


@pytest.fixture
def make(migrated_sqlite, tmp_path):
    """Makes the same world again and again, of two people: alice can pay for everything, bob only for a part."""
    folders = count()

    def on(template):
        folder = tmp_path / str(next(folders))
        folder.mkdir()
        return World(Core(sqlite_copy(template, folder), ManualClock(START)))

    first = on(migrated_sqlite)
    first.person("alice", zone="Asia/Kolkata")
    first.person("bob", credits=17_000)
    vms = [first.vm(), first.vm(size="micro"), first.vm("bob"), first.vm("bob")]
    for vm in vms:
        first.start(vm)
    first.database.dispose()

    def build():
        world = on(tmp_path / "0")
        world.vms = vms
        world.pass_time(hours=2, minutes=45)
        return world

    return build


def work_of(world):
    """What may be interrupted, each by its name."""
    return {
        "settle": world.settle,
        "renew": world.billing.runs.renew_holds,
        "post": lambda: world.billing.add_credits("bob", 1_000, "gift", idempotency_key="gift"),
        "close": lambda: world.stop(world.vms[0]),
        "delete": lambda: world.delete(world.vms[2]),
    }


def picture(world):
    """Everything about money but ids, moments of making, and in which order wallets were served."""
    charges = select(DbCharge.vm_id, DbCharge.from_at, DbCharge.kind, DbCharge.to_at, DbCharge.seconds, DbCharge.amount)
    months = select(DbUsageMonth.vm_id, DbUsageMonth.month, DbUsageMonth.state, DbUsageMonth.seconds)
    intervals = select(DbUsageInterval.vm_id, DbUsageInterval.start_at, DbUsageInterval.settled_until)
    return [
        sorted(map(tuple, world.rows(query)), key=repr)
        for query in (
            select(DbAccount.id, DbAccount.balance, DbAccount.last_seq),
            charges,
            months.add_columns(DbUsageMonth.amount),
            intervals.add_columns(DbUsageInterval.end_at, DbUsageInterval.settled),
            select(DbHold.vm_id, DbHold.remaining, DbHold.paid_until, DbHold.closed_at),
            select(DbTransfer.owner_id, DbTransfer.kind, DbTransfer.reason, DbTransfer.vm_id),
        )
    ]


@pytest.mark.parametrize("name", ["settle", "renew", "post", "close", "delete"])
def test_a_fault_at_any_statement_changes_nothing_in_the_end(make, name):
    world = make()
    before = picture(world)
    work_of(world)[name]()
    expected = picture(world)
    assert expected != before
    world.database.dispose()
    failed = 0
    while True:
        world = make()
        assert picture(world) == before
        fault = Fault(world.database.engine)
        fault.countdown = failed + 1
        try:
            work_of(world)[name]()
        except OperationalError:
            fault.countdown = 0
            failed += 1
            assert world.breaches() == []
            work_of(world)[name]()
            assert picture(world) == expected
            assert world.breaches() == []
            world.database.dispose()
        else:
            assert fault.countdown > 0
            fault.countdown = 0
            break
    assert picture(world) == expected
    world.database.dispose()
    assert failed >= 5
