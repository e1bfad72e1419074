"""Overview and list of machines under load, beside a plain page on the same server."""

from collections.abc import Iterator

from bench.client import Client, Load, run_load
from bench.figures import Figure, p95
from bench.servers import plain, worker
from bench.stage import Stage
from zentry_web.domain.vm import VMState

GOAL_MS = 100
ROWS, ROW = 50, '<tr id="row-vm_'


def measure(stage: Stage, requests: int) -> Iterator[Figure]:
    """p95 and rate of both pages, with the worker running as it always does."""
    with worker(stage.config, stage.folder):
        stage.wait_until_settled()
        counts = stage.counts()
        total, running = sum(counts.values()), counts[VMState.RUNNING]
        with plain(stage.folder) as port:
            baseline = run_load(
                Client(port), "/", lambda body: body.count('<tr id="row-vm_') == ROWS, requests=requests
            )
        overview = run_load(
            stage.client, "/overview", lambda body: f"of {total}" in body and str(running) in body, requests=requests
        )
        table = run_load(
            stage.client,
            "/vms",
            lambda body: body.count(ROW) == ROWS and f"{total} machines" in body,
            requests=requests,
        )
    yield Figure("overview_p95_ms", p95(overview.times), "ms", GOAL_MS, p95(baseline.times), _facts(overview, total))
    yield Figure("vm_list_p95_ms", p95(table.times), "ms", GOAL_MS, p95(baseline.times), _facts(table, total))
    yield Figure("vm_list_rps", table.per_second, "requests/s", None, baseline.per_second, _facts(table, total))


def _facts(load: Load, vms: int) -> dict[str, int]:
    return {"requests": len(load.times), "vms": vms}
