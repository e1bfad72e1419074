"""Disks that come from elsewhere: looked at and converted by QEMU's own tools, which are given little memory and time.

A disk's header may name other files of the host, to be read with it (the class of CVE-2024-32498). Nothing is opened
through such a name: what has one is refused, and what is kept is always a fresh file without any.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.images import ImageLimits
from zentry_web.adapters.compute.libvirt.programs import hear_percent, run_watched
from zentry_web.adapters.compute.watch import Watch

FORMATS = ("qcow2", "raw", "vmdk", "vdi", "vhdx", "vpc")
LOOK_SECONDS = 30
_MEMORY = 1024**3  # bytes of address space
_PACKED = {b"\xfd7zXZ": "xz", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd"}
_BOOT_SIGNATURE = b"\x55\xaa"  # of a disk with a partition table or a boot loader, at its 510th byte
_EXTERNAL_DATA = 1 << 2  # among qcow2's incompatible features
_BASED = "The disk is based on another file of the host. Zentry takes whole disks only."
_ELSEWHERE = "The disk keeps its data in another file. Zentry takes whole disks only."


def look_at(path: Path, limits: ImageLimits) -> tuple[str, int]:
    """The format of a disk and how large a guest sees it. Raises ComputeRefused with the reason."""
    with path.open("rb") as file:
        head = file.read(512)
    for magic, name in _PACKED.items():
        if head.startswith(magic):
            raise ComputeRefused(f"The file is packed with {name}. Unpack it, and add what is in it.")
    _refuse_other_files(head)
    found = _info(path)
    kind, size = str(found.get("format", "")), int(found.get("virtual-size") or 0)
    if kind not in FORMATS:
        raise ComputeRefused(f"The file is no disk that Zentry knows (it looks like “{kind}”).")
    if kind == "raw" and head[510:512] != _BOOT_SIGNATURE:
        raise ComputeRefused("The file is no disk that Zentry knows: it has no partition table and no boot loader.")
    if "backing-filename" in found or "full-backing-filename" in found:
        raise ComputeRefused(_BASED)
    data = found.get("format-specific", {}).get("data", {})
    if "data-file" in data or _other_extents(data, path):
        raise ComputeRefused(_ELSEWHERE)
    if found.get("encrypted"):
        raise ComputeRefused("The disk is encrypted, and no guest could read it.")
    if not 0 < size <= limits.most_bytes:
        raise ComputeRefused(f"The disk is larger than {limits.most_bytes // 1024**3} GiB, the most that is allowed.")
    return kind, size


def _refuse_other_files(head: bytes) -> None:
    """What a qcow2 header says of other files, read before QEMU, which would open one that holds the data."""
    if not head.startswith(b"QFI\xfb"):
        return
    if int.from_bytes(head[8:16]):
        raise ComputeRefused(_BASED)
    if int.from_bytes(head[4:8]) >= 3 and int.from_bytes(head[72:80]) & _EXTERNAL_DATA:
        raise ComputeRefused(_ELSEWHERE)


def _other_extents(data: dict[str, Any], path: Path) -> bool:
    """Whether a VMware disk's description names other files."""
    extents = data.get("extents", [])
    return any(str(extent.get("filename", "")) not in ("", str(path)) for extent in extents)


def _info(path: Path) -> dict[str, Any]:
    command = _limited(["qemu-img", "info", "--output=json", str(path)], LOOK_SECONDS)
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * LOOK_SECONDS, check=False
        )
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError):
        found = None
    if not isinstance(found, dict):
        raise ComputeRefused("The file could not be looked at as a disk: it is damaged, or made to take too much.")
    return found


def convert(source: Path, kind: str, target: Path, limits: ImageLimits, watch: Watch) -> None:
    """A fresh qcow2 of a disk that was looked at. Raises ComputeRefused, Stopped."""
    words = ["qemu-img", "convert", "-p", "-f", kind, "-O", "qcow2", str(source), str(target)]
    try:
        run_watched(_limited(words, limits.tool_seconds), hear_percent(watch), watch, limits.tool_seconds)
    except ComputeRefused as error:
        raise ComputeRefused(f"The disk could not be converted: {error}") from error


def check(path: Path) -> None:
    """Raises ComputeRefused unless a disk of ours is whole."""
    command = _limited(["qemu-img", "check", "-q", "-f", "qcow2", str(path)], 600)
    if subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=1200).returncode:
        raise ComputeRefused("The converted disk is damaged.")


def _limited(command: list[str], cpu_seconds: int) -> list[str]:
    """Under limits of memory and time, so that a file made to be costly costs no more than a moment."""
    limiter, program = shutil.which("prlimit"), shutil.which(command[0])
    if limiter is None or program is None:
        raise ComputeRefused(f"The program {'prlimit' if program else command[0]} is missing on the host.")
    return [limiter, f"--as={_MEMORY}", f"--cpu={cpu_seconds}", "--core=0", program, *command[1:]]
