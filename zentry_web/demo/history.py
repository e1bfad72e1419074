"""Metrics of the past: the simulator's own counters, read as the worker's sampler would have read them."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from zentry_web.adapters.compute.base import MachineSpec
from zentry_web.adapters.compute.simulator.driver import SimulatorCompute
from zentry_web.demo.play import PlayedRun
from zentry_web.domain.metrics_math import Counters, sample_between
from zentry_web.domain.monitoring import Sample
from zentry_web.services.service_container import ServiceContainer

MOST_SAMPLES = 240_000
RECENT = timedelta(hours=1)
FINE_STEPS = (10, 30, 60, 120, 300)  # seconds between samples in the last hour …
COARSE_STEPS = (60, 120, 300, 600, 900, 1800)  # … and before
BATCH = 5000
MIB = 1024 * 1024


def fill_metrics(
    container: ServiceContainer, driver: SimulatorCompute, runs: Sequence[PlayedRun], end: datetime, *, hours: int
) -> int:
    """Samples of ``runs`` for the ``hours`` that metrics are kept, up to ``end``; returns how many.

    The last hour is finer than what lies before, and both are coarser the more machines there are.
    """
    monitoring = container.monitoring
    records = container.vms.records
    begin = end - timedelta(hours=hours)
    shown = [run for run in runs if (run.ended or end) > begin]
    per_run = MOST_SAMPLES // max(1, len(shown))
    fine = _step(FINE_STEPS, RECENT, per_run * 2 // 5)
    coarse = _step(COARSE_STEPS, timedelta(hours=hours) - RECENT, per_run * 3 // 5)
    made = 0
    batch: list[tuple[str, Sample]] = []
    newest: list[tuple[str, Sample]] = []
    for run in shown:
        spec = records.spec(run.vm_id)
        moments = list(_moments(max(begin, run.started), run.ended or end, end, fine, coarse))
        samples = [(run.owner_id, sample) for sample in _samples(driver, spec, run.started, moments)]
        made += len(samples)
        batch += samples
        newest += samples[-1:] if run.ended is None else []
        if len(batch) >= BATCH:
            monitoring.record_samples(batch, latest=False)
            batch = []
    monitoring.record_samples(batch, latest=False)
    monitoring.record_samples(newest)  # once more, as the headline figures
    return made


def _step(steps: Sequence[int], span: timedelta, most: int) -> int:
    """The finest of ``steps`` that needs at most so many samples for ``span``; the coarsest when none does."""
    seconds = span.total_seconds()
    return next((step for step in steps if seconds / step <= most), steps[-1])


def _moments(start: datetime, stop: datetime, end: datetime, fine: int, coarse: int) -> Iterator[datetime]:
    """When [start, stop] is sampled: every ``coarse`` seconds, every ``fine`` in the hour before ``end``."""
    moment = start
    while moment < stop:
        yield moment
        moment += timedelta(seconds=fine if moment >= end - RECENT else coarse)
    yield stop


def _samples(
    driver: SimulatorCompute, spec: MachineSpec, started: datetime, moments: Sequence[datetime]
) -> Iterator[Sample]:
    readings = [_reading(driver, spec, started, moment) for moment in moments]
    for before, after in pairwise(readings):
        sample = sample_between(spec.vm_id, before, after)
        if sample is not None:
            yield sample


def _reading(driver: SimulatorCompute, spec: MachineSpec, started: datetime, at: datetime) -> Counters:
    load = driver.counters_at(spec, started, at)
    return Counters(
        at=at,
        run_id=spec.vm_id,
        vcpus=spec.vcpus,
        memory_total_bytes=spec.memory_mib * MIB,
        cpu_time_ns=load.cpu_time_ns,
        memory_used_bytes=load.memory_used_bytes,
        disk_read_bytes=load.disk_read_bytes,
        disk_write_bytes=load.disk_write_bytes,
        net_rx_bytes=load.net_rx_bytes,
        net_tx_bytes=load.net_tx_bytes,
    )
