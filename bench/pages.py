"""Overview, list of machines and one machine under load, beside a plain page on the same server."""

from collections.abc import Callable, Iterator

from bench.client import Client, Load, run_load
from bench.figures import Figure, p95
from bench.servers import plain, worker
from bench.sizes import Sizes
from bench.stage import Stage
from zentry_web.domain.vms.fleet import VMFilter
from zentry_web.domain.vms.state import VMState

AT_REST = ("overview_p95_ms", "vm_list_p95_ms", "vm_page_p95_ms", "vm_list_rps", "vm_list_html_kb")
BUSY = ("overview_busy_p95_ms", "vm_list_busy_p95_ms")
GOALS_MS = {"overview": 40, "vm_list": 60, "vm_page": 50}
MOST_KB = 50  # of HTML for a list of 50 machines, before compression
BUSIEST = 5
ROWS, ROW = 50, '<tr id="row-vm_'


def measure(stage: Stage, sizes: Sizes) -> Iterator[Figure]:
    """p95 of three pages, and the rate and size of the list, beside the plain one."""
    stage.sample()
    with plain(stage.folder) as port:
        baseline_kb = _kilobytes(Client(port), "/")
    baseline, loads = _loads(stage, sizes.requests)
    facts = {"requests": sizes.requests, "vms": stage.total()}
    for name, goal in GOALS_MS.items():
        yield Figure(f"{name}_p95_ms", p95(loads[name].times), "ms", goal, p95(baseline.times), facts)
    yield Figure("vm_list_rps", loads["vm_list"].per_second, "requests/s", None, baseline.per_second, facts)
    yield Figure("vm_list_html_kb", _kilobytes(stage.client, "/vms"), "kB", MOST_KB, baseline_kb, facts)


def measure_busy(stage: Stage, sizes: Sizes) -> Iterator[Figure]:
    """The same with the worker beside it, which reconciles, samples and collects consoles: no goal, to be watched."""
    with worker(stage.config, stage.folder):
        stage.wait_until_settled()
        baseline, loads = _loads(stage, sizes.requests)
    facts = {"requests": sizes.requests, "vms": stage.total()}
    for name in BUSY:
        load = loads[name.removesuffix("_busy_p95_ms")]
        yield Figure(name, p95(load.times), "ms", None, p95(baseline.times), facts)


def _kilobytes(client: Client, path: str) -> float:
    """How long a page is, before compression."""
    return len(client.get(path).body.encode()) / 1000


def _loads(stage: Stage, requests: int) -> tuple[Load, dict[str, Load]]:
    """The plain page, then each of ours, one after the other; every body is checked for its machines."""
    total, running = stage.total(), stage.counts()[VMState.RUNNING]
    vm = stage.container.vms.list_vms(stage.user_id, wanted=VMFilter(state=VMState.RUNNING), limit=1).vms[0]

    def is_plain(body: str) -> bool:
        return body.count(ROW) == ROWS

    def is_overview(body: str) -> bool:
        return f"of {total}" in body and str(running) in body and body.count('class="z-row-title"') >= BUSIEST

    def is_list(body: str) -> bool:
        return body.count(ROW) == min(ROWS, total) and f"{total} machines" in body

    with plain(stage.folder) as port:
        baseline = run_load(Client(port), "/", is_plain, requests=requests)
    asked: dict[str, tuple[str, Callable[[str], bool]]] = {
        "overview": ("/overview", is_overview),
        "vm_list": ("/vms", is_list),
        "vm_page": (f"/vms/{vm.id}", lambda body: vm.name in body and 'id="vm-status"' in body),
    }
    loads = {name: run_load(stage.client, path, check, requests=requests) for name, (path, check) in asked.items()}
    return baseline, loads
