"""One voucher in many hands at once, on both databases: exactly its uses, once per person, exact totals."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine

from tests.services.billing_world import World
from tests.services.people import ALWAYS
from zentry_web.adapters.database import Database, make_engine
from zentry_web.domain.credits.billing import AccountKind
from zentry_web.domain.credits.voucher import Redemption, VoucherDraft
from zentry_web.domain.user import Actor, Role
from zentry_web.services.base_service import Core
from zentry_web.services.errors import ConflictError, ValidationError

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

ADMIN = Actor("root", Role.ADMIN, proved_at=ALWAYS)
CONNECTIONS = 50
VALUE = 1_000


@pytest.fixture(params=["postgresql", "sqlite"])
def world(request, clock):
    config = request.getfixturevalue(f"{'postgres' if request.param == 'postgresql' else 'sqlite'}_config")
    if request.param == "sqlite":
        engine = make_engine(config.business_url)
    else:
        engine = create_engine(config.business_url, pool_size=CONNECTIONS, max_overflow=0, pool_timeout=120)
        taken = [engine.connect() for _ in range(CONNECTIONS)]  # all of them are there before it begins
        for connection in taken:
            connection.close()
        assert engine.pool.checkedin() == CONNECTIONS
    database = Database(engine)
    yield World(Core(database, clock))
    database.dispose()


def together(jobs):
    """Run all jobs at once, each in a thread of its own; their results, refusals as their words."""
    barrier = threading.Barrier(len(jobs))

    def run(job):
        barrier.wait()
        try:
            return job()
        except ValidationError as refused:
            return refused.details["code"]

    with ThreadPoolExecutor(len(jobs)) as pool:
        return list(pool.map(run, jobs))


def many(world):
    """As many threads as the database is asked to bear."""
    return 60 if world.database.is_sqlite else 200


@pytest.mark.asvs("2.3.4")
def test_a_voucher_works_exactly_as_often_as_it_may(world):
    threads = many(world)
    people = [world.person(f"user{number}", credits=0) for number in range(threads // 2)]
    uses = len(people) * 3 // 5
    (voucher,) = world.billing.vouchers.create(VoucherDraft(VALUE, uses=uses), actor=ADMIN)
    jobs = [lambda name=name: world.billing.vouchers.redeem(name, voucher.code) for name in people * 2]
    results = together(jobs)
    winners = [one.user_id for one in results if isinstance(one, Redemption)]
    assert len(winners) == len(set(winners)) == uses
    refusals = Counter(one for one in results if isinstance(one, str))
    assert set(refusals) <= {
        "This voucher has been used up.",
        "You have redeemed this voucher already. It works once for each person.",
    }
    assert sum(refusals.values()) == threads - uses
    assert [world.wallet(name) for name in people] == [VALUE if name in winners else 0 for name in people]
    assert world.account(AccountKind.GRANTS) == -VALUE * uses
    assert world.billing.vouchers.get_voucher(voucher.id).used == uses
    assert world.breaches() == []


def test_one_person_in_many_windows_gets_it_once(world):
    world.person("alice", credits=0)
    (voucher,) = world.billing.vouchers.create(VoucherDraft(VALUE, uses=1_000), actor=ADMIN)
    redeem = world.billing.vouchers.redeem
    results = together([lambda: redeem("alice", voucher.code, request_key="one form")] * 20)
    assert len(set(results)) == 1
    assert world.wallet() == VALUE
    assert world.billing.vouchers.get_voucher(voucher.id).used == 1
    assert world.breaches() == []


def test_one_form_in_many_windows_makes_one_batch(world):
    draft = VoucherDraft(VALUE, count=40)
    made = together([lambda: world.billing.vouchers.create(draft, actor=ADMIN, idempotency_key="form")] * 10)
    assert not [one for one in made if isinstance(one, ConflictError)]
    assert len({tuple(voucher.code for voucher in batch) for batch in made}) == 1
