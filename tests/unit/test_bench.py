"""The bench's own arithmetic, its form of output, and how it counts statements."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from bench import __main__ as bench
from bench import audits, credits, settling, transfers
from bench.figures import Figure, median, p95
from bench.plain import ROWS, app
from bench.queries import counting
from bench.report import write_report
from bench.sizes import SMOKE, Sizes
from bench.stores import Store

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.unit
MONEY = (*settling.NAMES, *transfers.NAMES, *credits.NAMES)


def test_a_figure_is_one_line_of_json_with_its_ratio() -> None:
    line = Figure("vm_list_p95_ms", 48.12345, "ms", 100, 12.0, {"requests": 500}).line()
    assert "\n" not in line
    assert json.loads(line) == {
        "name": "vm_list_p95_ms", "value": 48.123, "unit": "ms", "goal": 100, "baseline": 12.0, "ratio": 4.01,
        "requests": 500,
    }  # fmt: skip


def test_without_a_baseline_there_is_no_ratio() -> None:
    assert json.loads(Figure("x", 1, "ms", None, 0).line())["ratio"] is None


@pytest.mark.parametrize(("value", "goal", "reached"), [(100, 100, True), (100.1, 100, False), (9, None, True)])
def test_a_goal_is_the_highest_value_that_will_do(value: float, goal: float | None, reached: bool) -> None:
    assert Figure("x", value, "ms", goal, 1).is_reached is reached


@pytest.mark.parametrize(("value", "reached"), [(0.5, True), (0.49, False)])
def test_a_goal_can_be_the_lowest_value_that_will_do(value: float, reached: bool) -> None:
    assert Figure("x", value, "times", 0.5, 1, at_least=True).is_reached is reached


def test_percentiles_are_of_the_nearest_rank() -> None:
    assert p95(list(range(1, 101))) == 95
    assert p95([7]) == 7
    assert p95([3, 1, 2]) == 3
    assert median([4, 1, 3, 2]) == 2.5


def test_only_what_asks_the_database_is_counted() -> None:
    engine = create_engine("sqlite://")
    with counting(engine) as statements, engine.begin() as connection:
        connection.exec_driver_sql("SAVEPOINT one")
        connection.execute(text("SELECT 1"))
        connection.exec_driver_sql("RELEASE one")
    with engine.begin() as connection:
        connection.execute(text("SELECT 2"))  # after the counting
    engine.dispose()
    assert statements == ["SELECT 1"]


def test_the_baseline_s_page_has_as_many_rows_as_the_list() -> None:
    client = app.test_client()
    assert client.get("/").text.count('<tr id="row-vm_') == len(ROWS) == 50
    assert client.post("/", data={"name": "web-1"}).status_code == 303


def test_every_figure_has_a_name_of_its_own_and_can_be_asked_for_alone() -> None:
    assert len(set(bench.NAMES)) == len(bench.NAMES)
    asked = {
        "overview_p95_ms",
        "vm_list_p95_ms",
        "vm_list_rps",
        "vm_list_queries",
        "vm_page_p95_ms",
        "launch_response_ms",
    }
    asked |= {"settle_100k_s", "settle_ratio", "transfer_ratio", "credits_page_p95_ms", "whatif_500_ms"}
    asked |= {"login_page_p95_ms", "project_page_p95_ms", "password_hash_ms", "permission_check_us", "palette_ms"}
    assert asked | {"launch_boot_overhead_s"} <= set(bench.NAMES)
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "nonsense"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "launch_boot_overhead_s" in done.stderr


def test_the_money_benches_run_one_after_the_other_on_one_store(tmp_path: Path) -> None:
    """Small: each writes the baseline's rows too, so a column or a key that the baseline lacks is found here."""
    store = Store("sqlite", tmp_path)
    runs = (settling.measure(store, SMOKE), transfers.measure(store, SMOKE), credits.measure(store, SMOKE))
    figures = [figure for run in runs for figure in run]
    assert tuple(figure.name for figure in figures) == MONEY
    assert all(figure.value > 0 and figure.baseline > 0 for figure in figures)


@pytest.mark.parametrize("measured", [(), ("one",), ("one", "two", "three")])
def test_a_figure_that_is_named_and_not_measured_or_measured_and_not_named_ends_the_run(
    measured: tuple[str, ...],
) -> None:
    def measure(_place: object, _sizes: Sizes) -> Iterator[Figure]:
        yield from (Figure(name, 1, "ms", None, 1) for name in measured)

    with pytest.raises(RuntimeError, match="one, two should be measured"):
        list(bench._measure(((("one", "two"), measure),), {"one", "two"}, None, SMOKE))


def test_the_report_is_a_table_of_figures_and_tells_the_machine(tmp_path: Path) -> None:
    slow = Figure("list_ms", 120.5, "ms", 100, 10, {"database": "sqlite"})
    write_report(tmp_path / "new" / "report.md", [slow, Figure("ratio", 0.6, "times", 0.5, 1, at_least=True)])
    text = (tmp_path / "new" / "report.md").read_text()
    assert "| list_ms | sqlite | 120.500 ms **missed** | 100 | 10.000 | 12.05 |\n" in text
    assert "| ratio |  | 0.600 times | at least 0.5 | 1.000 | 0.60 |\n" in text
    for fact in ("processors", "memory", "Python", "SQLite", "PostgreSQL"):
        assert re.search(rf"^- {fact}: .*\d", text, re.MULTILINE), text


def test_the_scores_of_a_report_are_read_and_a_page_that_could_not_be_measured_ends_the_run() -> None:
    categories = {name: {"score": score} for name, score in zip(audits.CATEGORIES, (0.96, 1, 0.5), strict=True)}
    assert list(audits.scores_of({"categories": categories}).values()) == [96, 100, 50]
    with pytest.raises(RuntimeError, match="no paint"):
        audits.scores_of({"runtimeError": {"message": "no paint"}, "categories": categories})


def test_what_measures_pages_is_pinned() -> None:
    asked = json.loads((audits.LOCKED / "package.json").read_text())["dependencies"]
    packages = json.loads((audits.LOCKED / "package-lock.json").read_text())["packages"]
    assert packages["node_modules/lighthouse"]["version"] == asked["lighthouse"]
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []
