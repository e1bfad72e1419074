"""Tiny guests after the host was away: until Zentry has them all running again, beside ``virsh start`` of the same."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select

from bench.boots import EMAIL, IMAGE, prepare
from bench.figures import Figure
from bench.guests import guest_config, remove_guests, virsh
from bench.servers import worker
from bench.sizes import Sizes
from bench.stage import wait_until
from zentry_web.adapters.compute.host import find_guest_process
from zentry_web.adapters.compute.libvirt.xml import domain_name, domain_uuid
from zentry_web.composition import build_container
from zentry_web.config import Config
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbVM
from zentry_web.services.service_container import ServiceContainer

NAMES = ("restart_20_s",)
MOST = 1.1  # times as long as virsh takes
AT_ONCE = 10  # launched together
SECONDS = 600


def measure(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """From the start of the worker, which finds every guest's process gone, until all run; then, with the worker held
    still, the same guests are killed and started by virsh in a row."""
    config = guest_config(folder / "restarts")
    prepare(config)
    container = build_container(config)
    try:
        with worker(config, folder):
            vm_ids = _launch(container, sizes.restarted)
            wait_until(lambda: all(vm.answered_at for vm in _rows(container)), SECONDS, "all answer", every=1)
        runs = {vm.run_id for vm in _rows(container)}
        _kill(config, vm_ids)
        started = time.perf_counter()
        with worker(config, folder) as background:
            wait_until(lambda: _run_again(container, runs), SECONDS, "all run again")
            by_zentry = time.perf_counter() - started
            background.pause()
            try:
                _kill(config, vm_ids)
                by_virsh = _by_virsh(config, vm_ids)
            finally:
                background.go_on()
    finally:
        container.close()
        remove_guests(config)
    print(f"bench: {len(vm_ids)} guests again, s: {by_zentry:.2f} by Zentry, {by_virsh:.2f} by virsh", file=sys.stderr)
    yield Figure(NAMES[0], by_zentry, "s", round(MOST * by_virsh, 2), by_virsh, {"guests": len(vm_ids)})


def _launch(container: ServiceContainer, count: int) -> list[str]:
    person = container.users.find_by_email(EMAIL)
    assert person is not None
    container.billing.add_credits(person.id, 10**9, "for the bench")
    (project,) = (each.project for each in container.projects.list_projects(person.id))
    found = []
    for first in range(0, count, AT_ONCE):
        data = {"project_id": project.id, "name": f"guest-{first}", "size_id": "size_nano", "image_id": f"img_{IMAGE}"}
        found += container.vms.create_vms(data | {"count": min(AT_ONCE, count - first)}, person, actor=SYSTEM)
    return [vm.id for vm in found]


def _rows(container: ServiceContainer) -> list[DbVM]:
    with container.database.reading() as session:
        return list(session.scalars(select(DbVM)))


def _run_again(container: ServiceContainer, runs: set[str | None]) -> bool:
    return all(vm.state == VMState.RUNNING and vm.run_id not in runs for vm in _rows(container))


def _kill(config: Config, vm_ids: list[str]) -> None:
    """End the process of every guest, as a host that is switched off does; libvirt has seen it."""
    namespace = config.get_namespace()
    for vm_id in vm_ids:
        if process := find_guest_process(domain_uuid(namespace, vm_id)):
            os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: not any(_is_on(config, vm_id) for vm_id in vm_ids), 60, "libvirt has seen it")


def _is_on(config: Config, vm_id: str) -> bool:
    return virsh(config.libvirt_uri, "domstate", domain_name(config.get_namespace(), vm_id)).strip() == "running"


def _by_virsh(config: Config, vm_ids: list[str]) -> float:
    started = time.perf_counter()
    for vm_id in vm_ids:
        virsh(config.libvirt_uri, "start", domain_name(config.get_namespace(), vm_id))
    return time.perf_counter() - started
