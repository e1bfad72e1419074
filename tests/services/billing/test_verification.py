"""The worker's hourly checks: one an hour whoever runs them, kept, told once per breach; L16 by what a worker saw."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from tests.services.billing_world import World
from zentry_web.domain.credits.books import VerifyRun
from zentry_web.domain.user import Role
from zentry_web.models import DbComputeStatus, DbHeartbeat, DbNotice, DbUser, DbVerifyRun, DbVM
from zentry_web.services.billing.books import verification

pytestmark = pytest.mark.integration


@pytest.fixture
def world(core):
    made = World(core)
    for name in ("grace", "ada", "alice"):
        made.person(name)
    with made.billing.transaction() as session:
        for row in session.scalars(select(DbUser).where(DbUser.id.in_(("grace", "ada")))):
            row.role = Role.ADMIN
    return made


def runs(world):
    return [row[0] for row in world.rows(select(DbVerifyRun).order_by(DbVerifyRun.at))]


def notices(world):
    query = select(DbNotice.user_id, DbNotice.title, DbNotice.body).where(DbNotice.kind == "verify")
    return world.rows(query.order_by(DbNotice.at, DbNotice.user_id))


def test_an_hour_has_one_run(world):
    checks = world.billing.books.verification
    assert checks.get_latest() is None
    run = checks.run_hourly()
    assert (run.ok, len(run.lines), run.at) == (True, 18, world.clock.now())
    assert checks.run_hourly() is None
    assert checks.get_latest() == run
    world.pass_time(hours=1)
    assert checks.run_hourly().id != run.id
    assert (len(runs(world)), notices(world)) == (2, [])


def test_two_workers_at_once_keep_one_run(world):
    world.damage("UPDATE account SET balance = balance + 1 WHERE id = 'wallet_alice'")
    threads = [threading.Thread(target=world.billing.books.verification.run_hourly) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(runs(world)) == 1
    assert len(notices(world)) == 2, "one per admin"


def test_admins_are_told_once_per_breach(world):
    world.damage()
    checks = world.billing.books.verification
    for _ in range(3):
        checks.run_hourly()
        world.pass_time(hours=1)
    assert [(row.user_id, row.title) for row in notices(world)] == [
        ("ada", "The books do not agree: L4"), ("grace", "The books do not agree: L4"),
    ]  # fmt: skip
    world.damage("UPDATE account SET balance = balance + 1 WHERE id = 'wallet_alice'")
    checks.run_hourly()
    assert notices(world)[-1].title == "The books do not agree: L2"
    assert "wallet_alice" in notices(world)[-1].body
    world.damage("UPDATE account SET balance = balance - 1 WHERE id = 'wallet_alice'")
    world.pass_time(hours=1)
    checks.run_hourly()
    world.damage("UPDATE account SET balance = balance + 1 WHERE id = 'wallet_alice'")
    world.pass_time(hours=1)
    checks.run_hourly()
    assert len(notices(world)) == 6, "mended and broken again: told again"


def test_only_the_last_runs_are_kept(world, monkeypatch):
    monkeypatch.setattr(verification, "KEPT_RUNS", 3)
    for _ in range(5):
        world.pass_time(hours=1)
        world.billing.books.verification.run_hourly()
    assert len(runs(world)) == 3
    assert runs(world)[-1].id == world.billing.books.verification.get_latest().id


def test_a_run_is_stale_after_two_hours(world):
    now = world.clock.now()
    run = VerifyRun("verify_1", now, 1, True, ())
    assert not run.is_stale(now + timedelta(hours=2))
    assert run.is_stale(now + timedelta(hours=2, seconds=1))


def test_every_statement_has_its_turn_within_a_week(world, monkeypatch):
    world.clock.set(world.clock.now() + timedelta(days=30))
    for name in ("grace", "ada", "alice"):
        assert world.billing.statements.close_month(name)
    seen = []
    replays = world.billing.statements.replays
    monkeypatch.setattr(world.billing.statements, "replays", lambda each: seen.append(each.number) or replays(each))
    for _ in range(verification.WEEK):
        world.pass_time(hours=1)
        world.billing.books.verification.check()
    assert sorted(seen) == [1, 2, 3]


# -- L16: what a worker has looked at -------------------------------------------------------------


def beat(world, loop, **ago):
    """A worker's loop ended a round so long ago."""
    with world.billing.transaction() as session:
        session.merge(
            DbHeartbeat(worker="w", loop=loop, at=world.clock.now() - timedelta(**ago), milliseconds=1, error="")
        )
        session.merge(
            DbComputeStatus(
                driver="simulator", simulated=True, ok=True, detail="", answered_at=world.clock.now(),
                checked_at=world.clock.now(), images=[], capacity={},
            )
        )  # fmt: skip


def waiting(world):
    """A VM that credits stopped ten minutes ago, although there are plenty."""
    vm = world.vm()
    with world.billing.transaction() as session:
        session.get(DbVM, vm.vm_id).credit_stopped_at = world.clock.now() - timedelta(minutes=10)
    world.pass_time(minutes=10)
    return vm


def test_a_vm_left_waiting_is_seen_once_the_worker_had_its_time(world):
    waiting(world)
    assert world.breaches() == [], "no worker has looked"
    beat(world, "land", minutes=6)
    assert world.breaches() == [], "it looked too soon after"
    beat(world, "land")
    (breach,) = world.breaches()
    assert breach.startswith("L16")
    assert breach.endswith("waits although credits suffice")


def test_a_vm_waits_rightly_while_the_wallet_is_short(world):
    waiting(world)
    world.billing.deduct_credits("alice", world.wallet() - 4_999, "All but a little")
    world.pass_time(minutes=10)
    beat(world, "land")
    assert world.breaches() == []
    world.billing.add_credits("alice", 1, "Just enough")
    assert world.breaches() == [], "credits have only come in"
    world.pass_time(minutes=6)
    beat(world, "land")
    assert len(world.breaches()) == 1


def test_a_vm_that_runs_past_its_hold_is_seen(world):
    vm = world.vm()
    world.start(vm)
    world.pass_time(hours=1, minutes=4)
    beat(world, "bill")
    assert world.breaches() == [], "a biller may be a little late"
    world.pass_time(minutes=2)
    beat(world, "bill")
    assert "runs beyond what is paid" in world.breaches()[0]
    world.billing.runs.renew_holds()
    assert world.breaches() == []


def test_the_slow_parts_read_only(world):
    """The result is written down in a transaction of its own, after the checks."""
    seen = []
    checks = world.billing.books.verification
    real = checks.check
    checks.check = lambda: seen.append(world.database.open_session.get()) or real()
    checks.run_hourly()
    assert seen == [None]
    assert world.rows(text("SELECT COUNT(*) FROM verify_run"))[0][0] == 1
