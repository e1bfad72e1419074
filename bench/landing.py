"""The landing plan of 10 000 machines of one wallet: of several kinds of fleet the slowest, free ones among them."""

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.figures import Figure
from bench.sizes import Sizes
from zentry_web.domain.credits.landing import Lander, default_policy, make_plan
from zentry_web.domain.credits.usage import OpenHold, affordable_until, plan_renewals

NAMES = ("landing_plan_10k_s",)
GOAL_SECONDS = 1
NOW = datetime(2026, 11, 23, 4, 7, 13, tzinfo=UTC)
SECOND, WINDOW = timedelta(seconds=1), timedelta(hours=1)
SMALL, LARGE = 50_000, 10**9  # micro-credits per hour

Kind = Callable[[random.Random, int], tuple[int, int]]  # micro-credits per hour, importance
FLEETS: dict[str, tuple[Kind, int]] = {  # with the credits there are for each machine
    "alike": (lambda chance, number: (SMALL, 0), SMALL * 5),
    "alike_in_order": (lambda chance, number: (SMALL, number), SMALL * 5),
    "any_rate": (lambda chance, number: (chance.randrange(1, LARGE), 0), LARGE * 2),
    "any_rate_in_order": (lambda chance, number: (chance.randrange(1, LARGE), number), LARGE * 2),
    "free_beside_one": (lambda chance, number: (0 if number else SMALL, 0), 500),
    "all_but_free_beside_one": (lambda chance, number: (1 if number else LARGE, 0), 500),
}


def measure(_folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Processor seconds of the slowest fleet, best of some; the baseline is one round of the worker over it."""
    took = {name: _time(_fleet(kind, sizes.planned), each, sizes.rounds) for name, (kind, each) in FLEETS.items()}
    slowest = max(took, key=lambda name: took[name])
    kind, each = FLEETS[slowest]
    holds = [lander.hold for lander in _fleet(kind, sizes.planned) if lander.hold]
    started = time.process_time()
    plan_renewals(holds, sizes.planned * each, NOW + WINDOW, WINDOW)
    baseline = time.process_time() - started
    facts = {"machines": sizes.planned} | {f"{name}_s": round(seconds, 3) for name, seconds in took.items()}
    yield Figure(NAMES[0], took[slowest], "s", GOAL_SECONDS, baseline, facts)


def _time(fleet: list[Lander], each: int, rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        make_plan(fleet, len(fleet) * each, NOW, default_policy(WINDOW // SECOND))
        best = min(best, time.process_time() - started)
    return best


def _fleet(kind: Kind, machines: int) -> list[Lander]:
    chance = random.Random(7)
    return [_lander(f"vm_{number:05d}", *kind(chance, number), chance) for number in range(machines)]


def _lander(name: str, rate: int, importance: int, chance: random.Random) -> Lander:
    settled = NOW - chance.randrange(0, 427) * SECOND
    until = affordable_until(rate, settled, settled + WINDOW, rate)
    return Lander(name, name, importance, OpenHold(f"hold_{name}", name, rate, rate, until, settled, "UTC", importance))
