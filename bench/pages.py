"""Overview and list of machines under load, beside a plain page on the same server."""

from collections.abc import Iterator

from bench.client import Client, Load, run_load
from bench.figures import Figure, p95
from bench.servers import plain, worker
from bench.stage import Stage
from zentry_web.domain.vm import VMState

AT_REST = ("overview_p95_ms", "vm_list_p95_ms", "vm_list_rps")
BUSY = ("overview_busy_p95_ms", "vm_list_busy_p95_ms")
GOAL_MS = 100
BUSIEST = 5
ROWS, ROW = 50, '<tr id="row-vm_'


def measure(stage: Stage, requests: int) -> Iterator[Figure]:
    """p95 and rate of both pages and of the plain one."""
    stage.sample()
    baseline, overview, table = _loads(stage, requests)
    facts = {"requests": len(table.times), "vms": stage.total()}
    yield Figure("overview_p95_ms", p95(overview.times), "ms", GOAL_MS, p95(baseline.times), facts)
    yield Figure("vm_list_p95_ms", p95(table.times), "ms", GOAL_MS, p95(baseline.times), facts)
    yield Figure("vm_list_rps", table.per_second, "requests/s", None, baseline.per_second, facts)


def measure_busy(stage: Stage, requests: int) -> Iterator[Figure]:
    """The same with the worker beside it, which reconciles, samples and collects consoles: no goal, to be watched."""
    with worker(stage.config, stage.folder):
        stage.wait_until_settled()
        baseline, overview, table = _loads(stage, requests)
    facts = {"requests": len(table.times), "vms": stage.total()}
    yield Figure("overview_busy_p95_ms", p95(overview.times), "ms", None, p95(baseline.times), facts)
    yield Figure("vm_list_busy_p95_ms", p95(table.times), "ms", None, p95(baseline.times), facts)


def _loads(stage: Stage, requests: int) -> tuple[Load, Load, Load]:
    """Plain page, overview and list, one after the other; every body is checked for its machines."""
    total, running = stage.total(), stage.counts()[VMState.RUNNING]

    def is_plain(body: str) -> bool:
        return body.count(ROW) == ROWS

    def is_overview(body: str) -> bool:
        return f"of {total}" in body and str(running) in body and body.count('class="z-row-title"') >= BUSIEST

    def is_list(body: str) -> bool:
        return body.count(ROW) == min(ROWS, total) and f"{total} machines" in body

    with plain(stage.folder) as port:
        baseline = run_load(Client(port), "/", is_plain, requests=requests)
    overview = run_load(stage.client, "/overview", is_overview, requests=requests)
    return baseline, overview, run_load(stage.client, "/vms", is_list, requests=requests)
