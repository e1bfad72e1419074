"""Telling dead workers from living ones: each holds a lock on a file of its own, which the kernel drops at its death.

A worker that was killed leaves leases behind. The next one that starts on the same data folder sees that nobody
holds the dead one's file any more and may drop those leases at once instead of waiting for them to run out.
"""

import fcntl
import os
from pathlib import Path


class Lifeline:
    """A locked file ``worker-NAME.alive`` in ``folder``, held until ``cut`` or the end of the process."""

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / f"worker-{name}.alive"
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def list_dead(self) -> list[str]:
        """Names of workers that left their file behind and are not alive; ``bury`` them once their leases are gone."""
        names = []
        for path in self._path.parent.glob("worker-*.alive"):
            if path != self._path and not _is_held(path):
                names.append(path.name.removeprefix("worker-").removesuffix(".alive"))
        return names

    def bury(self, name: str) -> None:
        """Remove a dead worker's file."""
        self._path.with_name(f"worker-{name}.alive").unlink(missing_ok=True)

    def cut(self) -> None:
        """This worker ends in good order and leaves nothing behind."""
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True  # it has just ended, or somebody else has buried it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
