"""The bench's own arithmetic, its form of output, and how it counts statements."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from bench import __main__ as bench
from bench import credits, queries, settling, transfers
from bench.figures import Figure, median, p95
from bench.plain import ROWS, app
from bench.queries import counting
from bench.stores import Store

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.unit
SMALL = (
    (settling, "ROUNDS", 1), (transfers, "ROUNDS", 1), (transfers, "EACH", 5), (transfers, "WARM_UP", 1),
    (credits, "VMS", 6), (credits, "HOURS", 4), (credits, "REQUESTS", 2),
)  # fmt: skip


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
    asked = {"overview_p95_ms", "vm_list_p95_ms", "vm_list_rps", "vm_list_queries", "launch_response_ms"}
    asked |= {"settle_100k_s", "settle_ratio", "transfer_ratio", "credits_page_p95_ms", "whatif_500_ms"}
    asked |= {"login_page_p95_ms", "project_page_p95_ms", "password_hash_ms", "permission_check_us"}
    assert asked | {"launch_boot_overhead_s"} <= set(bench.NAMES)
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "nonsense"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "launch_boot_overhead_s" in done.stderr


def test_the_money_benches_run_one_after_the_other_on_one_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small: each writes the baseline's rows too, so a column or a key that the baseline lacks is found here."""
    for module, name, value in SMALL:
        monkeypatch.setattr(module, name, value)
    store = Store("sqlite", tmp_path)
    runs = (settling.measure(store, 20), transfers.measure(store), credits.measure(store, 30))
    figures = [figure for run in runs for figure in run]
    assert tuple(figure.name for figure in figures) == bench.MONEY
    assert all(figure.value > 0 and figure.baseline > 0 for figure in figures)


def test_the_bench_of_statements_runs(tmp_path: Path) -> None:
    figures = list(queries.measure(tmp_path, 12))
    assert {figure.name: figure.value == figure.baseline for figure in figures} == dict.fromkeys(queries.PATHS, True)
