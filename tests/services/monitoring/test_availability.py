"""What the worker's rounds record of Zentry's parts."""

from datetime import timedelta

import pytest

from zentry_web.domain.availability import WatchedPart

pytestmark = pytest.mark.integration


@pytest.fixture
def availability(container):
    return container.get_monitoring_service().availability


def read(availability, part):
    return next(each for each in availability.read() if each.part == part)


def test_nothing_is_known_before_the_first_look(availability):
    assert availability.read() == []


def test_minutes_count_as_what_was_seen_at_their_end(availability, clock):
    availability.record({WatchedPart.COMPUTE: True})
    for ok in (True, True, False):
        clock.advance(60)
        availability.record({WatchedPart.COMPUTE: ok})
    found = read(availability, WatchedPart.COMPUTE)
    assert (found.days[-1].up_seconds, found.days[-1].down_seconds) == (120, 60)
    assert (found.ok, found.since) == (False, clock.now())
    assert found.days[-2].level == "none"


def test_a_gap_is_the_worker_s_and_of_nothing_else_anything_is_known(availability, clock):
    seen = {WatchedPart.WORKER: True, WatchedPart.COMPUTE: True}
    availability.record(seen)
    clock.advance(600)
    assert read(availability, WatchedPart.WORKER).ok is False
    assert read(availability, WatchedPart.COMPUTE).ok is None
    availability.record(seen)
    worker, compute = read(availability, WatchedPart.WORKER), read(availability, WatchedPart.COMPUTE)
    assert (worker.ok, sum(day.down_seconds for day in worker.days)) == (True, 600)
    assert (compute.ok, compute.watched_days) == (True, 0)


def test_a_gap_over_midnight_falls_into_its_days(availability, clock):
    availability.record({WatchedPart.WORKER: True})
    clock.advance(timedelta(days=2).total_seconds())
    availability.record({WatchedPart.WORKER: True})
    days = read(availability, WatchedPart.WORKER).days[-3:]
    assert sum(day.down_seconds for day in days) == 2 * 86_400
    assert days[1].down_seconds == 86_400


def test_old_days_are_forgotten(availability, clock):
    availability.record({WatchedPart.WORKER: True})
    clock.advance(60)
    availability.record({WatchedPart.WORKER: True})
    clock.advance(timedelta(days=91).total_seconds())
    availability.record({WatchedPart.WORKER: True})
    assert read(availability, WatchedPart.WORKER).days[0].up_seconds == 0
