"""``python -m bench [--only NAME]``: measures and prints one JSON line per figure; exit 1 when a goal is missed."""

import argparse
import logging
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import boots, launches, pages, queries
from bench.figures import Figure
from bench.stage import stage
from zentry_web.logs import configure_logs

NAMES = (
    "vm_list_queries", "overview_queries", "launch_response_ms", "launch_response_busy_ms",
    "overview_p95_ms", "vm_list_p95_ms", "vm_list_rps", "launch_boot_overhead_s",
)  # fmt: skip


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=NAMES, help="only this figure (may be repeated)")
    parser.add_argument("--vms", type=int, default=1000, help="machines that are seeded (default 1000)")
    parser.add_argument("--requests", type=int, default=500, help="requests behind a p95 (default 500)")
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
        print(f"bench: over the goal: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


def _figures(wanted: set[str], folder: Path, chosen: argparse.Namespace) -> Iterator[Figure]:
    parts: list[tuple[set[str], Callable[[], Iterator[Figure]]]] = [
        (set(queries.PATHS), lambda: queries.measure(folder, chosen.vms)),
        (
            {"launch_response_ms", "launch_response_busy_ms", "overview_p95_ms", "vm_list_p95_ms", "vm_list_rps"},
            lambda: _staged(wanted, folder, chosen),
        ),
        ({"launch_boot_overhead_s"}, lambda: boots.measure(folder, chosen.pairs)),
    ]
    for names, measure in parts:
        if names & wanted:
            yield from measure()


def _staged(wanted: set[str], folder: Path, chosen: argparse.Namespace) -> Iterator[Figure]:
    """What needs a Zentry with many machines, seeded once."""
    with stage(folder, vms=chosen.vms) as zentry:
        if {"launch_response_ms", "launch_response_busy_ms"} & wanted:
            yield from launches.measure(zentry)
        if {"overview_p95_ms", "vm_list_p95_ms", "vm_list_rps"} & wanted:
            yield from pages.measure(zentry, chosen.requests)


if __name__ == "__main__":
    sys.exit(main())
