"""200 threads over 60 connections of their own on one wallet and on one key: exact totals, never negative."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine, select

from tests.services.billing_world import World
from zentry_web.adapters.database import Database
from zentry_web.domain.credits.billing import AccountKind
from zentry_web.models import DbEntry
from zentry_web.services.base_service import Core
from zentry_web.services.errors import ConflictError, InsufficientCreditsError

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

THREADS, CONNECTIONS, TURNS = 200, 60, 3


@pytest.fixture
def world(postgres_config, clock):
    engine = create_engine(postgres_config.business_url, pool_size=CONNECTIONS, max_overflow=0, pool_timeout=120)
    database = Database(engine)
    yield World(Core(database, clock))
    database.dispose()


def crowd(*jobs):
    """All jobs at once, each in a thread of its own; results, with refusals as values. Anything else is raised."""
    barrier = threading.Barrier(len(jobs))

    def run(job):
        barrier.wait()
        done = []
        for _ in range(TURNS):
            try:
                done.append(job())
            except (InsufficientCreditsError, ConflictError) as refused:
                done.append(refused)
        return done

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [one for done in pool.map(run, jobs) for one in done]


def refusals(results):
    return len([one for one in results if isinstance(one, InsufficientCreditsError | ConflictError)])


def test_grants_deductions_holds_and_settlement_on_one_wallet(world):
    world.person("alice", credits=1_000_000)
    vms = [world.vm() for _ in range(40)]
    for vm in vms:
        world.start(vm)
    world.pass_time(hours=3, minutes=40)
    jobs = []
    for number in range(THREADS):
        vm = vms[number % len(vms)]
        jobs.append(
            [
                lambda: world.billing.add_credits("alice", 7, "gift"),
                lambda: world.billing.deduct_credits("alice", 60_000, "taken"),
                world.settle,
                world.billing.runs.renew_holds,
                lambda vm=vm: world.accept(vm),
            ][number % 5]
        )
    results = crowd(*jobs)
    assert len(results) == THREADS * TURNS
    taken = [result for each, result in zip((job for job in jobs for _ in range(TURNS)), results, strict=True)
             if each in jobs[1::5]]  # fmt: skip
    world.settle()
    assert world.breaches() == []
    spent = sum(row[4] for row in world.charges())
    assert spent == 40 * 3 * 5_000
    given = 1_000_000 + 7 * TURNS * len(jobs[0::5])
    took = 60_000 * (len(taken) - refusals(taken))
    assert refusals(taken) > 0, "the wallet was never short: nothing was tried"
    # What the deductions left too little for was written off: no credits moved for it.
    written_off = -world.account(AccountKind.WRITE_OFF)
    assert 0 <= written_off <= took
    assert world.wallet() + world.held() == given - took - (spent - written_off)
    assert min(row.balance_after for row in world.rows(_entries_of("wallet_alice", "held_alice"))) >= 0


def test_one_key_from_a_crowd_is_one_effect(world):
    world.person("alice", credits=0)
    world.person("bob", credits=0)
    same = [lambda: world.billing.add_credits("alice", 5, "gift", idempotency_key="k")] * (THREADS // 2)
    other = [lambda: world.billing.add_credits("alice", 6, "gift", idempotency_key="k")] * (THREADS // 4)
    foreign = [lambda: world.billing.add_credits("bob", 5, "gift", idempotency_key="k")] * (THREADS // 4)
    results = crowd(*same, *other, *foreign)
    made = [one for one in results if not isinstance(one, ConflictError)]
    assert len({transaction.id for transaction in made}) == 1
    assert sorted([world.wallet("alice"), world.wallet("bob")]) in ([0, 5], [0, 6])
    assert world.breaches() == []


def _entries_of(*accounts):
    return select(DbEntry.balance_after).where(DbEntry.account_id.in_(accounts))
