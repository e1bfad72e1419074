"""Chart skeletons are valid Plotly, name their columns, and carry no data; payloads are compact."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from zentry_web.domain.monitoring import MetricSeries
from zentry_web.web.output import charts

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("theme", charts.THEMES)
@pytest.mark.parametrize("kind", sorted(charts.KINDS))
def test_a_skeleton_names_its_columns_and_holds_no_points(kind: str, theme: str) -> None:
    made = charts.skeleton(kind, theme)
    assert [trace["meta"]["column"] for trace in made["traces"]] == [line.column for line in charts.KINDS[kind].lines]
    assert all("x" not in trace and "y" not in trace for trace in made["traces"])
    assert made["layout"]["uirevision"] == "keep"
    assert "template" not in made["layout"]


def test_themes_differ_in_colours_only() -> None:
    light, dark = charts.skeleton("cpu", "light"), charts.skeleton("cpu", "dark")
    assert light["layout"]["font"]["color"] != dark["layout"]["font"]["color"]
    assert light["layout"].keys() == dark["layout"].keys()


def test_a_skeleton_is_built_once() -> None:
    charts.warm_up()
    assert charts.skeleton("memory", "dark") is charts.skeleton("memory", "dark")


def test_an_unknown_kind_is_an_error() -> None:
    with pytest.raises(KeyError):
        charts.skeleton("weather", "light")


def test_a_payload_counts_from_its_start_and_keeps_gaps() -> None:
    start = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    first = int(start.timestamp())
    series = MetricSeries("vm_1", start, start, 10, (first, first + 10), {"cpu_percent": (1.23456, None)})
    shown = charts.payload(series, ZoneInfo("Europe/Berlin"))
    assert shown.pop("clock") == [(first, 3600, "CET")]
    assert shown == charts.payload(series)
    assert charts.payload(series) == {
        "start": first,
        "end": first,
        "step": 10,
        "times": [0, 10],
        "columns": {"cpu_percent": [1.23, None]},
    }


def test_the_clock_of_a_zone_changes_in_the_second_that_it_does() -> None:
    start, end = datetime(2026, 10, 1, tzinfo=UTC), datetime(2027, 4, 10, tzinfo=UTC)
    found = charts.clock(int(start.timestamp()), int(end.timestamp()), ZoneInfo("Europe/Berlin"))
    assert [(datetime.fromtimestamp(at, UTC), ahead, name) for at, ahead, name in found] == [
        (start, 7200, "CEST"),
        (datetime(2026, 10, 25, 1, tzinfo=UTC), 3600, "CET"),
        (datetime(2027, 3, 28, 1, tzinfo=UTC), 7200, "CEST"),
    ]
    assert charts.clock(int(start.timestamp()), int(end.timestamp()), ZoneInfo("UTC")) == [
        (int(start.timestamp()), 0, "UTC")
    ]
