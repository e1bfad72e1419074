"""Lighthouse on the pages that people meet most: on a desktop, and on a slow phone far from a mast.

Scores, curves and the simulated throttling are Lighthouse's own (developer.chrome.com/docs/lighthouse). The phone has a
processor four times as slow, 1.6 Mbit/s and round trips of 150 ms.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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
SECONDS, GRACE_SECONDS = 180, 10  # for one run, and for ending it

Scores = dict[str, float]


@dataclass(frozen=True)
class Audited:
    """What Lighthouse says of a page: scores of 100, and by category the audits that it did not pass whole."""

    scores: Scores
    missed: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Unmeasured:
    """A page of which Lighthouse has no scores: it took too long, did not paint, the browser ended."""

    why: str


Look = Audited | Unmeasured


def measure(zentry: Demo, sizes: Sizes) -> Iterator[Figure]:
    """The lowest score of all pages; the baseline is a plain page's on the same server. A page whose performance is
    below the goal is measured again, and the median counts, as Lighthouse advises. One that cannot be measured is
    named and misses every goal; it holds up no other."""
    pages = PAGES[: sizes.looked_at]
    found: dict[str, dict[str, Look]] = {}
    bare: dict[str, Look] = {}
    with plain(zentry.folder) as port:
        for form in GOALS:
            bare[form] = _audit(f"http://127.0.0.1:{port}/", {}, form, zentry.folder)
            found[form] = {name: _page(zentry, name, form, sizes.rounds) for name in pages}
    for form, goal in GOALS.items():
        yield lowest(f"lighthouse_{form}", "performance", found[form], goal, [bare[form]])
    both = {f"{name}_{form}": look for form in GOALS for name, look in found[form].items()}
    for category in CATEGORIES[1:]:
        yield lowest(f"lighthouse_{category.replace('-', '_')}", category, both, 100, list(bare.values()))


def lowest(name: str, category: str, pages: Mapping[str, Look], goal: float, plain: Sequence[Look]) -> Figure:
    """The figure of a category, with each page's score: null for one without, which is among the ``failed`` then."""
    audited = {page: look for page, look in pages.items() if isinstance(look, Audited)}
    failed = {page: look.why for page, look in pages.items() if isinstance(look, Unmeasured)}
    missed = {page: look.missed[category] for page, look in audited.items() if look.missed[category]}
    scores = {page: look.scores[category] for page, look in audited.items()}
    facts: dict[str, Any] = {page: scores.get(page) for page in pages} | {"missed": missed} | {"failed": failed}
    value = min(scores.values(), default=0)
    baseline = min((look.scores[category] for look in plain if isinstance(look, Audited)), default=0)
    return Figure(name, value, "points", goal, baseline, facts, at_least=True, failed=tuple(failed))


def _page(zentry: Demo, name: str, form: str, rounds: int) -> Look:
    """What is said of a page: the median of its runs, of those that came to an end."""
    runs: list[Audited] = []
    for _ in range(rounds):
        look = _audit(zentry.url(name), zentry.cookies_for(name), form, zentry.folder)
        if isinstance(look, Audited):
            runs.append(look)
        if runs and runs[0].scores["performance"] >= GOALS[form]:
            break
    if not runs:
        return look
    return Audited({each: median([run.scores[each] for run in runs]) for each in CATEGORIES}, runs[0].missed)


def _audit(url: str, cookies: dict[str, str], form: str, folder: Path) -> Look:
    """One run of Lighthouse."""
    headers = folder / "headers.json"  # not among the arguments: they are seen by all
    headers.touch(mode=0o600)
    headers.write_text(json.dumps({"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}))
    command = ["node", str(_installed()), url, "--quiet", "--output=json", f"--extra-headers={headers}"]
    command += [f"--only-categories={','.join(CATEGORIES)}", "--chrome-flags=--headless=new --no-sandbox --disable-gpu"]
    command += ["--preset=desktop"] if form == "desktop" else []
    return run(command, SECONDS)


def run(command: Sequence[str], seconds: float) -> Look:
    """What this program, Lighthouse, reports. After so many seconds it ends, and the browser that it started."""
    environment = os.environ | {"CHROME_PATH": chromium()}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as started:  # fmt: skip
        try:
            report, told = started.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            _end(started)
            return Unmeasured(f"no report within {seconds:g} seconds")
    if started.returncode:
        return Unmeasured(f"Lighthouse ended with {started.returncode}: {told[-1000:].strip()}")
    return look_of(json.loads(report))


def _end(started: subprocess.Popen[str]) -> None:
    started.send_signal(signal.SIGINT)  # at which it ends its browser, which is no child of its group
    try:
        started.communicate(timeout=GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)


def look_of(report: dict[str, Any]) -> Look:
    """What a report says."""
    if error := report.get("runtimeError"):
        return Unmeasured(f"Lighthouse: {error['message']}")
    categories = {name: report["categories"][name] for name in CATEGORIES}
    scores = {name: round(category["score"] * 100) for name, category in categories.items()}
    return Audited(scores, {name: _missed(category, report["audits"]) for name, category in categories.items()})


def _missed(category: dict[str, Any], audits: dict[str, Any]) -> tuple[str, ...]:
    """The audits that count in a category and are not passed whole."""
    counted = [each["id"] for each in category["auditRefs"] if each["weight"]]
    return tuple(name for name in counted if audits[name]["score"] not in (None, 1))


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
