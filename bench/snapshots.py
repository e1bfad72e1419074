"""What Zentry adds to a snapshot of a real guest that runs: click to there, less ``virsh snapshot-create-as``."""

import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.boots import (
    EMAIL,
    PASSWORD,
    Bare,
    make_bare,
    prepare,
    ready_at,
)
from bench.client import Client
from bench.figures import Figure, median
from bench.guests import guest_config, remove_guests, virsh
from bench.launches import find_project, launch
from bench.servers import Process, web, worker
from bench.sizes import Sizes
from bench.stage import wait_until
from zentry_web.adapters.compute.libvirt.xml import domain_name
from zentry_web.composition import build_container
from zentry_web.domain.user import SYSTEM
from zentry_web.services.vm_service import VMService

NAMES = ("snapshot_overhead_ms",)
GOAL_MS = 500
SECONDS = 60


def measure(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Alternating pairs, each of a guest of its own that has booted; the first pair warms up and is not counted."""
    config = guest_config(folder / "snapshots")
    prepare(config)
    bare = make_bare(folder / "bare-snapshots", config.libvirt_uri, config.image_dir)
    container = build_container(config)
    try:
        with web(config, folder) as server, worker(config, folder) as background:
            client = Client(config.port)
            client.log_in(EMAIL, PASSWORD)
            vm_id = launch(client, find_project(client)).location.rpartition("/")[2]
            ready_at(config.data / "machines" / vm_id / "console.log", vm_id)
            other = bare.prepare()
            bare.driver.start(other)
            ready_at(bare.console(other), other)
            wait_until(lambda: container.vms.get_vm(vm_id).answered_at is not None, SECONDS, "an answer")
            vms = container.vms
            found = [_pair(client, vms, vm_id, bare, other, [server, background]) for _ in range(sizes.pairs + 1)]
    finally:
        container.close()
        bare.driver.remove_everything()
        bare.driver.close()
        remove_guests(config)
    zentry, virsh = ([round(pair[side]) for pair in found[1:]] for side in (0, 1))
    print(f"bench: click to snapshot, ms: {zentry}\nbench: virsh snapshot-create-as, ms: {virsh}", file=sys.stderr)
    overhead = median([by_zentry - by_virsh for by_zentry, by_virsh in found[1:]])
    yield Figure(NAMES[0], overhead, "ms", GOAL_MS, median(virsh), {"zentry_ms": zentry, "virsh_ms": virsh})


def _pair(
    client: Client, vms: VMService, vm_id: str, bare: Bare, other: str, zentry: list[Process]
) -> tuple[float, float]:
    """Milliseconds of one by Zentry, and of one by virsh with Zentry held still; both are deleted."""
    started = time.perf_counter()
    answer = client.post(f"/vms/{vm_id}/snapshots/new", name="bench")
    assert answer.status == 303, answer.body[:2000]
    wait_until(lambda: all(each.is_ready for each in vms.snapshots.list(vm_id, actor=SYSTEM)), SECONDS, "a snapshot")
    by_zentry = time.perf_counter() - started
    vms.snapshots.delete(vm_id, vms.snapshots.list(vm_id, actor=SYSTEM)[0].id, actor=SYSTEM)
    wait_until(lambda: not vms.snapshots.list(vm_id, actor=SYSTEM), SECONDS, "it is deleted")
    for process in zentry:
        process.pause()
    try:
        by_virsh = _by_virsh(bare, other)
    finally:
        for process in zentry:
            process.go_on()
    return by_zentry * 1000, by_virsh * 1000


def _by_virsh(bare: Bare, vm_id: str) -> float:
    name, domain = f"bench-{secrets.token_hex(4)}", domain_name(bare.namespace, vm_id)
    started = time.perf_counter()
    virsh(bare.driver.uri, "snapshot-create-as", domain, name)
    took = time.perf_counter() - started
    virsh(bare.driver.uri, "snapshot-delete", domain, name)
    return took
