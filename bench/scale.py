"""List of machines and overview with ten times as many: what a page shows, not what there is, makes its time."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from bench.figures import Figure, p95
from bench.fleet import Fleet
from bench.queries import log_in
from bench.rights import PASSWORD, furnish, getter, times
from bench.sizes import Sizes
from bench.stores import Store
from zentry_web.app import make_app
from zentry_web.composition import build_container

PATHS = {"vm_list_10x_p95_ms": "/vms", "overview_10x_p95_ms": "/overview"}
NAMES = tuple(PATHS)
MOST = 1.3  # times as long as with a tenth of the machines


def measure(store: Store, sizes: Sizes) -> Iterator[Figure]:
    """One request after the other, in the process; the baseline is the same page with a tenth of the machines."""
    few, many = (_measure(store, vms, sizes.in_process) for vms in (sizes.scaled // 10, sizes.scaled))
    facts = {"database": store.kind, "vms": sizes.scaled, "requests": sizes.in_process}
    for name in PATHS:
        yield Figure(name, many[name], "ms", round(MOST * few[name], 1), few[name], facts)


def _measure(store: Store, vms: int, requests: int) -> dict[str, float]:
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    fleet = Fleet(owners=1, vms=1, hours=2, first_vms=vms, start=start)
    store.prepare(fleet)
    config = store.copy("scale")
    container = build_container(config)
    furnish(container, fleet)
    client = make_app(config, container).test_client()
    log_in(client, f"{fleet.owner(0)}@example.com", PASSWORD)
    assert client.get("/vms").text.count('<tr id="row-vm_') == min(50, fleet.count(0))
    found = {name: p95(times(getter(client, path), requests)) for name, path in PATHS.items()}
    container.close()
    return found
