"""Metrics in and out, consoles, and how Zentry's parts are."""

import itertools
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from tests.services.people import Statements, acting
from zentry_web.adapters.compute.base import ComputeUnavailable
from zentry_web.domain.monitoring import Sample
from zentry_web.models import DbConsole, DbLatest, DbSample
from zentry_web.services.errors import NotFoundError, ValidationError
from zentry_web.services.monitoring import store as metrics_store
from zentry_web.worker.sampling import ConsoleCollector, Sampler

pytestmark = pytest.mark.integration

MIB = 1024 * 1024
FIGURES = {
    "cpu_percent": 12.5,
    "memory_used_bytes": 64 * MIB,
    "memory_total_bytes": 128 * MIB,
    "disk_read_bytes_per_s": 1.0,
    "disk_write_bytes_per_s": 2,
    "net_rx_bytes_per_s": 3.5,
    "net_tx_bytes_per_s": 4,
}


@pytest.fixture
def monitoring(cloud):
    return cloud.monitoring


@pytest.fixture
def vm(cloud, alice):
    return cloud.launch(alice, cloud.project(alice))


def sample(vm_id, at, cpu=10.0, memory=64 * MIB):
    return Sample(vm_id, at, cpu, memory, 128 * MIB, 0, 0, 0, 0)


def count(container, table):
    with container.metrics_database.reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_a_sample_comes_back_as_it_was_stored(monitoring, alice, vm, clock):
    stored = monitoring.record_vm_metrics(vm.id, FIGURES, alice.id)
    assert stored.at == clock.now()
    series = monitoring.get_vm_metrics(vm.id, actor=acting(alice))
    assert (series.vm_id, series.step_seconds) == (vm.id, 10)
    assert series.end - series.start == timedelta(hours=1)
    assert series.times == (int(clock.now().timestamp()) // 10 * 10,)
    assert {name: column[0] for name, column in series.columns.items()} == FIGURES


@pytest.mark.error
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cpu_percent", -1),
        ("cpu_percent", 100.5),
        ("cpu_percent", float("nan")),
        ("cpu_percent", float("inf")),
        ("cpu_percent", "12"),
        ("cpu_percent", True),
        ("cpu_percent", None),
        ("memory_total_bytes", -1),
        ("memory_used_bytes", 2**62),
        ("net_rx_bytes_per_s", []),
        ("at", "yesterday"),
        ("at", datetime(2026, 11, 23, 10)),  # noqa: DTZ001 - without a zone: that is the point
        ("at", datetime(2026, 11, 24, tzinfo=UTC)),
    ],
)
def test_figures_that_cannot_be_are_refused_on_their_field(monitoring, container, alice, vm, field, value):
    with pytest.raises(ValidationError) as caught:
        monitoring.record_vm_metrics(vm.id, FIGURES | {field: value}, alice.id)
    assert set(caught.value.details) == {field}
    assert count(container, DbSample) == 0


def test_memory_in_use_may_be_unknown(monitoring, alice, vm):
    monitoring.record_vm_metrics(vm.id, {"cpu_percent": 1, "memory_total_bytes": 5.0}, alice.id)
    series = monitoring.get_vm_metrics(vm.id)
    assert series.columns["memory_used_bytes"] == (None,)
    assert series.columns["memory_total_bytes"] == (5,)
    assert series.columns["net_rx_bytes_per_s"] == (0,)


@pytest.mark.error
def test_strangers_record_and_read_nothing(monitoring, container, alice, charlie, vm):
    with pytest.raises(NotFoundError):
        monitoring.record_vm_metrics(vm.id, FIGURES, charlie.id)
    for look in ("get_vm_metrics", "get_performance", "get_console"):
        with pytest.raises(NotFoundError):
            getattr(monitoring, look)(vm.id, actor=acting(charlie))
    with pytest.raises(NotFoundError):
        monitoring.record_vm_metrics("vm_none", FIGURES, alice.id)
    assert count(container, DbSample) == 0


def test_the_first_sample_of_a_moment_stays(monitoring, alice, vm, clock):
    monitoring.record_vm_metrics(vm.id, FIGURES, alice.id)
    monitoring.record_vm_metrics(vm.id, FIGURES | {"cpu_percent": 99}, alice.id)
    assert monitoring.get_vm_metrics(vm.id).columns["cpu_percent"] == (12.5,)


def test_a_long_period_is_averaged_into_steps(monitoring, alice, vm, clock):
    start = clock.now() - timedelta(hours=5)
    pairs = [(alice.id, sample(vm.id, start + timedelta(seconds=10 * i), cpu=float(i % 2 * 10))) for i in range(1800)]
    monitoring.record_samples(pairs, latest=False)
    series = monitoring.get_vm_metrics(vm.id, start=start, end=clock.now(), max_points=300)
    assert series.step_seconds == 60
    assert len(series.times) == 300
    assert set(series.columns["cpu_percent"]) == {5.0}
    assert all(later - earlier == 60 for earlier, later in zip(series.times, series.times[1:], strict=False))
    coarse = monitoring.get_vm_metrics(vm.id, start=start, end=clock.now(), max_points=7)
    assert len(coarse.times) <= 8
    assert coarse.step_seconds % 10 == 0


def test_a_pause_in_the_sampling_has_no_points(monitoring, alice, vm, clock):
    now = clock.now()
    moments = [now - timedelta(seconds=s) for s in (300, 290, 280, 20, 10)]
    monitoring.record_samples([(alice.id, sample(vm.id, at)) for at in moments])
    times = monitoring.get_vm_metrics(vm.id).times
    assert [later - earlier for earlier, later in itertools.pairwise(times)] == [10, 10, 260, 10]


def test_only_what_is_newer_is_sent_when_asked_for(monitoring, alice, vm, clock):
    now = clock.now()
    monitoring.record_samples([(alice.id, sample(vm.id, now - timedelta(seconds=s))) for s in range(0, 100, 10)])
    whole = monitoring.get_vm_metrics(vm.id)
    after = datetime.fromtimestamp(whole.times[6], UTC)
    assert monitoring.get_vm_metrics(vm.id, after=after).times == whole.times[7:]
    assert monitoring.get_vm_metrics(vm.id, after=now + timedelta(hours=1)).times == ()
    assert monitoring.get_vm_metrics(vm.id, after=now - timedelta(days=1)).times == whole.times


@pytest.mark.error
def test_an_empty_period_is_refused(monitoring, vm, clock):
    with pytest.raises(ValidationError):
        monitoring.get_vm_metrics(vm.id, start=clock.now(), end=clock.now())


def test_performance_sums_a_period_up(monitoring, alice, vm, clock):
    now = clock.now()
    start = now - timedelta(seconds=1000)
    pairs = [(alice.id, sample(vm.id, start + timedelta(seconds=10 * i), cpu=float(i))) for i in range(100)]
    monitoring.record_samples(pairs)
    found = monitoring.get_performance(vm.id, start=start, end=now)["cpu_percent"]
    assert (found.samples, found.average, found.p95, found.peak) == (100, 49.5, 94, 99)
    assert found.trend_per_day == pytest.approx(8640)
    assert monitoring.get_performance(vm.id, start=start - timedelta(days=2), end=start - timedelta(days=1)) == {}


def test_the_newest_figures_of_many(monitoring, container, alice, vm, clock):
    now = clock.now()
    pairs = [(alice.id, sample(f"vm_{i}", now, cpu=float(i))) for i in range(20)]
    monitoring.record_samples(pairs)
    monitoring.record_samples([("usr_other", sample("vm_other", now, cpu=100.0))])
    with Statements(container.metrics_database) as counted:
        latest = monitoring.get_latest([f"vm_{i}" for i in range(15)])
        busiest = monitoring.get_busiest(alice.id, 3)
    assert len([text for text in counted.texts if text.startswith("SELECT")]) == 2
    assert len(latest) == 15
    assert [one.vm_id for one, _ in busiest] == ["vm_19", "vm_18", "vm_17"]
    # What came late does not push out what is newer; what is old is no news.
    monitoring.record_samples([(alice.id, sample("vm_3", now - timedelta(seconds=30), cpu=77.0))])
    assert monitoring.get_latest(["vm_3"])["vm_3"].cpu_percent == 3.0
    clock.advance(61)
    assert monitoring.get_latest(["vm_3"]) == {}
    assert monitoring.get_busiest(alice.id) == []
    assert monitoring.get_latest([]) == {}


def test_sparklines_are_five_minute_means(monitoring, alice, clock):
    clock.set(datetime(2026, 11, 23, 10, 0, tzinfo=UTC))
    start = clock.now() - timedelta(minutes=15)
    pairs = [(alice.id, sample("vm_a", start + timedelta(seconds=10 * i), cpu=float(i // 30 * 10))) for i in range(90)]
    monitoring.record_samples(pairs)
    busiest = monitoring.get_busiest(alice.id, others=["vm_b"])
    assert {one.vm_id: line for one, line in busiest} == {"vm_a": (0.0, 10.0, 20.0)}


def test_old_samples_are_pruned_in_small_bites(monitoring, container, alice, clock, monkeypatch):
    monkeypatch.setattr(metrics_store, "PRUNED_AT_ONCE", 7)
    now = clock.now()
    old = [(alice.id, sample(f"vm_{i % 5}", now - timedelta(hours=25, seconds=i))) for i in range(40)]
    monitoring.record_samples([*old, (alice.id, sample("vm_9", now))])
    monitoring.record_console("vm_1", "old", 3)
    assert monitoring.prune() == 40
    assert (count(container, DbSample), count(container, DbLatest), count(container, DbConsole)) == (1, 1, 1)
    clock.advance(hours=25)
    assert monitoring.prune() == 1
    assert (count(container, DbSample), count(container, DbLatest), count(container, DbConsole)) == (0, 0, 0)
    assert monitoring.prune() == 0


def test_made_up_metrics_are_seeded(monitoring, container, alice, clock):
    start = clock.now() - timedelta(minutes=10)
    assert monitoring.generate_mock_metrics("vm_a", start, clock.now(), owner_id=alice.id, seed=7) == 60
    assert monitoring.generate_mock_metrics("vm_a", start, clock.now(), owner_id=alice.id, seed=7) == 60
    assert count(container, DbSample) == 60
    assert monitoring.get_latest(["vm_a"]) == {}


# -- the console --------------------------------------------------------------------------------


def test_a_console_is_kept_with_its_age(monitoring, alice, vm, clock):
    assert monitoring.get_console(vm.id, actor=acting(alice)).collected_at is None
    monitoring.record_console(vm.id, "booting\x00…\n", 10)
    tail = monitoring.get_console(vm.id, actor=acting(alice))
    assert (tail.text, tail.collected_at) == ("booting…\n", clock.now())
    assert monitoring.console_sizes() == {vm.id: 10}
    clock.advance(5)
    monitoring.record_console(vm.id, "ignored", 10, changed=False)
    tail = monitoring.get_console(vm.id)
    assert (tail.text, tail.collected_at, tail.output_at) == ("booting…\n", clock.now(), None)
    monitoring.record_console(vm.id, "booting…\nlogin:", 17)
    grown = clock.now()
    clock.advance(5)
    monitoring.record_console(vm.id, "", 17, changed=False)
    assert monitoring.get_console(vm.id).output_at == grown


# -- collecting -----------------------------------------------------------------------------------


def test_headlines_and_console_at_a_glance(monitoring, container, alice, cloud, vm, clock):
    """One statement, the same as two."""
    now = clock.now()
    hour = now - timedelta(hours=1), now
    loaded = cloud.vms.get_vm(vm.id, actor=acting(alice))

    def glance(**asked):
        return monitoring.read_at_a_glance(loaded, *hour, max_points=24, **asked)

    assert glance(with_console=True)[1] == ""
    monitoring.record_console(vm.id, "booting", 7)
    assert glance(with_console=True)[0].times == ()
    monitoring.generate_mock_metrics(vm.id, now - timedelta(minutes=20), now, owner_id=alice.id)
    with Statements(container.metrics_database) as counted:
        series, console = glance(with_console=True)
    assert len([text for text in counted.texts if text.startswith("SELECT")]) == 1
    alone, nothing = glance(with_console=False)
    assert (console, nothing) == ("booting", "")
    assert series.times == alone.times
    assert len(series.times) > 5
    for name in ("cpu_percent", "memory_used_bytes", "memory_total_bytes"):
        assert series.columns[name] == alone.columns[name]


def test_the_sampler_makes_rates_of_counters(cloud, monitoring, alice, vm, clock):
    sampler = Sampler(cloud.vms, monitoring, cloud.driver)
    sampler.run()
    assert monitoring.get_vm_metrics(vm.id).times == ()
    for _ in range(6):
        clock.advance(10)
        sampler.run()
    series = monitoring.get_vm_metrics(vm.id)
    assert len(series.times) == 6
    assert all(0 < value <= 100 for value in series.columns["cpu_percent"])
    assert all(value > 0 for value in series.columns["disk_write_bytes_per_s"])
    assert [one.vm_id for one, _ in monitoring.get_busiest(alice.id)] == [vm.id]
    # A new run's counters begin anew: no rate across it.
    cloud.vms.force_off_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    clock.advance(1)
    cloud.vms.start_vm(vm.id, actor=acting(alice))
    cloud.worker.work()
    clock.advance(9)
    sampler.run()
    assert len(monitoring.get_vm_metrics(vm.id).times) == 6
    clock.advance(10)
    sampler.run()
    assert len(monitoring.get_vm_metrics(vm.id).times) == 7


def test_consoles_are_collected_in_turn_and_those_that_come_up_at_once(cloud, monitoring, alice, clock, monkeypatch):
    monkeypatch.setattr("zentry_web.worker.sampling.CONSOLES_PER_ROUND", 2)
    project = cloud.project(alice)
    vms = [cloud.launch(alice, project, f"web-{number}") for number in range(3)]
    collector = ConsoleCollector(cloud.vms, monitoring, cloud.driver)
    collector.run()
    assert len(monitoring.console_sizes()) == 2
    fresh = cloud.launch(alice, project, "fresh", answered=False)
    collector.run()
    assert set(monitoring.console_sizes()) == {vm.id for vm in (*vms, fresh)}
    cloud.round()
    text = {}
    for _ in range(2):
        collector.run()
        text = {vm.id: monitoring.get_console(vm.id).text for vm in (*vms, fresh)}
    assert all(f"ZENTRY-READY {vm_id}" in found for vm_id, found in text.items())
    # One whose console cannot be read does not keep the others waiting for ever.
    before = monitoring.get_console(vms[-1].id).collected_at
    clock.advance(10)
    cloud.control.fault("console_log", "unavailable", vms[0].id, times=None)
    for _ in range(3):
        with suppress(ComputeUnavailable):
            collector.run()
    assert monitoring.get_console(vms[-1].id).collected_at > before


# -- health ---------------------------------------------------------------------------------------


def health(monitoring):
    return {part.name: part for part in monitoring.list_service_health()}


def test_every_part_is_named_and_tells_how_it_is(cloud, monitoring, clock):
    parts = health(monitoring)
    assert list(parts) == ["database", "metrics", "worker", "compute"]
    assert [part.ok for part in parts.values()] == [True, True, False, False]
    assert parts["worker"].detail == "no worker has ever reported"
    cloud.worker.reconciler.run()
    monitoring.processes.record_heartbeat("one", "bill", 12)
    assert all(part.ok for part in health(monitoring).values())
    clock.advance(31)
    parts = health(monitoring)
    assert (parts["worker"].ok, parts["worker"].age_seconds) == (False, 31)
    assert (parts["compute"].ok, parts["compute"].detail) == (False, "not checked for 31 s")
    cloud.control.fault("machines", "unavailable")
    cloud.worker.reconciler.run()
    assert "does not answer" in health(monitoring)["compute"].detail
    cloud.worker.reconciler.run()
    assert health(monitoring)["compute"].ok


@pytest.mark.error
def test_health_is_told_even_without_a_database(cloud, monitoring, monkeypatch):
    def broken(*_):
        raise OSError("gone")

    monkeypatch.setattr(cloud.container.database, "reading", broken)
    parts = health(monitoring)
    assert [part.ok for part in parts.values()] == [False, True, False, False]


def test_heartbeats_are_kept_for_a_day(cloud, monitoring, clock):
    processes = monitoring.processes
    processes.record_heartbeat("one", "bill", 12)
    clock.advance(5)
    processes.record_heartbeat("one", "bill", 7, "x" * 900)
    (beat,) = processes.list_heartbeats()
    assert (beat.worker, beat.loop, beat.milliseconds, len(beat.error)) == ("one", "bill", 7, 500)
    clock.advance(days=1, seconds=1)
    processes.forget_old()
    assert processes.list_heartbeats() == []


def test_a_job_has_one_leader_at_a_time(monitoring, clock):
    processes = monitoring.processes
    assert processes.lead("bill", "one", 15)
    assert not processes.lead("bill", "two", 15)
    assert processes.lead("sample", "two", 15)
    clock.advance(10)
    assert processes.lead("bill", "one", 15)
    clock.advance(15)
    assert processes.lead("bill", "two", 15)
    assert not processes.lead("bill", "one", 15)
    processes.step_down("two")
    assert processes.lead("bill", "one", 15)
    assert processes.lead("sample", "one", 15)
