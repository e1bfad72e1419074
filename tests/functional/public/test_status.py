"""/status : how the parts are and were."""

import pytest

from zentry_web.domain.availability import WatchedPart

pytestmark = pytest.mark.integration


def test_before_anything_is_recorded_it_says_so(visitor):
    text = visitor.page("/status").text()
    assert "Nothing else has been recorded yet" in text
    assert "you see this page" in text


def test_parts_now_and_the_days_on_which_they_did_not_work(visitor, container, clock):
    availability = container.get_monitoring_service().availability
    for ok in (True, True, False):
        availability.record({WatchedPart.WORKER: True, WatchedPart.COMPUTE: ok})
        clock.advance(60)
    page = visitor.page("/status")
    assert "Not everything works." in page.text()
    assert "Does not work" in page.text()
    assert "worked 50.00 % of the time watched, on 1 day" in page.text()
    assert len(page.find("//*[local-name()='rect']")) == 180
    assert len(page.html) < 30_000
    availability.record({WatchedPart.WORKER: True, WatchedPart.COMPUTE: True})
    assert "Everything works." in visitor.page("/status").text()
    clock.advance(3600)
    assert "Not everything works." in visitor.page("/status").text()  # the worker is away


def test_the_worker_records_in_its_rounds(visitor, cloud, clock):
    cloud.round(1)
    for _ in range(2):
        cloud._biller._watch_parts()
        clock.advance(60)
        cloud.round(1)
    assert "Everything works." in visitor.page("/status").text()
