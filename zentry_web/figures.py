"""Where web and worker processes keep their figures for /metrics: small files that prometheus_client maps into memory.

Writing into such a file on a full disk ends the process (SIGBUS). So they lie in memory where the machine offers that
(/dev/shm), and where there is no room at all Zentry runs without figures.
"""

import os
import re
import shutil
import stat
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

MEMORY = Path("/dev/shm")  # noqa: S108 (a folder of our own in it, whose owner and mode are checked)
LEAST_FREE_BYTES = 64 * 1024 * 1024
SWITCH = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own
_OF_PROCESS = re.compile(r"_(\d+)\.db$")


def prepare_figures(data: Path, namespace: str, *, memory: Path = MEMORY) -> Path | None:
    """Choose the folder, name it in the environment for this process and its children, and remove what processes that
    are gone left there. None, and nothing in the environment, where there is no room."""
    for folder in (memory / f"zentry-figures-{namespace}", data / "prometheus"):
        if _is_usable(folder):
            _forget_dead(folder)
            os.environ[SWITCH] = str(folder)
            return folder
    os.environ.pop(SWITCH, None)
    log.warning("no_room_for_figures", least_free_bytes=LEAST_FREE_BYTES)
    return None


def _is_usable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
        return mine and shutil.disk_usage(folder).free >= LEAST_FREE_BYTES
    except OSError:
        return False


def _forget_dead(folder: Path) -> None:
    for path in folder.glob("*.db"):
        owner = _OF_PROCESS.search(path.name)
        if owner is None or not Path(f"/proc/{owner[1]}").exists():
            path.unlink(missing_ok=True)
