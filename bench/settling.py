"""The hourly settlement of 100 000 running machines of 10 000 wallets, beside bare SQL that writes the same rows."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from bench.bare import ACCOUNT, HOLD, INSERTS, INTERVAL, Bare, Row
from bench.figures import Figure
from bench.fleet import Fleet
from bench.sizes import Sizes
from bench.stores import Store
from zentry_web.adapters.clock import ManualClock
from zentry_web.composition import build_container
from zentry_web.config import Config
from zentry_web.memory import keep_for_good
from zentry_web.services import base_service
from zentry_web.services.billing.usage.settlement import INTERVALS_PER_TRANSACTION

NAMES = ("settle_100k_s", "settle_ratio")
GOAL_SECONDS, GOAL_RATIO = 30, 4
VMS_EACH = 10
PER_COMMIT = INTERVALS_PER_TRANSACTION


def measure(store: Store, sizes: Sizes) -> Iterator[Figure]:
    """The best of some rounds each, one after the other by turns; every settled database is verified."""
    fleet = Fleet(sizes.fleet // VMS_EACH, VMS_EACH)
    store.prepare(fleet)
    ours, bare, longest = [], [], []
    for _ in range(sizes.rounds):
        settled = store.copy("settled")
        took, open_for = _settle(settled, fleet, verify=not ours)
        ours.append(took)
        longest.append(open_for)
        bare.append(_write_bare(store.copy("bare"), settled))
    facts = {"database": store.kind, "vms": sizes.fleet, "wallets": fleet.owners, "rounds": sizes.rounds}
    ratio = min(ours) / min(bare)
    more = facts | {"longest_write_transaction_ms": round(min(longest) * 1000, 1)}
    yield Figure("settle_100k_s", min(ours), "s", GOAL_SECONDS, min(bare), more)
    yield Figure("settle_ratio", ratio, "times", GOAL_RATIO, 1, facts | {"bare_s": round(min(bare), 3)})


def _settle(config: Config, fleet: Fleet, *, verify: bool) -> tuple[float, float]:
    """One hour of everybody; seconds it took, and how long the longest write transaction was open."""
    clock = ManualClock(fleet.settled_until + timedelta(hours=1, seconds=5))
    container = build_container(config, clock=clock)
    billing = container.billing
    keep_for_good()  # as Zentry's worker does
    with watching() as open_for:
        started = time.perf_counter()
        charges = billing.runs.settle(clock.now())
        took = time.perf_counter() - started
    assert charges == fleet.owners * VMS_EACH, f"{charges} charges"
    if verify:
        wrong = [check for check in billing.verify() if not check.ok]
        assert not wrong, wrong
    container.close()
    return took, max(open_for)


def _write_bare(config: Config, settled: Config) -> float:
    """Write into ``config`` what settling wrote into ``settled``; the seconds it took."""
    source = Bare(settled.business_url)
    commits = list(_commits(source))
    source.close()
    target = Bare(config.business_url)
    started = time.perf_counter()
    for statements in commits:
        with target.transaction() as cursor:
            for statement, rows in statements:
                cursor.executemany(target.sql(statement), rows)
    took = time.perf_counter() - started
    target.close()
    return took


@contextmanager
def watching() -> Iterator[list[float]]:
    """How long each write transaction that ends meanwhile was open, in seconds."""
    found: list[float] = []
    before, base_service._observe = base_service._observe, found.append
    try:
        yield found
    finally:
        base_service._observe = before


def _commits(source: Bare) -> Iterator[list[tuple[str, list[Row]]]]:
    """What settling wrote, as statements with their rows, in commits of as many wallets as Zentry's."""
    transfers = source.read("transfer", where="kind = 'usage'", order="owner_id")
    entries = _by(2, source.read("entry", where="transfer_id IN (SELECT id FROM transfer WHERE kind = 'usage')"))
    charges = _by(6, source.read("charge"))
    months = _by(3, source.read("usage_month"))
    projects = _by(0, source.read("project_month"))
    owner = INSERTS["transfer"].split().index("owner_id")
    for at in range(0, len(transfers), PER_COMMIT // VMS_EACH):
        group = transfers[at : at + PER_COMMIT // VMS_EACH]
        lines = [row for transfer in group for row in entries[transfer[0]]]
        paid = [row for transfer in group for row in charges[transfer[0]]]
        spent = [row for transfer in group for row in months[transfer[owner]]]
        yield [
            (source.insert("transfer"), group),
            (ACCOUNT, _gains(lines)),
            (source.insert("entry"), lines),
            (source.insert("charge"), paid),
            (source.insert("usage_month"), spent),
            (source.insert("project_month"), [row for transfer in group for row in projects[transfer[owner]]]),
            (INTERVAL, [(row[3], False, row[0]) for row in paid]),
            (HOLD, [(0, f"hold_{row[8]}") for row in paid]),
        ]


def _gains(lines: list[Row]) -> list[Row]:
    """What entries do to each account: one row for it."""
    gains: dict[str, list[int]] = {}
    for account, _, _, amount, _ in lines:
        gain = gains.setdefault(account, [0, 0])
        gain[0], gain[1] = gain[0] + amount, gain[1] + 1
    return [(gain, count, account) for account, (gain, count) in gains.items()]


def _by(column: int, rows: list[Row]) -> dict[Any, list[Row]]:
    """Rows grouped by one of their columns."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(row[column], []).append(row)
    return groups
