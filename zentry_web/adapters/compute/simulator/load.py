"""Believable load for simulated machines: a day's curve, quiet week-ends, bursts, and a character per machine.

Everything is computed from the seed, the machine's id and the time, so nothing is stored and the past can be asked
for as well as the present. Counters are differences of a running total of a pattern a week long, found by one
table look-up: a thousand machines cost a few milliseconds.
"""

import hashlib
import math
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

WEEK_MINUTES = 7 * 24 * 60
PATTERNS = 12
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Character:
    """What kind of machine this is; fixed for its life."""

    pattern: int
    shift_minutes: float
    idle: float  # share of its processors used when nothing happens
    busy: float  # how much of the pattern reaches its processors
    memory_share: float
    disk_bytes: float  # per second at full load
    net_bytes: float
    wobble: float
    wobble_seconds: float


@dataclass(frozen=True, slots=True)
class RunCounters:
    """Totals since the start of the run, and the memory in use now."""

    cpu_time_ns: int
    memory_used_bytes: int
    disk_read_bytes: int
    disk_write_bytes: int
    net_rx_bytes: int
    net_tx_bytes: int


def _weekly_pattern(rng: random.Random) -> list[float]:
    """Load of each minute of a week, 0 to 1."""
    peak_hour = rng.uniform(9, 20)
    weekend = rng.uniform(0.35, 0.9)
    levels = []
    burst = noise = 0.0
    for minute in range(WEEK_MINUTES):
        hour = minute / 60 % 24
        day = (1 + math.cos((hour - peak_hour) / 24 * 2 * math.pi)) / 2
        day *= weekend if minute // 1440 >= 5 else 1.0
        noise = 0.92 * noise + rng.gauss(0, 0.02)
        if rng.random() < 0.004:
            burst = rng.uniform(0.3, 0.9)
        burst = burst * 0.86 if burst > 0.02 else 0.0
        levels.append(min(1.0, max(0.0, 0.05 + 0.5 * day + noise + burst)))
    return levels


@lru_cache(maxsize=64)
def _pattern(seed: int, number: int) -> tuple[Sequence[float], Sequence[float]]:
    """A pattern and its running total in load-seconds (one more entry than minutes)."""
    levels = array("d", _weekly_pattern(random.Random(f"{seed}/pattern/{number}")))  # noqa: S311 - not for secrets
    totals = array("d", [0.0])
    running = 0.0
    for level in levels:
        running += level * 60
        totals.append(running)
    return levels, totals


@lru_cache(maxsize=20_000)
def character(seed: int, vm_id: str) -> Character:
    """The fixed character of a machine."""
    digest = hashlib.sha256(f"{seed}/{vm_id}".encode()).digest()
    part = [int.from_bytes(digest[i : i + 2], "big") / 65535 for i in range(0, 18, 2)]
    return Character(
        pattern=int(part[0] * PATTERNS) % PATTERNS,
        shift_minutes=part[1] * 180,
        idle=0.004 + 0.02 * part[2],
        busy=0.08 + 0.75 * part[3] ** 2,
        memory_share=0.25 + 0.5 * part[4],
        disk_bytes=(0.05 + 4 * part[5] ** 3) * MIB,
        net_bytes=(0.02 + 3 * part[6] ** 3) * MIB,
        wobble=0.3 * part[7],
        wobble_seconds=35 + 60 * part[8],
    )


def _total(seed: int, who: Character, at: float) -> float:
    """Load-seconds from the epoch to ``at``; only differences mean anything."""
    _, totals = _pattern(seed, who.pattern)
    minutes = at / 60 + who.shift_minutes
    weeks, minute = divmod(minutes, WEEK_MINUTES)
    index = int(minute)
    low, high = totals[index], totals[min(index + 1, WEEK_MINUTES)]
    return weeks * totals[-1] + low + (high - low) * (minute - index)


def load_at(seed: int, vm_id: str, at: float) -> float:
    """Pattern level (0 to 1) of a machine at a time given as seconds since the epoch."""
    who = character(seed, vm_id)
    levels, _ = _pattern(seed, who.pattern)
    return levels[int((at / 60 + who.shift_minutes) % WEEK_MINUTES)]


def counters(seed: int, vm_id: str, vcpus: int, memory_bytes: int, started: float, at: float) -> RunCounters:
    """Counters of a run that began at ``started`` as they stand at ``at`` (seconds since the epoch, both)."""
    who = character(seed, vm_id)
    elapsed = max(0.0, at - started)
    worked = max(0.0, _total(seed, who, at) - _total(seed, who, started))
    # The wobble's slope never falls below -idle, so the counter never goes back.
    swing = who.wobble * who.idle * who.wobble_seconds / (2 * math.pi)
    wobble = swing * math.sin(2 * math.pi * elapsed / who.wobble_seconds)
    booting = min(1.0, elapsed / 3)
    cpu_seconds = vcpus * (who.idle * elapsed + wobble + who.busy * worked) + 1.4 * booting
    share = who.memory_share * (0.75 + 0.25 * load_at(seed, vm_id, at)) * (0.3 + 0.7 * min(1.0, elapsed / 60))
    return RunCounters(
        cpu_time_ns=int(cpu_seconds * 1e9),
        memory_used_bytes=int(memory_bytes * share),
        disk_read_bytes=int(18 * MIB * booting + 0.35 * who.disk_bytes * worked),
        disk_write_bytes=int(2 * MIB * booting + 2048 * elapsed + 0.65 * who.disk_bytes * worked),
        net_rx_bytes=int(9000 * booting + 120 * elapsed + 0.4 * who.net_bytes * worked),
        net_tx_bytes=int(6000 * booting + 90 * elapsed + 0.6 * who.net_bytes * worked),
    )
