"""What a clock that ran ahead has left behind does no harm once the clock is right."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from zentry_web.domain.monitoring import Sample
from zentry_web.models import DbLatest, DbSample

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)


@pytest.fixture
def monitoring(container):
    return container.get_monitoring_service()


def sample(at, cpu):
    return Sample("vm_a", at, cpu, 100, 200, 0, 0, 0, 0)


def count(container, table):
    with container.parts.metrics_database.reading() as session:
        return session.scalar(select(func.count()).select_from(table))


def test_samples_from_ahead_of_the_clock_are_dropped(container, monitoring, clock):
    monitoring.record_samples([("alice", sample(clock.now() + DAY, 77)), ("alice", sample(clock.now(), 5))])
    assert count(container, DbSample) == 1
    assert monitoring.get_latest(["vm_a"])["vm_a"].cpu_percent == 5


def test_figures_of_tomorrow_are_not_shown_and_give_way_to_todays(container, monitoring, clock):
    clock.advance(86400)
    monitoring.record_samples([("alice", sample(clock.now(), 77))])
    clock.advance(-86400)
    assert monitoring.get_latest(["vm_a"]) == {}
    monitoring.record_samples([("alice", sample(clock.now(), 5))])
    assert monitoring.get_latest(["vm_a"])["vm_a"].cpu_percent == 5
    assert count(container, DbSample) == 2
    monitoring.prune()
    assert (count(container, DbSample), count(container, DbLatest)) == (1, 1)


def test_a_lease_that_lies_days_ahead_holds_no_job(monitoring, clock):
    processes = monitoring.processes
    clock.advance(9 * 86400)
    assert processes.lead("bill", "dead", 15)
    clock.advance(-9 * 86400)
    assert processes.lead("bill", "alive", 15)
    assert not processes.lead("bill", "third", 15)
