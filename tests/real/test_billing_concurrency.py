"""Many threads on one wallet and across wallets, on PostgreSQL: exact totals, never negative, no deadlock."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from tests.services.billing_world import World
from zentry_web.adapters.database import Database, make_engine
from zentry_web.services.base_service import Core
from zentry_web.services.errors import ConflictError, InsufficientCreditsError

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

THREADS = 16


@pytest.fixture
def world(postgres_config, clock):
    database = Database(make_engine(postgres_config.business_url))
    yield World(Core(database, clock))
    database.dispose()


def together(*jobs):
    """Run all jobs at once, each in a thread of its own; their results, errors as values."""
    barrier = threading.Barrier(len(jobs))

    def run(job):
        barrier.wait()
        try:
            return job()
        except (InsufficientCreditsError, ConflictError) as refused:
            return refused

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def test_grants_and_deductions_on_one_wallet_add_up_and_it_never_goes_below_zero(world):
    world.person("alice", credits=100)

    def give():
        return [world.billing.add_credits("alice", 3, "gift") for _ in range(10)]

    def take():
        done = []
        for _ in range(10):
            try:
                done.append(world.billing.deduct_credits("alice", 17, "taken"))
            except InsufficientCreditsError:
                continue
        return done

    results = together(*[give, take] * (THREADS // 2))
    taken = sum(len(done) for done in results[1::2])
    given = sum(len(done) for done in results[0::2])
    assert given == 10 * THREADS // 2
    assert world.wallet() == 100 + 3 * given - 17 * taken >= 0
    assert world.breaches() == []


def test_one_key_in_many_threads_is_one_effect(world):
    world.person("alice", credits=0)
    made = together(*[lambda: world.billing.add_credits("alice", 5, "gift", idempotency_key="k")] * THREADS)
    assert len({transaction.id for transaction in made}) == 1
    assert world.wallet() == 5


def test_one_key_for_two_people_works_for_one_of_them(world):
    for name in ("alice", "bob"):
        world.person(name, credits=0)
    jobs = [
        lambda name=name: world.billing.add_credits(name, 5, "gift", idempotency_key="k") for name in ("alice", "bob")
    ] * (THREADS // 2)
    made = together(*jobs)
    assert sorted([world.wallet("alice"), world.wallet("bob")]) == [0, 5]
    assert len([one for one in made if isinstance(one, ConflictError)]) == THREADS // 2


def test_starting_credits_once_from_many_threads(world):
    world.person("alice", credits=0)
    together(*[lambda: world.billing.grant_starting_credits("alice")] * THREADS)
    assert world.wallet() == 5_000_000
    assert world.breaches() == []


@pytest.mark.asvs("2.3.4")
def test_more_starts_than_the_wallet_can_pay(world):
    world.person("alice", credits=5 * 5_000)
    vms = [world.vm() for _ in range(THREADS)]
    results = together(*[lambda vm=vm: world.start(vm) for vm in vms])
    assert len([one for one in results if isinstance(one, InsufficientCreditsError)]) == THREADS - 5
    assert (world.wallet(), world.held()) == (0, 25_000)


def test_billers_side_by_side_with_people_charge_everything_once(world):
    names = ["alice", "bob", "carol", "dave"]
    vms = []
    for name in names:
        world.person(name, credits=10**9)
        vms += [world.vm(name) for _ in range(4)]
    for vm in vms:
        world.start(vm)
    world.pass_time(hours=5, minutes=45)
    bystanders = [lambda name=name: [world.billing.add_credits(name, 1, "gift") for _ in range(10)] for name in names]
    stops = [lambda vm=vm: world.stop(vm) for vm in vms[::4]]
    together(*[world.settle] * 3, *[world.billing.runs.renew_holds] * 3, *bystanders, *stops)
    world.settle()
    assert world.breaches() == []
    for vm in vms[::4]:
        assert sum(world.seconds(vm)) == timedelta(hours=5, minutes=45) // timedelta(seconds=1)
    for vm in vms[1::4]:
        assert world.seconds(vm) == [3600] * 5
    spent = sum(row[4] for row in world.charges())
    have = sum(world.wallet(name) + world.held(name) for name in names)
    assert have == 4 * (10**9 + 10) - spent
