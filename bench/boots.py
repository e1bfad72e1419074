"""What Zentry adds to starting a real guest: click to ready line, less ``virsh start`` to ready line."""

import os
import re
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.client import Client
from bench.figures import Figure, median
from bench.guests import guest_config, remove_guests, virsh
from bench.launches import find_project, launch
from bench.servers import Process, web, worker
from bench.sizes import Sizes
from bench.stage import wait_until
from zentry_web.adapters.compute.base import MachineSpec
from zentry_web.adapters.compute.libvirt.driver import LibvirtCompute
from zentry_web.adapters.compute.libvirt.xml import domain_name
from zentry_web.composition import build_container
from zentry_web.config import Config
from zentry_web.migrate import migrate

NAMES = ("launch_boot_overhead_s",)
GOAL_SECONDS = 0.7
BOOT_SECONDS = 180
LOOK_SECONDS = 0.004
IMAGE = "tiny"
EMAIL, PASSWORD = "bench@example.com", "correct horse battery staple"


class NotReady(RuntimeError):
    """A guest that did not get ready in time."""


@dataclass(frozen=True)
class Bare:
    """A libvirt driver beside Zentry, for preparing machines that virsh starts."""

    driver: LibvirtCompute
    folder: Path
    namespace: str

    def console(self, vm_id: str) -> Path:
        return self.folder / "machines" / vm_id / "console.log"

    def prepare(self) -> str:
        """Disk, seed and definition of a machine as Zentry makes them for the smallest size; its id."""
        vm_id = f"vm_{secrets.token_hex(13)}"
        name = f"bench-{secrets.token_hex(4)}"
        self.driver.create(MachineSpec(vm_id, name, vcpus=1, memory_mib=128, disk_gib=1, image=IMAGE))
        return vm_id


def measure(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """Alternating pairs on an idle machine; the first pair warms up and is not counted."""
    config = guest_config(folder / "boots")
    prepare(config)
    bare = make_bare(folder / "bare", config.libvirt_uri, config.image_dir)
    try:
        with web(config, folder) as server, worker(config, folder) as background:
            client = Client(config.port)
            client.log_in(EMAIL, PASSWORD)
            project = find_project(client)
            _warm_up(bare)
            found = [_two_tries(client, project, config, bare, [server, background]) for _ in range(sizes.pairs + 1)]
    finally:
        bare.driver.remove_everything()
        bare.driver.close()
        remove_guests(config)
    yield _figure(found[1:])


def _figure(found: list[tuple[float, float]]) -> Figure:
    zentry, virsh = ([round(pair[side], 3) for pair in found] for side in (0, 1))
    print(f"bench: click to ready line, s: {zentry}\nbench: virsh start to ready line, s: {virsh}", file=sys.stderr)
    overhead = median([by_zentry - by_virsh for by_zentry, by_virsh in found])
    facts = {"zentry_s": zentry, "virsh_s": virsh, "zentry_median_s": round(median(zentry), 3)}
    return Figure(NAMES[0], overhead, "s", GOAL_SECONDS, median(virsh), facts)


def make_bare(folder: Path, uri: str, image_dir: Path) -> Bare:
    folder.mkdir()
    folder.chmod(0o711)  # the hypervisor may run as another user
    namespace = secrets.token_hex(4)
    return Bare(LibvirtCompute(uri, folder, namespace, image_dir), folder, namespace)


def _warm_up(bare: Bare) -> None:
    """One boot by the driver: the accelerator is chosen, the network is up, the image is in the page cache."""
    vm_id = bare.prepare()
    bare.driver.start(vm_id)
    ready_at(bare.console(vm_id), vm_id)
    bare.driver.delete(vm_id)


def prepare(config: Config) -> None:
    """Databases, the image, and somebody with a project."""
    images = os.environ.get("ZENTRY_TEST_IMAGES")
    if not images or not (Path(images) / IMAGE / "manifest.json").is_file():
        raise RuntimeError("ZENTRY_TEST_IMAGES must name a folder with the image; scripts/bench sees to that")
    migrate(config)
    config.image_dir.symlink_to(Path(images).resolve())
    container = build_container(config)
    person = container.auth.signup({"email": EMAIL, "name": "Bench", "password": PASSWORD})
    container.projects.create_project({"name": "Bench"}, person)
    container.close()


def _two_tries(*given: Any) -> tuple[float, float]:
    """A pair; measured once more when a guest stood, which says something of the emulator and nothing of Zentry."""
    try:
        return _pair(*given)
    except NotReady as error:
        print(f"bench: measured again: {error}", file=sys.stderr)
        return _pair(*given)


def _pair(client: Client, project: str, config: Config, bare: Bare, zentry: list[Process]) -> tuple[float, float]:
    """Seconds of one launch by Zentry, and of one ``virsh start`` of the same with Zentry held still."""
    by_zentry = _by_zentry(client, project, config)
    vm_id = bare.prepare()
    for process in zentry:
        process.pause()
    try:
        by_virsh = _by_virsh(bare, vm_id)
    finally:
        for process in zentry:
            process.go_on()
    bare.driver.delete(vm_id)
    return by_zentry, by_virsh


def _by_zentry(client: Client, project: str, config: Config) -> float:
    started = time.perf_counter()
    vm_id = launch(client, project).location.rpartition("/")[2]
    console = config.data / "machines" / vm_id / "console.log"
    ready = ready_at(console, vm_id)
    _remove(client, vm_id)
    wait_until(lambda: not console.parent.exists(), 60, "the machine is deleted")
    return ready - started


def _remove(client: Client, vm_id: str) -> None:
    """Into the recycle bin, and out of it for good."""
    name = re.findall(r"bench-[0-9a-f]{8}", client.get(f"/vms/{vm_id}/delete").body)[0]
    for path in (f"/vms/{vm_id}/delete", f"/bin/vms/{vm_id}/purge"):
        answer = client.post(path, confirm_name=name)
        assert answer.status == 303, f"{path} answered {answer.status}: {answer.body[:2000]}"


def _by_virsh(bare: Bare, vm_id: str) -> float:
    started = time.perf_counter()
    virsh(bare.driver.uri, "start", domain_name(bare.namespace, vm_id))
    return ready_at(bare.console(vm_id), vm_id) - started


def ready_at(console: Path, vm_id: str) -> float:
    """The moment at which the guest's ready line is in its console."""
    line = f"ZENTRY-READY {vm_id} ".encode()
    deadline = time.perf_counter() + BOOT_SECONDS
    while time.perf_counter() < deadline:
        try:
            if line in console.read_bytes():
                return time.perf_counter()
        except FileNotFoundError:
            pass
        time.sleep(LOOK_SECONDS)
    last = console.read_bytes()[-2000:].decode(errors="replace") if console.exists() else "nothing"
    raise NotReady(f"{vm_id} did not get ready within {BOOT_SECONDS} s; its console ends with:\n{last}")
