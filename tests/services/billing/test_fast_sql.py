"""Many rows in one statement, on both databases; and the name of whoever keeps a write transaction open too long."""

from datetime import timedelta

import pytest
import structlog
from sqlalchemy import select
from sqlalchemy.exc import DataError

from tests.services.billing_world import World
from zentry_web.adapters.database import Database, make_engine
from zentry_web.models import DbUsageMonth
from zentry_web.services import base_service
from zentry_web.services.base_service import Core
from zentry_web.services.billing.ledger.fast_sql import insert_rows, update_rows
from zentry_web.services.billing.usage.settlement import INTERVAL, MONTH

pytestmark = pytest.mark.integration


@pytest.fixture
def world(core):
    found = World(core)
    found.person("alice")
    return found


def month(vm_id, **more):
    row = {"vm_id": vm_id, "month": "2026-11", "state": "running", "owner_id": "alice", "project_id": "p_alice"}
    return row | {"seconds": 60, "amount": 5} | more


def months(world):
    return world.rows(select(DbUsageMonth.vm_id, DbUsageMonth.seconds, DbUsageMonth.amount).order_by(MONTH.c.vm_id))


def test_rows_are_inserted_and_a_conflict_does_what_is_said(world):
    add = (
        "ON CONFLICT (vm_id, month, state, project_id, owner_id) DO UPDATE SET "
        "seconds = usage_month.seconds + excluded.seconds"
    )
    for rows in ([month("a"), month("b")], [month("b", seconds=7), month("c")], []):
        with world.billing.transaction() as session:
            insert_rows(session, MONTH, rows, on_conflict=add)
    assert [tuple(row) for row in months(world)] == [("a", 60, 5), ("b", 67, 5), ("c", 60, 5)]


def test_rows_are_changed_by_their_id_and_no_others(world):
    vms = [world.vm() for _ in range(3)]
    for vm in vms:
        world.start(vm)
    ids = [row.id for row in world.rows(select(INTERVAL.c.id).order_by(INTERVAL.c.id))]
    later = world.clock.now() + timedelta(hours=1)
    with world.billing.transaction() as session:
        changes = [{"id": each, "settled_until": later, "minimum_seconds": 5} for each in ids[:2]]
        update_rows(session, INTERVAL, changes, add=["minimum_seconds"])
        update_rows(session, INTERVAL, [])
    rows = world.rows(select(INTERVAL.c.settled_until, INTERVAL.c.minimum_seconds).order_by(INTERVAL.c.id))
    assert [tuple(row) for row in rows] == [(later, 65), (later, 65), (world.clock.now(), 60)]


@pytest.mark.real
def test_a_text_that_is_too_long_is_refused_not_cut_off(postgres_config, clock):
    world = World(Core(Database(make_engine(postgres_config.business_url)), clock))
    world.person("alice")
    with pytest.raises(DataError), world.billing.transaction() as session:
        insert_rows(session, MONTH, [month("v" * 41)])
    world.database.dispose()


def test_a_long_write_transaction_names_who_opened_it(world, monkeypatch):
    monkeypatch.setattr(base_service, "LONG_TRANSACTION_SECONDS", -1)
    with structlog.testing.capture_logs() as logs:
        world.billing.add_credits("alice", 1, "gift")
        world.start(world.vm())
    callers = [line["caller"] for line in logs if line["event"] == "long_write_transaction"]
    assert callers[0].endswith("BillingService.record_transaction < BillingService.add_credits")
    assert any(caller.startswith("World.changing < World.accept") for caller in callers)
