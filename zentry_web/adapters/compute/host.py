"""Facts about the machine Zentry runs on, from /proc and the file system: libvirt's own figures are unreliable."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024
GIB = 1024 * MIB
PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class GuestProcess:
    """A QEMU process. ``started`` is in seconds since the epoch."""

    pid: int
    start_ticks: int
    started: float


def boot_id() -> str:
    """Differs between two boots of the host."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def memory_mib() -> tuple[int, int]:
    """Total and available memory."""
    values = {}
    for line in (PROC / "meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        values[name] = int(rest.split()[0]) if rest.split() else 0
    return values["MemTotal"] // 1024, values["MemAvailable"] // 1024


def cpu_count() -> int:
    """Processors of the host."""
    return os.cpu_count() or 1


def disk_bytes(folder: Path) -> tuple[int, int]:
    """Size of the file system a folder is on, and what is free of it for us."""
    status = os.statvfs(folder)
    return status.f_blocks * status.f_frsize, status.f_bavail * status.f_frsize


def read_process(pid: int) -> GuestProcess | None:
    """A process as it is now, or None when there is none with this id."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The name (in brackets) may hold spaces; the start time is the 20th field after it.
    fields = text.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return None
    ticks = int(fields[19])
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return GuestProcess(pid, ticks, time.time() - age)


def find_guest_process(uuid: str) -> GuestProcess | None:
    """The QEMU process of a domain, by the uuid on its command line (readable without privileges)."""
    wanted = uuid.encode()
    for entry in PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in words and b"-uuid" in words and b"qemu" in words[0]:
            return read_process(int(entry.name))
    return None
