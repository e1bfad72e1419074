"""Which accelerator runs guests here: KVM, or QEMU's own translator (TCG).

That /dev/kvm can be opened proves nothing (nested machines, containers): a tiny guest is booted under it, and only
if it prints its line in time is KVM used.
"""

import fcntl
import json
import logging
import os
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from zentry_web.adapters.compute.host import boot_id
from zentry_web.adapters.compute.libvirt.images.guest_images import GuestImage

logger = logging.getLogger(__name__)

PROBE_SECONDS = 10.0
PROBE_LINE = b"ZENTRY-PROBE-OK"
KVM_DEVICE = Path("/dev/kvm")


class Accelerator(StrEnum):
    KVM = "kvm"
    TCG = "tcg"


def find_emulator() -> str:
    """Path of the x86-64 emulator; where the distribution puts it when it is not on the path."""
    return shutil.which("qemu-system-x86_64") or "/usr/bin/qemu-system-x86_64"


@dataclass(frozen=True, slots=True)
class Emulator:
    """The program that runs machines, and with what: found by a probe of each image's kernel, unless it is given.

    ``data_dir`` is where answers of probes are kept.
    """

    path: str
    data_dir: Path
    accelerator: Accelerator | None = None

    def accelerator_of(self, image: GuestImage) -> Accelerator:
        """See ``choose_accelerator``."""
        return self.accelerator or choose_accelerator(self.data_dir, image, self.path)


def choose_accelerator(data_dir: Path, image: GuestImage, emulator: str | None = None) -> Accelerator:
    """KVM if a probe guest really boots under it, else TCG. The answer is kept in ``data_dir``.

    It is asked again after a restart of the host and with another kernel or emulator. Takes up to
    ``PROBE_SECONDS`` the first time; processes that ask at once wait for the one that tries.
    """
    emulator = emulator or find_emulator()
    if not os.access(KVM_DEVICE, os.R_OK | os.W_OK):
        return Accelerator.TCG
    data_dir.mkdir(parents=True, exist_ok=True)
    kept = data_dir / "accelerator.json"
    key = _key(image, emulator)
    with (data_dir / ".accelerator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = _read(kept, key)
        if known is not None:
            return known
        answer = Accelerator.KVM if boots_under(Accelerator.KVM, image, emulator) else Accelerator.TCG
        logger.info("Accelerator: %s", answer.value)
        fresh = kept.with_suffix(".new")
        fresh.write_text(json.dumps({"key": key, "accelerator": answer.value}))
        fresh.replace(kept)
    return answer


def known_accelerator(data_dir: Path) -> str:
    """The last answer, without trying anything; empty when none was given yet."""
    try:
        return str(json.loads((data_dir / "accelerator.json").read_text())["accelerator"])
    except (OSError, ValueError, KeyError):
        return "" if os.access(KVM_DEVICE, os.R_OK | os.W_OK) else Accelerator.TCG.value


def boots_under(accelerator: Accelerator, image: GuestImage, emulator: str, seconds: float = PROBE_SECONDS) -> bool:
    """Boot the image's probe and see whether its line comes within ``seconds``. The process is ended in any case."""
    command = [
        *("setpriv", "--pdeathsig", "KILL"),  # a guest that hangs takes a whole processor: it ends with this process
        emulator,
        *("-machine", f"q35,accel={accelerator.value}", "-cpu", "max", "-m", "128"),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"),
        *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
        *("-append", "console=ttyS0 quiet no_timer_check panic=-1 rdinit=/probe"),
    ]
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return False
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        try:
            # What it printed before the limit does not count: a guest that hangs afterwards is of no use.
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            logger.warning("The probe guest (process %s) does not end", process.pid)
        return False
    return PROBE_LINE in output


def _key(image: GuestImage, emulator: str) -> str:
    parts = [boot_id(), image.name, image.kernel_version]
    for path in (Path(emulator), image.kernel, image.initrd):
        if path is None:
            continue
        try:
            status = path.stat()
            parts.append(f"{path.resolve()}:{status.st_size}:{status.st_mtime_ns}")
        except OSError:
            parts.append(f"{path}:missing")
    return "|".join(parts)


def _read(path: Path, key: str) -> Accelerator | None:
    try:
        kept = json.loads(path.read_text())
        return Accelerator(kept["accelerator"]) if kept["key"] == key else None
    except (OSError, ValueError, KeyError):
        return None
