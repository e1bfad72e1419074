"""Drawings of the server: where their lines lie, where these stop, and what stands beside them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from zentry_web.domain.monitoring import MetricSeries
from zentry_web.web.output.curves import draw, line, path

pytestmark = pytest.mark.unit

START = datetime(2026, 11, 23, 12, 10, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


def series(minutes: int, step: int, **columns: tuple[float | None, ...]) -> MetricSeries:
    first, count = int(START.timestamp()), max(map(len, columns.values()))
    times = tuple(first + number * step for number in range(count))
    return MetricSeries("vm_1", START, START + timedelta(minutes=minutes), step, times, columns)


def test_places_are_counted_from_the_lower_left() -> None:
    places = [(0, 0), (0.5, 1), (1, 0.25)]
    assert line(places) == "0,1000 500,0 1000,750"
    assert path(places) == "M0,1000l500,-1000 500,750"
    assert path(places[:1]) == "M0,1000"


def test_a_pause_and_a_missing_value_end_a_line() -> None:
    found = draw("cpu", series(10, 60, cpu_percent=(10.0, 20.0, None, 40.0, 50.0)), UTC)
    assert found.lines[0].path == "M0,900l100,-100M300,600l100,-100"
    first = int(START.timestamp())
    paused = MetricSeries(
        "vm_1",
        START,
        START + timedelta(minutes=10),
        60,
        (first, first + 60, first + 360),
        {"cpu_percent": (1.0, 1.0, 2.0)},
    )
    assert draw("cpu", paused, UTC).lines[0].path == "M0,990l100,0M600,980"


def test_a_processor_s_chart_reaches_up_to_all_of_it() -> None:
    found = draw("cpu", series(60, 300, cpu_percent=(10.0, 30.0)), UTC)
    assert [text for _, text in found.heights] == ["0%", "20%", "40%", "60%", "80%", "100%"]
    assert (found.heights[0][0], found.heights[-1][0]) == ("100.00", "0.00")
    assert found.spoken == "CPU: 10% to 30%, last 30%"


@pytest.mark.parametrize(
    ("rates", "texts"),
    [
        ((0.0, 0.0), ["0B/s", "200B/s", "400B/s", "600B/s", "800B/s", "1kB/s"]),
        ((0.0, 1_900_000.0), ["0B/s", "500kB/s", "1MB/s", "1.5MB/s", "2MB/s"]),
    ],
)
def test_rates_have_round_figures_beside_them(rates: tuple[float, ...], texts: list[str]) -> None:
    found = draw("disk", series(60, 300, disk_read_bytes_per_s=rates, disk_write_bytes_per_s=(0.0, 0.0)), UTC)
    assert [text for _, text in found.heights] == texts
    assert all(0 <= float(top) <= 100 for top, _ in found.heights)


def test_times_are_round_on_the_clock_of_who_looks() -> None:
    found = draw("cpu", series(60, 300, cpu_percent=(1.0,)), BERLIN)
    assert found.times == (("8.33", "13:15"), ("33.33", "13:30"), ("58.33", "13:45"), ("83.33", "14:00"))
    assert found.zone == "CET"
    india = draw("cpu", series(24 * 60, 300, cpu_percent=(1.0,)), ZoneInfo("Asia/Kolkata"))
    assert [text for _, text in india.times] == ["18:00", "00:00", "06:00", "12:00"]


def test_where_nothing_was_measured_nothing_is_drawn_or_said() -> None:
    found = draw("memory", series(60, 300, memory_used_bytes=(), memory_total_bytes=()), UTC)
    assert [each.path for each in found.lines] == ["", ""]
    assert found.spoken == ""


def test_days_have_no_clock() -> None:
    whole = series(29 * 24 * 60, 86_400, sign_ups=(0.0, 2.0, 0.0))
    found = draw("sign_ups", whole, UTC)
    assert found.zone == ""
    assert [text for _, text in found.times] == ["26 Nov", "3 Dec", "10 Dec", "17 Dec"]
    assert [text for _, text in found.heights] == ["0", "1", "2", "3", "4"]


def test_memory_is_told_in_gib_from_a_gib_on() -> None:
    used, whole = tuple(float(2**20 * mib) for mib in (300, 1536)), (float(2**31), float(2**31))
    found = draw("memory_gib", series(60, 300, memory_used_bytes=used, memory_total_bytes=whole), UTC)
    assert [text for _, text in found.heights] == ["0 GiB", "0.5 GiB", "1 GiB", "1.5 GiB", "2 GiB"]
