"""``python -m bench [--only NAME]``: measures and prints one JSON line per figure; exit 1 when a goal is missed."""

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import (
    audits,
    backups,
    bins,
    boots,
    browsing,
    clones,
    console_pages,
    consoles,
    credits,
    drift,
    html,
    idle,
    landing,
    launches,
    pages,
    palette,
    queries,
    reconciling,
    restarts,
    rights,
    scale,
    settling,
    snapshots,
    transfers,
)
from bench.demo import demo
from bench.figures import Figure
from bench.report import write_report
from bench.sizes import SMOKE, Sizes
from bench.stage import stage
from bench.stores import stores
from zentry_web.logs import configure_logs

# Names of figures, and what measures them: given the place it is measured at, and the sizes.
Group = tuple[tuple[str, ...], Callable[[Any, Sizes], Iterator[Figure]]]
FIRST: tuple[Group, ...] = ((queries.NAMES, queries.measure),)
# On a Zentry with many machines, seeded once.
STAGED: tuple[Group, ...] = (
    (pages.AT_REST, pages.measure),
    (console_pages.NAMES, console_pages.measure),
    (launches.NAMES, launches.measure),
    (pages.BUSY, pages.measure_busy),
)
# On both databases.
STORED: tuple[Group, ...] = (
    (settling.NAMES, settling.measure),
    (transfers.NAMES, transfers.measure),
    (credits.NAMES, credits.measure),
    (rights.NAMES, rights.measure),
    (bins.NAMES, bins.measure),
    (scale.NAMES, scale.measure),
    (palette.NAMES, palette.measure),
    (reconciling.NAMES, reconciling.measure),
)
# With a browser.
SHOWN: tuple[Group, ...] = (
    (html.NAMES, html.measure),
    (browsing.SHIFTS, browsing.shifts),
    (browsing.VISITS, browsing.visits),
    (browsing.IDLE, browsing.idle_requests),
    (browsing.CHARTS, browsing.charts),
    (audits.NAMES, audits.measure),
)
LAST: tuple[Group, ...] = (
    (landing.NAMES, landing.measure),
    (idle.NAMES, idle.measure),
    (clones.NAMES, clones.measure),
    (boots.NAMES, boots.measure),
    (consoles.NAMES, consoles.measure),
    (snapshots.NAMES, snapshots.measure),
    (backups.NAMES, backups.measure),
    (restarts.NAMES, restarts.measure),
    (drift.NAMES, drift.measure),
)
NAMES = tuple(name for names, _ in (*FIRST, *STAGED, *STORED, *SHOWN, *LAST) for name in names)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=NAMES, help="only this figure (may be repeated)")
    parser.add_argument("--vms", type=int, help=f"machines that are seeded (default {Sizes.vms})")
    parser.add_argument("--requests", type=int, help=f"requests behind a p95 (default {Sizes.requests})")
    parser.add_argument("--fleet", type=int, help=f"machines that are settled (default {Sizes.fleet})")
    parser.add_argument("--entries", type=int, help=f"ledger entries behind the credits page (default {Sizes.entries})")
    parser.add_argument("--pairs", type=int, help=f"pairs of boots (default {Sizes.pairs})")
    parser.add_argument("--smoke", action="store_true", help="tiny numbers: only whether each figure still runs")
    parser.add_argument("--report", type=Path, help="write a table of the figures and of the machine here, too")
    chosen = parser.parse_args()
    configure_logs(logging.ERROR)
    figures = []
    with tempfile.TemporaryDirectory(prefix="zentry-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the hypervisor may run as another user
        for figure in _figures(set(chosen.only or NAMES), folder, _sizes(chosen)):
            figures.append(figure)
            print(figure.line(), flush=True)
            if chosen.report:
                write_report(chosen.report, figures)
    missed = [figure.name for figure in figures if not figure.is_reached]
    if missed and not chosen.smoke:
        print(f"bench: goal missed: {', '.join(missed)}", file=sys.stderr)
        return 1
    return 0


def _sizes(chosen: argparse.Namespace) -> Sizes:
    given = {name: getattr(chosen, name) for name in ("vms", "requests", "fleet", "entries", "pairs")}
    return replace(SMOKE if chosen.smoke else Sizes(), **{name: size for name, size in given.items() if size})


def _figures(wanted: set[str], folder: Path, sizes: Sizes) -> Iterator[Figure]:
    yield from _measure(FIRST, wanted, folder, sizes)
    if any(wanted.intersection(names) for names, _ in STAGED):
        with stage(folder, vms=sizes.vms) as zentry:
            yield from _measure(STAGED, wanted, zentry, sizes)
    if any(wanted.intersection(names) for names, _ in STORED):
        with stores(folder) as found:
            for store in found:
                yield from _measure(STORED, wanted, store, sizes)
    if any(wanted.intersection(names) for names, _ in SHOWN):
        with demo(folder / "shown", vms=sizes.shown_vms, days=sizes.shown_days) as shown:
            yield from _measure(SHOWN, wanted, shown, sizes)
    yield from _measure(LAST, wanted, folder, sizes)


def _measure(groups: tuple[Group, ...], wanted: set[str], place: object, sizes: Sizes) -> Iterator[Figure]:
    """The wanted figures. Raises RuntimeError when a group does not measure exactly what its names say."""
    for names, measure in groups:
        if not wanted.intersection(names):
            continue
        measured = []
        for figure in measure(place, sizes):
            measured.append(figure.name)
            if figure.name in wanted:
                yield figure
        if tuple(measured) != names:
            raise RuntimeError(f"{', '.join(names)} should be measured, but these were: {', '.join(measured)}")


if __name__ == "__main__":
    sys.exit(main())
