"""``zentry up``: runs web and worker as child processes, starts again what dies, stops both on SIGTERM or Ctrl-C."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

STOP_SECONDS = 25
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
LOOK_SECONDS = 0.5
_PR_SET_PDEATHSIG = 1  # of prctl(2): which signal a process gets when the one that began it is gone
_PRCTL = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def _end_with_supervisor() -> None:
    """In a child before it begins: when the supervisor is killed, nothing of Zentry goes on without it, so that it can
    be started again at once."""
    if _PRCTL is not None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One supervised process."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    pause: float = FIRST_PAUSE
    started: float = field(default=0.0)
    start_after: float = field(default=0.0)


class Supervisor:
    """Keeps the children running until told to stop; guests are none of its business and keep running."""

    def __init__(self, commands: dict[str, list[str]]) -> None:
        self._children = [Child(name, command) for name, command in commands.items()]
        self._stop = threading.Event()

    def run(self, ready: Callable[[], None]) -> int:
        """Start all, call ``ready`` in a thread, watch. Returns 0 after a clean stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        threading.Thread(target=ready, daemon=True).start()
        try:
            while not self._stop.is_set():
                for child in self._children:
                    self._look_after(child)
                self._stop.wait(LOOK_SECONDS)
        finally:
            self._stop_all()
        return 0

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stop.set()

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_after:
                # A session of its own: Ctrl-C reaches only the supervisor, which then stops the children in order.
                child.process = subprocess.Popen(
                    child.command, start_new_session=True, env=os.environ, preexec_fn=_end_with_supervisor
                )
                child.started = now
            return
        code = child.process.poll()
        if code is None:
            return
        # Killed from outside, however often, is no fault of its own; one that ends by itself would only end again.
        if code == -signal.SIGKILL or now - child.started > 60:
            child.pause = FIRST_PAUSE
        else:
            child.pause = min(child.pause * 2, LONGEST_PAUSE)
        sys.stderr.write(f"zentry: {child.name} ended with {code}; starting it again in {child.pause:.0f} s\n")
        child.process, child.start_after = None, now + child.pause

    def _stop_all(self) -> None:
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
