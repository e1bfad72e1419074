"""Attempts are counted in the database: one count for all processes, sliding, surviving failures."""

import threading
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from zentry_web.adapters.database import Database, make_engine
from zentry_web.models import DbRateCounter
from zentry_web.services.base_service import Core
from zentry_web.services.errors import RateLimitedError
from zentry_web.services.shared.rate_limits import Limit, RateLimiter, network_of, wait_words

pytestmark = pytest.mark.integration

FIVE = Limit("test", "alice@example.com", 5, 900)


@pytest.fixture
def limiter(core):
    return RateLimiter(core)


def rows(core):
    with core.database.reading() as session:
        return list(session.scalars(select(DbRateCounter)))


def attempts_until_refused(limiter, limit):
    for count in range(1000):
        try:
            limiter.check(limit)
        except RateLimitedError as error:
            return count, error.details["retry_after"]
    raise AssertionError("never refused")


def test_the_sixth_of_five_is_refused_until_the_window_has_passed(limiter, clock):
    assert attempts_until_refused(limiter, FIVE) == (5, 960)
    clock.advance(959)
    with pytest.raises(RateLimitedError):
        limiter.check(FIVE)
    clock.advance(1)
    limiter.check(FIVE)


def test_the_window_slides(limiter, clock):
    for _ in range(3):
        limiter.check(FIVE)
    clock.advance(minutes=10)
    count, retry_after = attempts_until_refused(limiter, FIVE)
    assert count == 2
    clock.advance(retry_after)
    assert attempts_until_refused(limiter, FIVE)[0] == 3


def test_no_window_of_any_position_holds_more_than_the_limit(limiter, clock):
    taken = []
    for step in range(400):
        try:
            limiter.check(FIVE)
            taken.append(clock.now())
        except RateLimitedError:
            pass
        clock.advance(7 + step % 13)
    for moment in taken:
        assert sum(1 for each in taken if moment <= each < moment + timedelta(seconds=900)) <= 5
    assert len(taken) >= 15


def test_subjects_and_rules_are_counted_apart(limiter):
    attempts_until_refused(limiter, FIVE)
    limiter.check(Limit("test", "bob@example.com", 5, 900))
    limiter.check(Limit("other", "alice@example.com", 5, 900))


def test_of_two_limits_both_count_or_none(limiter, core):
    attempts_until_refused(limiter, FIVE)
    wide = Limit("wide", "203.0.113.5", 100, 900)
    with pytest.raises(RateLimitedError):
        limiter.check(FIVE, wide)
    assert not [row for row in rows(core) if row.key == wide.key]


def test_only_a_hash_of_the_subject_is_stored(limiter, core):
    limiter.check(FIVE)
    assert all("alice" not in row.key for row in rows(core))


def test_clearing_forgets_one_subject(limiter):
    attempts_until_refused(limiter, FIVE)
    limiter.clear(FIVE)
    limiter.check(FIVE)


def test_old_counters_are_pruned(limiter, core, clock):
    limiter.check(FIVE)
    clock.advance(days=1)
    limiter.check(FIVE)
    assert limiter.prune() == 0
    clock.advance(days=1, seconds=120)
    assert limiter.prune() == 1
    assert len(rows(core)) == 1


@pytest.mark.error
def test_counting_inside_a_transaction_is_a_mistake(limiter):
    with limiter.transaction(), pytest.raises(RuntimeError):
        limiter.check(FIVE)


def test_the_count_survives_the_callers_failure(limiter):
    for _ in range(5):
        limiter.check(FIVE)
        with pytest.raises(ZeroDivisionError), limiter.transaction():
            raise ZeroDivisionError
    with pytest.raises(RateLimitedError):
        limiter.check(FIVE)


def test_two_processes_share_one_count(config, limiter, clock):
    other_database = Database(make_engine(config.business_url))
    limiters = [limiter, RateLimiter(Core(other_database, clock))]
    allowed, lock = [], threading.Lock()

    def hammer(one):
        for _ in range(6):
            try:
                one.check(FIVE)
            except RateLimitedError:
                continue
            with lock:
                allowed.append(one)

    threads = [threading.Thread(target=hammer, args=(one,)) for one in limiters for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with other_database.reading() as session:
        stored = session.scalar(select(func.sum(DbRateCounter.count)))
    other_database.dispose()
    assert len(allowed) == 5
    assert stored == 5


@pytest.mark.asvs("15.3.4")
@pytest.mark.unit
@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        (None, "unknown"),
        ("junk", "unknown junk"),
    ],
)
def test_an_ipv6_neighbourhood_counts_as_one(address, network):
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "a second"), (63, "63 seconds"), (90, "90 seconds"), (91, "2 minutes"), (3600, "60 minutes")],
)
def test_a_wait_is_told_as_what_it_is(seconds, words):
    assert wait_words(seconds) == words
