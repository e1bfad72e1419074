"""Facts about the host."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from zentry_web.adapters.compute import host

pytestmark = pytest.mark.unit


def test_memory_and_disk_are_real_figures(tmp_path: Path) -> None:
    total, available = host.memory_mib()
    assert 0 < available < total
    size, free = host.disk_bytes(tmp_path)
    assert 0 < free < size
    assert host.cpu_count() >= 1
    assert len(host.boot_id()) == 36


def test_a_process_and_when_it_began() -> None:
    began = time.time()
    process = subprocess.Popen(["/bin/sleep", "60"])
    try:
        found = host.read_process(process.pid)
        assert found is not None
        assert abs(found.started - began) < 1.0
        assert host.read_process(process.pid) is not None
    finally:
        process.kill()
    # Dead but not yet waited for is dead.
    deadline = time.monotonic() + 5
    while host.read_process(process.pid) is not None:
        assert time.monotonic() < deadline
    process.wait()
    assert host.read_process(process.pid) is None


def test_a_guest_is_known_by_its_uuid_and_only_if_it_is_qemu(tmp_path: Path) -> None:
    uuid = "0b1c2d3e-0000-4000-8000-000000000001"
    process = subprocess.Popen(
        [f"{tmp_path}/qemu-pretender", "-c", "read line", "x", "-uuid", uuid],
        executable="/bin/sh",
        stdin=subprocess.PIPE,
    )
    try:
        deadline = time.monotonic() + 5
        while (found := host.find_guest_process(uuid)) is None:
            assert time.monotonic() < deadline
        assert found.pid == process.pid
        assert host.find_guest_process(f"{uuid[:-1]}2") is None
        assert found.pid != os.getpid()
    finally:
        process.communicate(b"\n", timeout=5)
