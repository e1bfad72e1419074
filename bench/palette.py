"""The command palette with very many machines: how long the slowest of some searches takes."""

import time
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
from zentry_web.domain.search import words_of
from zentry_web.domain.user import Actor, Role
from zentry_web.services.service_container import ServiceContainer

NAMES = ("palette_ms",)
GOAL_MS = 50
SEARCHES = ("v", "vm", "vm-000000-77", "v07", "stop vm 42", "credits", "nothing of the kind")
HEADERS = {"HX-Request": "true"}


def measure(store: Store, sizes: Sizes) -> Iterator[Figure]:
    """p95 of the slowest search of somebody with all the machines, one request after the other, in the process. The
    baseline is the same with a tenth of them; ``admin_ms``: the same searches by an admin, without the request."""
    few, _ = _measure(store, sizes.scaled // 10, sizes.in_process)
    many, by_admin = _measure(store, sizes.scaled, sizes.in_process)
    slowest = max(many, key=lambda typed: many[typed])
    facts = {"database": store.kind, "vms": sizes.scaled, "slowest": slowest, "admin_ms": round(by_admin, 1)}
    yield Figure(NAMES[0], many[slowest], "ms", GOAL_MS, max(few.values()), facts)


def _measure(store: Store, vms: int, requests: int) -> tuple[dict[str, float], float]:
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    fleet = Fleet(owners=1, vms=1, hours=2, first_vms=vms, start=start)
    store.prepare(fleet)
    config = store.copy("palette")
    container = build_container(config)
    furnish(container, fleet)
    client = make_app(config, container).test_client()
    log_in(client, f"{fleet.owner(0)}@example.com", PASSWORD)
    assert "vm-000000-0" in client.get("/search?q=vm", headers=HEADERS).text
    client.environ_base["HTTP_HX_REQUEST"] = "true"
    found = {typed: p95(times(getter(client, f"/search?q={typed}"), requests)) for typed in SEARCHES}
    by_admin = max(_by_admin(container, typed, requests) for typed in SEARCHES)
    container.close()
    return found, by_admin


def _by_admin(container: ServiceContainer, typed: str, requests: int) -> float:
    words, actor, took = words_of(typed), Actor("user_none", Role.ADMIN), []
    for _ in range(requests):
        started = time.perf_counter()
        container.users.search.find(words, acted_on=words[1:], actor=actor)
        took.append((time.perf_counter() - started) * 1000)
    return p95(took)
