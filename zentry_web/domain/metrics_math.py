"""From counters to samples, and from samples to figures a person can use. Pure functions."""

import math
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from zentry_web.domain.monitoring import Sample


@dataclass(frozen=True, slots=True)
class Counters:
    """What a hypervisor counts since a machine's start."""

    at: datetime
    run_id: str
    vcpus: int
    cpu_time_ns: int
    memory_total_bytes: int
    memory_used_bytes: int | None
    disk_read_bytes: int
    disk_write_bytes: int
    net_rx_bytes: int
    net_tx_bytes: int


def sample_between(vm_id: str, before: Counters, after: Counters) -> Sample | None:
    """The mean rates between two readings; None across two runs, for time standing still or counters going back."""
    seconds = (after.at - before.at).total_seconds()
    busy_ns = after.cpu_time_ns - before.cpu_time_ns
    deltas = (
        after.disk_read_bytes - before.disk_read_bytes,
        after.disk_write_bytes - before.disk_write_bytes,
        after.net_rx_bytes - before.net_rx_bytes,
        after.net_tx_bytes - before.net_tx_bytes,
    )
    if before.run_id != after.run_id or seconds <= 0 or busy_ns < 0 or min(deltas) < 0:
        return None
    rates = [round(delta / seconds, 1) for delta in deltas]
    return Sample(
        vm_id=vm_id,
        at=after.at,
        cpu_percent=round(min(100.0, busy_ns / (seconds * 1e9 * after.vcpus) * 100), 2),
        memory_used_bytes=after.memory_used_bytes,
        memory_total_bytes=after.memory_total_bytes,
        disk_read_bytes_per_s=rates[0],
        disk_write_bytes_per_s=rates[1],
        net_rx_bytes_per_s=rates[2],
        net_tx_bytes_per_s=rates[3],
    )


@dataclass(frozen=True, slots=True)
class Performance:
    """Figures over a period; ``trend_per_day`` is the least-squares slope in units per day."""

    samples: int
    average: float
    p95: float
    peak: float
    trend_per_day: float


def performance(points: Sequence[tuple[int, float]]) -> Performance | None:
    """Mean, 95th percentile (nearest rank), peak and linear trend of (epoch s, value) points; None without any."""
    if not points:
        return None
    values = sorted(value for _, value in points)
    rank = max(1, math.ceil(0.95 * len(values)))
    times = [time / 86400 for time, _ in points]
    slope = 0.0
    if len(set(times)) > 1:
        slope = statistics.linear_regression(times, [value for _, value in points]).slope
    return Performance(len(values), statistics.fmean(values), values[rank - 1], values[-1], slope)


def mock_samples(
    vm_id: str, start: datetime, end: datetime, step_seconds: int, *, seed: int, memory_total_bytes: int
) -> Iterator[Sample]:
    """Made-up but believable samples for demos and tests: a day's curve, bursts, a character per VM. Seeded."""
    character = random.Random(f"{seed}:{vm_id}")  # noqa: S311 (nothing secret)
    base, swing = character.uniform(3, 35), character.uniform(2, 30)
    peak_hour, memory_share = character.uniform(8, 20), character.uniform(0.25, 0.75)
    network = character.uniform(2_000, 400_000)
    moment, burst = start, 0.0
    while moment < end:
        hour = moment.hour + moment.minute / 60
        curve = 0.5 + 0.5 * math.cos((hour - peak_hour) / 24 * 2 * math.pi)
        burst = burst * 0.8 + (character.uniform(10, 50) if character.random() < 0.02 else 0)
        cpu = min(100.0, max(0.2, base + swing * curve + burst + character.gauss(0, 1.5)))
        activity = cpu / 50
        yield Sample(
            vm_id=vm_id,
            at=moment,
            cpu_percent=round(cpu, 2),
            memory_used_bytes=int(memory_total_bytes * min(0.97, memory_share + 0.1 * curve + burst / 500)),
            memory_total_bytes=memory_total_bytes,
            disk_read_bytes_per_s=round(abs(character.gauss(30_000, 20_000)) * activity, 1),
            disk_write_bytes_per_s=round(abs(character.gauss(80_000, 40_000)) * activity, 1),
            net_rx_bytes_per_s=round(network * activity * character.uniform(0.7, 1.3), 1),
            net_tx_bytes_per_s=round(network * activity * character.uniform(0.4, 0.9), 1),
        )
        moment += timedelta(seconds=step_seconds)
