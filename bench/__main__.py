"""``python -m bench [--only NAME]``: measures and prints one JSON line per figure; exit 1 when a goal is missed."""

import argparse
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import bins, boots, credits, launches, pages, queries, rights, settling, transfers
from bench.figures import Figure
from bench.stage import stage
from bench.stores import stores
from zentry_web.logs import configure_logs

MONEY = (*settling.NAMES, transfers.NAME, *credits.NAMES)
STORED = (*MONEY, *rights.NAMES, *bins.NAMES)
NAMES = (*queries.PATHS, *pages.AT_REST, *launches.NAMES, *pages.BUSY, *STORED, boots.NAME)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=NAMES, help="only this figure (may be repeated)")
    parser.add_argument("--vms", type=int, default=1000, help="machines that are seeded (default 1000)")
    parser.add_argument("--requests", type=int, default=500, help="requests behind a p95 (default 500)")
    parser.add_argument("--fleet", type=int, default=100_000, help="machines that are settled (default 100000)")
    parser.add_argument("--entries", type=int, default=1_000_000, help="ledger entries behind the credits page")
    parser.add_argument("--pairs", type=int, default=10, help="pairs of boots (default 10)")
    chosen = parser.parse_args()
    configure_logs(logging.ERROR)
    wanted = set(chosen.only or NAMES)
    missed = []
    with tempfile.TemporaryDirectory(prefix="zentry-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the hypervisor may run as another user
        for figure in _figures(wanted, folder, chosen):
            if figure.name in wanted:
                print(figure.line(), flush=True)
                missed += [] if figure.is_reached else [figure.name]
    if missed:
        print(f"bench: goal missed: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _figures(wanted: set[str], folder: Path, chosen: argparse.Namespace) -> Iterator[Figure]:
    if wanted.intersection(queries.PATHS):
        yield from queries.measure(folder, chosen.vms)
    if wanted.intersection((*pages.AT_REST, *launches.NAMES, *pages.BUSY)):
        yield from _staged(wanted, folder, chosen)
    if wanted.intersection(STORED):
        yield from _stored(wanted, folder, chosen)
    if boots.NAME in wanted:
        yield from boots.measure(folder, chosen.pairs)


def _staged(wanted: set[str], folder: Path, chosen: argparse.Namespace) -> Iterator[Figure]:
    """What needs a Zentry with many machines, seeded once."""
    with stage(folder, vms=chosen.vms) as zentry:
        if wanted.intersection(pages.AT_REST):
            yield from pages.measure(zentry, chosen.requests)
        if wanted.intersection(launches.NAMES):
            yield from launches.measure(zentry)
        if wanted.intersection(pages.BUSY):
            yield from pages.measure_busy(zentry, chosen.requests)


def _stored(wanted: set[str], folder: Path, chosen: argparse.Namespace) -> Iterator[Figure]:
    """What is measured on both databases."""
    with stores(folder) as found:
        for store in found:
            if wanted.intersection(settling.NAMES):
                yield from settling.measure(store, chosen.fleet)
            if transfers.NAME in wanted:
                yield from transfers.measure(store)
            if wanted.intersection(credits.NAMES):
                yield from credits.measure(store, chosen.entries)
            if wanted.intersection(rights.NAMES):
                yield from rights.measure(store)
            if wanted.intersection(bins.NAMES):
                yield from bins.measure(store, vms=chosen.vms)


if __name__ == "__main__":
    sys.exit(main())
