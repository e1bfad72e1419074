"""Lighthouse on the pages that people meet most: on a desktop, and on a slow phone far from a mast.

Scores, curves and the simulated throttling are Lighthouse's own (developer.chrome.com/docs/lighthouse). The phone has a
processor four times as slow, 1.6 Mbit/s and round trips of 150 ms.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from bench.demo import Demo, chromium
from bench.figures import Figure, median
from bench.servers import plain
from bench.sizes import Sizes

NAMES = ("lighthouse_desktop", "lighthouse_mobile", "lighthouse_accessibility", "lighthouse_best_practices")
GOALS = {"desktop": 95, "mobile": 85}
PAGES = ("landing", "log_in", "overview", "machines", "machine", "credits", "project", "admin")
CATEGORIES = ("performance", "accessibility", "best-practices")
ROOT = Path(__file__).resolve().parent.parent
LOCKED = ROOT / "bench" / "npm"
INSTALLED = ROOT / "build" / "bench" / "npm"
SECONDS = 180  # for one run

Scores = dict[str, float]


def measure(zentry: Demo, sizes: Sizes) -> Iterator[Figure]:
    """The lowest score of all pages; the baseline is a plain page's on the same server. A page whose performance is
    below the goal is measured again, and the median counts, as Lighthouse advises."""
    pages = PAGES[: sizes.looked_at]
    found: dict[str, dict[str, Scores]] = {}
    bare: dict[str, Scores] = {}
    with plain(zentry.folder) as port:
        for form in GOALS:
            bare[form] = _audit(f"http://127.0.0.1:{port}/", {}, form, zentry.folder)
            found[form] = {name: _page(zentry, name, form, sizes.rounds) for name in pages}
    for form, goal in GOALS.items():
        scores = {name: page["performance"] for name, page in found[form].items()}
        yield _lowest(f"lighthouse_{form}", scores, goal, bare[form]["performance"])
    for category in CATEGORIES[1:]:
        scores = {f"{name}_{form}": page[category] for form in GOALS for name, page in found[form].items()}
        baseline = min(scored[category] for scored in bare.values())
        yield _lowest(f"lighthouse_{category.replace('-', '_')}", scores, 100, baseline)


def _lowest(name: str, scores: Scores, goal: float, baseline: float) -> Figure:
    return Figure(name, min(scores.values()), "points", goal, baseline, dict(scores), at_least=True)


def _page(zentry: Demo, name: str, form: str, rounds: int) -> Scores:
    """The scores of a page, of 100."""
    runs = [_audit(zentry.url(name), zentry.cookies_for(name), form, zentry.folder)]
    while runs[0]["performance"] < GOALS[form] and len(runs) < rounds:
        runs.append(_audit(zentry.url(name), zentry.cookies_for(name), form, zentry.folder))
    return {category: median([run[category] for run in runs]) for category in CATEGORIES}


def _audit(url: str, cookies: dict[str, str], form: str, folder: Path) -> Scores:
    """One run of Lighthouse. Raises RuntimeError when the page could not be measured."""
    headers = folder / "headers.json"  # not among the arguments: they are seen by all
    headers.touch(mode=0o600)
    headers.write_text(json.dumps({"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}))
    command = ["node", str(_installed()), url, "--quiet", "--output=json", f"--extra-headers={headers}"]
    command += [f"--only-categories={','.join(CATEGORIES)}", "--chrome-flags=--headless=new --no-sandbox --disable-gpu"]
    command += ["--preset=desktop"] if form == "desktop" else []
    environment = os.environ | {"CHROME_PATH": chromium()}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS)
    if done.returncode:
        raise RuntimeError(f"Lighthouse ended with {done.returncode} on {url}:\n{done.stderr[-3000:]}")
    return scores_of(json.loads(done.stdout))


def scores_of(report: dict[str, Any]) -> Scores:
    """The scores of a report, of 100. Raises RuntimeError when it has none."""
    if error := report.get("runtimeError"):
        raise RuntimeError(f"Lighthouse: {error['message']}")
    return {name: round(report["categories"][name]["score"] * 100) for name in CATEGORIES}


@cache
def _installed() -> Path:
    """Lighthouse's program as it is locked; npm fetches it when it is not there."""
    lock = LOCKED / "package-lock.json"
    copied = INSTALLED / lock.name
    program = INSTALLED / "node_modules" / "lighthouse" / "cli" / "index.js"
    if not (copied.exists() and copied.read_bytes() == lock.read_bytes() and program.exists()):
        shutil.rmtree(INSTALLED, ignore_errors=True)
        INSTALLED.mkdir(parents=True)
        shutil.copy(LOCKED / "package.json", INSTALLED)
        shutil.copy(lock, INSTALLED)
        fetch = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(fetch, cwd=INSTALLED, capture_output=True, text=True, check=False)
        if done.returncode:
            copied.unlink()
            raise RuntimeError(f"npm could not install Lighthouse:\n{done.stderr[-3000:]}")
    return program
