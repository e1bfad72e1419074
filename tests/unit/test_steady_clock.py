"""The clock that Zentry goes by: the machine's, but for leaps."""

from datetime import UTC, datetime, timedelta

import pytest

from zentry_web.adapters.clock import ManualClock, SteadyClock, clock_ahead
from zentry_web.services.monitoring_service import leap_text

pytestmark = pytest.mark.unit

NOW = datetime(2026, 11, 23, 4, 7, 13, tzinfo=UTC)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


class Host:
    """A machine: time goes by, its clock can be set, it can boot."""

    def __init__(self, folder):
        self.wall, self.up, self.boot, self._note = NOW, 1000.0, "first", folder / "clock.json"

    def live(self, seconds):
        self.wall += seconds * SECOND
        self.up += seconds

    def process(self):
        """The clock of a process that starts now."""
        return SteadyClock(
            self._note, wall=lambda: self.wall, uptime=lambda: self.up, boot=lambda: self.boot,
            monotonic=lambda: self.up,
        )  # fmt: skip

    def damage(self):
        self._note.write_text("{half")


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


@pytest.mark.parametrize("leap", [9 * DAY, -9 * DAY, 61 * SECOND])
def test_a_leap_changes_nothing_and_it_goes_on_by_itself(host, leap):
    clock = host.process()
    host.live(600)
    assert clock.now() == NOW + 600 * SECOND
    host.wall += leap
    for _ in range(60):
        host.live(1)
        clock.now()
    assert clock.now() == NOW + 660 * SECOND
    assert clock.ahead == leap
    host.wall -= leap
    host.live(2)
    assert (clock.now(), clock.ahead) == (NOW + 662 * SECOND, timedelta(0))


def test_a_process_that_starts_during_the_leap_goes_by_the_same_time(host):
    assert host.process().now() == NOW
    host.wall += 9 * DAY
    host.live(100)
    assert host.process().now() == NOW + 100 * SECOND


def test_small_steps_are_followed_at_once_however_many(host):
    clock = host.process()
    for _ in range(100):
        host.live(30)
        host.wall += 5 * SECOND
        assert clock.now() == host.wall
    assert host.process().now() == host.wall


def test_sleep_of_the_host_is_no_leap(host):
    clock = host.process()
    host.live(9 * 86400)
    assert (clock.now(), clock.ahead) == (host.wall, timedelta(0))


def test_a_clock_that_stays_there_for_a_day_is_believed_by_all_processes(host):
    clock = host.process()
    clock.now()
    host.wall += 9 * DAY
    host.live(10)
    assert clock.now() == NOW + 10 * SECOND
    host.live(3600)
    assert host.process().now() == NOW + 3610 * SECOND
    host.live(86400)
    assert clock.now() == host.wall
    assert host.process().now() == host.wall


def test_after_a_boot_and_with_a_damaged_note_the_clock_is_taken_as_it_is(host):
    host.process().now()
    host.damage()
    assert host.process().now() == NOW
    host.wall, host.up, host.boot = NOW + DAY, 5.0, "second"
    assert host.process().now() == NOW + DAY


def test_the_system_page_has_a_row_for_a_clock_that_leapt(container, host):
    monitoring = container.get_monitoring_service()
    assert monitoring.clock_health() == []
    monitoring.clock = host.process()
    assert monitoring.clock_health() == []
    host.wall += 9 * DAY
    host.live(2)
    (row,) = monitoring.clock_health()
    assert (row.name, row.ok, row.detail) == ("clock", False, leap_text(9 * DAY))


def test_between_two_looks_time_goes_on(host):
    clock = host.process()
    clock.now()
    host.live(0.25)
    assert clock.now() == NOW + 0.25 * SECOND


def test_admins_read_how_far_it_leapt():
    assert "9.0 days ahead of the time" in leap_text(9 * DAY)
    assert "2.5 hours behind the time" in leap_text(-2.5 * timedelta(hours=1))
    assert clock_ahead(ManualClock(NOW)) == timedelta(0)
