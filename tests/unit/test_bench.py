"""The bench's own arithmetic, its form of output, and how it counts statements."""

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import create_engine, text

from bench import __main__ as bench
from bench import audits, credits, settling, transfers
from bench.demo import Demo
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


PASSED = {"contrast": {"score": 1}, "sizes": {"score": 0.5}, "manual": {"score": None}, "shown": {"score": 0}}


def report_of(**scores: float) -> dict[str, Any]:
    """As Lighthouse writes it; ``shown`` does not count."""
    counted = [{"id": name, "weight": int(name != "shown")} for name in PASSED]
    categories = {name: {"score": scores.get(name[:4], 1), "auditRefs": counted} for name in audits.CATEGORIES}
    return {"categories": categories, "audits": PASSED}


def test_the_scores_of_a_report_are_read_with_the_audits_that_are_missed() -> None:
    look = audits.look_of(report_of(perf=0.96, best=0.5))
    assert look == audits.Audited(
        {"performance": 96, "accessibility": 100, "best-practices": 50}, dict.fromkeys(audits.CATEGORIES, ("sizes",))
    )
    assert audits.look_of({"runtimeError": {"message": "no paint"}}) == audits.Unmeasured("Lighthouse: no paint")


@pytest.mark.parametrize(
    ("program", "seconds", "why"),
    [
        ("import time; time.sleep(600)", 0.5, "no report within 0.5 seconds"),
        ("raise SystemExit('no browser')", 60, "Lighthouse ended with 1: no browser"),
        ('print(\'{"runtimeError": {"message": "no paint"}}\')', 60, "Lighthouse: no paint"),
    ],
)
def test_a_page_that_lighthouse_cannot_measure_is_told_with_the_reason(
    program: str, seconds: float, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHROMIUM", "none")
    assert audits.run([sys.executable, "-c", program], seconds) == audits.Unmeasured(why)


def test_one_page_that_cannot_be_measured_misses_the_goal_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def audit(url: str, _cookies: dict[str, str], form: str, _folder: Path) -> audits.Look:
        asked.append(f"{form} {url}")
        return audits.Unmeasured("no report within 180 seconds") if url == "log_in" else audits.look_of(report_of())

    class Shown:
        folder = tmp_path
        url = staticmethod(str)
        cookies_for = staticmethod(lambda _name: {})

    monkeypatch.setattr(audits, "_audit", audit)
    monkeypatch.setattr(audits, "plain", lambda _folder: contextlib.nullcontext(1))
    found = {each.name: each for each in audits.measure(cast(Demo, Shown()), replace(SMOKE, looked_at=3))}
    assert tuple(found) == audits.NAMES
    desktop = json.loads(found["lighthouse_desktop"].line())
    assert (desktop["value"], desktop["log_in"], desktop["overview"]) == (100, None, 100)
    assert desktop["failed"] == {"log_in": "no report within 180 seconds"}
    assert not any(each.is_reached for each in found.values())
    assert "mobile overview" in asked
    write_report(tmp_path / "report.md", [found["lighthouse_mobile"]])
    assert "100.000 points **missed** (not measured: log_in) |" in (tmp_path / "report.md").read_text()


def test_what_measures_pages_is_pinned() -> None:
    asked = json.loads((audits.LOCKED / "package.json").read_text())["dependencies"]
    packages = json.loads((audits.LOCKED / "package-lock.json").read_text())["packages"]
    assert packages["node_modules/lighthouse"]["version"] == asked["lighthouse"]
    assert [name for name, package in packages.items() if name and "integrity" not in package] == []
