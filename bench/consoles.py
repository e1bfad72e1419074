"""What Zentry adds to a console on a real guest: keystroke to echo beside a bare libvirt stream, and click to open."""

import http.client
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import libvirt
from websockets.sync.client import ClientConnection, connect

from bench.boots import EMAIL, PASSWORD, prepare
from bench.client import Client
from bench.figures import Figure, median
from bench.guests import guest_config, remove_guests
from bench.launches import find_project, launch
from bench.servers import Process, environment_of, web, worker
from bench.sizes import Sizes
from bench.stage import wait_until
from zentry_web.adapters.compute.libvirt.xml import domain_name
from zentry_web.composition import build_container
from zentry_web.config import Config

NAMES = ("console_echo_ms", "console_open_ms")
ECHO_GOAL, OPEN_GOAL = 15, 300
BOOT_SECONDS = 180
ANSWER_SECONDS = 10


def measure(folder: Path, sizes: Sizes) -> Iterator[Figure]:
    """On one guest that waits at its login."""
    config = guest_config(folder / "consoles")
    prepare(config)
    log = folder / "console.log"
    try:
        with web(config, folder), worker(config, folder):
            holder = Process([sys.executable, "-m", "zentry_web", "console"], environment_of(config), log)
            try:
                yield from _measure(config, sizes)
            finally:
                holder.stop()
    finally:
        remove_guests(config)


def _measure(config: Config, sizes: Sizes) -> Iterator[Figure]:
    client = Client(config.port)
    client.log_in(EMAIL, PASSWORD)
    vm_id = launch(client, find_project(client)).location.rpartition("/")[2]
    container = build_container(config)
    wait_until(lambda: container.vms.get_vm(vm_id).answered_at is not None, BOOT_SECONDS, "the guest answers")
    container.close()
    wait_until((config.data / "consoles.sock").exists, ANSWER_SECONDS, "the process for consoles is there")
    opened = [_open(client, config, vm_id) for _ in range(sizes.opened + 1)]
    for _, console in opened[:-1]:
        console.close()
    by_zentry = _echoes(lambda data: opened[-1][1].send(data), lambda: _bytes_of(opened[-1][1]), sizes)
    opened[-1][1].close()
    time.sleep(1)  # until Zentry has let go of the serial port
    connection = libvirt.open(config.libvirt_uri)
    stream = connection.newStream(0)
    connection.lookupByName(domain_name(config.get_namespace(), vm_id)).openConsole(None, stream, 0)
    bare = _echoes(stream.send, lambda: stream.recv(1024), sizes)
    stream.abort()
    connection.close()
    facts = {"zentry_ms": round(median(by_zentry), 2), "bare_ms": round(median(bare), 2)}
    yield Figure(NAMES[0], median(by_zentry) - median(bare), "ms", ECHO_GOAL, median(bare), facts)
    yield Figure(NAMES[1], median([took for took, _ in opened[1:]]), "ms", OPEN_GOAL, 0)


def _open(client: Client, config: Config, vm_id: str) -> tuple[float, ClientConnection]:
    """Milliseconds from the click until the console says it is open."""
    began = time.perf_counter()
    answer = client.post(f"/vms/{vm_id}/console/tickets", kind="text")
    assert answer.status == http.client.CREATED, answer.body
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    console = connect(
        f"ws://localhost:{config.port}/vms/{vm_id}/console/socket",
        origin=config.url,  # type: ignore[arg-type]
        subprotocols=json.loads(answer.body)["protocols"],
        additional_headers={"Cookie": cookie},
        compression=None,
    )
    while not isinstance(console.recv(ANSWER_SECONDS), str):
        continue
    return (time.perf_counter() - began) * 1000, console


def _bytes_of(console: ClientConnection) -> bytes:
    found = console.recv(ANSWER_SECONDS)
    return found if isinstance(found, bytes) else b""


def _echoes(send: Callable[[bytes], object], receive: Callable[[], bytes], sizes: Sizes) -> list[float]:
    """Milliseconds from a key to its echo; each is rubbed out again, for a line is not endless."""
    _until(receive, send, b"\r", b"login: ")
    found = []
    for _ in range(sizes.keys):
        began = time.perf_counter()
        _until(receive, send, b"x", b"x")
        found.append((time.perf_counter() - began) * 1000)
        _until(receive, send, b"\x7f", b"\b")
    return found


def _until(receive: Callable[[], bytes], send: Callable[[bytes], object], key: bytes, words: bytes) -> None:
    send(key)
    seen = b""
    deadline = time.monotonic() + ANSWER_SECONDS
    while words not in seen:
        assert time.monotonic() < deadline, f"no {words!r} after {key!r}, but {seen!r}"
        seen += receive()
