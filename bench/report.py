"""The figures as a table for people, with what they were measured on."""

import os
import platform
import re
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.figures import Figure

ROOT = Path(__file__).resolve().parent.parent
HEAD = "| figure | database | value | goal | baseline | ratio |\n|---|---|---:|---:|---:|---:|"


def write_report(path: Path, figures: Sequence[Figure]) -> None:
    """Write ``figures`` and the machine as Markdown; what was in the file is gone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    machine = [f"- {name}: {value}" for name, value in _machine().items()]
    path.write_text("\n".join(["# Figures", "", *machine, "", HEAD, *map(_row, figures), ""]))


def _row(figure: Figure) -> str:
    ratio = f"{figure.value / figure.baseline:.2f}" if figure.baseline else ""
    goal = "" if figure.goal is None else f"{'at least ' if figure.at_least else ''}{figure.goal:g}"
    missed = "" if figure.is_reached else " **missed**"
    missed += f" (not measured: {', '.join(figure.failed)})" if figure.failed else ""
    value = f"{figure.value:.3f} {figure.unit}{missed}"
    return f"| {figure.name} | {figure.more.get('database', '')} | {value} | {goal} | {figure.baseline:.3f} | {ratio} |"


def _machine() -> dict[str, str]:
    model = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    find = '. scripts/lib.sh; "$(find_postgres)/postgres" --version'
    postgres = subprocess.run(["bash", "-c", find], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "processors": f"{os.cpu_count()}, {model[1] if model else platform.machine()}",
        "memory": f"{memory:.1f} GiB",
        "system": platform.platform(),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "PostgreSQL": postgres.stdout.strip().removeprefix("postgres (PostgreSQL) ") or "none",
    }
