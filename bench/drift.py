"""How soon a page shows what somebody does on the host: ``virsh destroy`` to *Stopped*, on a real guest."""

import time
from collections.abc import Iterator
from pathlib import Path

from bench.boots import EMAIL, PASSWORD, prepare, ready_at
from bench.client import Client
from bench.figures import Figure, median, p95
from bench.guests import guest_config, remove_guests, virsh
from bench.launches import find_project, launch
from bench.servers import web, worker
from bench.sizes import Sizes
from bench.stage import wait_until
from zentry_web.adapters.compute.libvirt.xml import domain_name
from zentry_web.composition import build_container
from zentry_web.domain.vms.state import VMState

NAMES = ("drift_seen_ms",)
GOAL_MS = 1500
SECONDS = 60


def measure(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """The p95 of some rounds, each with the events that libvirt sends; the baseline is how long virsh itself takes."""
    config = guest_config(folder / "drift")
    prepare(config)
    container = build_container(config)
    seen, bare = [], []
    try:
        with web(config, folder), worker(config, folder):
            client = Client(config.port)
            client.log_in(EMAIL, PASSWORD)
            vm_id = launch(client, find_project(client)).location.rpartition("/")[2]
            ready_at(config.data / "machines" / vm_id / "console.log", vm_id)
            name = domain_name(config.get_namespace(), vm_id)
            for _ in range(sizes.pairs + 1):
                wait_until(lambda: container.vms.get_vm(vm_id).state == VMState.RUNNING, SECONDS, "it runs")
                started = time.perf_counter()
                virsh(config.libvirt_uri, "destroy", name)
                bare.append((time.perf_counter() - started) * 1000)
                wait_until(lambda: "Stopped" in client.get(f"/vms/{vm_id}/status").body, SECONDS, "the page shows it")
                seen.append((time.perf_counter() - started) * 1000)
                virsh(config.libvirt_uri, "start", name)
    finally:
        container.close()
        remove_guests(config)
    facts = {"rounds": sizes.pairs, "median_ms": round(median(seen[1:]))}
    yield Figure(NAMES[0], p95(seen[1:]), "ms", GOAL_MS, median(bare[1:]), facts)
