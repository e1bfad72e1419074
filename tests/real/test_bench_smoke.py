"""Every figure of ``make bench`` still runs: with tiny numbers, on both databases. Guests: test_bench_guests.py.

Not here: Lighthouse, which npm would have to fetch."""

import json
import os
import subprocess
import sys

import pytest

from bench import audits, backups, boots, consoles, drift, queries, restarts, snapshots
from bench.__main__ import NAMES, STORED
from tests.conftest import ROOT

pytestmark = [pytest.mark.real, pytest.mark.timeout(1500)]

GUESTS = boots.NAMES + consoles.NAMES + snapshots.NAMES + backups.NAMES + restarts.NAMES + drift.NAMES


def smoke(report, names, **environment):
    """The figures of these names, as the program printed them; it may miss goals, but not end early."""
    only = [word for name in names for word in ("--only", name)]
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--smoke", "--report", report, *only],
        cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = report.read_text()
    assert [name for name in names if f"| {name} |" not in text] == []
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_figure_is_measured_and_reported(tmp_path):
    names = [name for name in NAMES if name not in GUESTS + audits.NAMES]
    figures = smoke(tmp_path / "report.md", names)
    on_both = [name for names, _ in STORED for name in names]
    assert sorted(figure["name"] for figure in figures) == sorted([*names, *on_both])
    counts = {figure["name"]: figure["value"] == figure["baseline"] for figure in figures}
    assert [name for name in queries.PATHS if not counts[name]] == [], "statements do not grow with machines"
