"""However many VMs there are: rounds take a bounded number of statements, and no write holds the database for long."""

import time
from datetime import timedelta
from types import SimpleNamespace

import pytest

from tests.conftest import sign_up
from tests.services.people import Statements
from tests.services.vm_world import Cloud
from zentry_web.composition import build_container, make_compute
from zentry_web.domain.monitoring import Sample
from zentry_web.services import base_service
from zentry_web.worker.sampling import ConsoleCollector, Sampler

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

VMS = 150
LONGEST_SECONDS = 0.1


@pytest.fixture
def transactions(monkeypatch):
    """Seconds of every write transaction; the time its thread worked, so that a busy machine does not count."""
    seconds = []
    monkeypatch.setattr(base_service, "time", SimpleNamespace(perf_counter=time.thread_time, sleep=time.sleep))
    monkeypatch.setattr(base_service, "_observe", seconds.append)
    return seconds


@pytest.fixture
def fleet(sqlite_config, clock):
    """A cloud with many running VMs of five people."""
    container = build_container(sqlite_config, clock=clock)
    driver = make_compute(sqlite_config, clock=clock)
    cloud = Cloud(container, driver, clock, sqlite_config)
    people = [sign_up(container, f"person{number}") for number in range(5)]
    projects = [cloud.project(user) for user in people]
    for number in range(VMS):
        cloud.ask(people[number % 5], projects[number % 5], f"vm-{number}")
    cloud.worker.work(most=VMS)
    cloud.round()
    yield cloud
    cloud.close()
    driver.close()
    container.close()


def test_rounds_are_short_whatever_happens(fleet, clock, transactions):
    ids = [vm.vm_id for vm in fleet.vms.sightings.list_known()]
    assert len(ids) == VMS
    with Statements(fleet.container.database) as counted:
        clock.advance(3)
        fleet.worker.reconciler.run()
        fleet.bill()
    assert len([text for text in counted.texts if not text.startswith("BEGIN")]) <= 12, "nothing has changed"
    sampler = Sampler(fleet.vms, fleet.monitoring, fleet.driver)
    for _ in range(4):
        clock.advance(10)
        sampler.run()
        if len(fleet.monitoring.get_latest(ids)) == VMS:
            break
    transactions.clear()  # a process composes each statement once, at its first use
    for _ in range(3):
        clock.advance(10)
        sampler.run()
    ConsoleCollector(fleet.vms, fleet.monitoring, fleet.driver).run()
    clock.advance(3700)
    fleet.worker.reconciler.run()
    fleet.bill()
    assert len(fleet.monitoring.get_latest(ids)) == 0
    old = clock.now() - timedelta(hours=30)
    for round_number in range(60):
        at = old - timedelta(seconds=10 * round_number)
        samples = [("owner", Sample(vm_id, at, 1.0, 1, 1, 0, 0, 0, 0)) for vm_id in ids]
        fleet.monitoring.record_samples(samples, latest=False)
    assert fleet.monitoring.prune() >= 60 * VMS
    for vm_id in ids:
        fleet.control.stop(vm_id)
    fleet.round(1)
    assert fleet.vms.count_by_state(None) == {"stopped": VMS}
    assert max(transactions) < LONGEST_SECONDS, sorted(transactions)[-5:]
    fleet.assert_sound()
