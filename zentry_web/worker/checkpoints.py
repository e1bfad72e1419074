"""Named places where a kill test can hold a process still, to kill it exactly there."""

import threading
from collections.abc import Callable
from pathlib import Path


def pausing_checkpoint(folder: Path, pause_at: str) -> Callable[[str], None]:
    """A checkpoint function that, at the one named ``pause_at``, writes ``paused-NAME`` and waits to be killed.

    With an empty ``pause_at`` (always, outside the kill tests) it does nothing.
    """

    def checkpoint(name: str) -> None:
        if name == pause_at:
            (folder / f"paused-{name}").touch()
            threading.Event().wait()

    return checkpoint
