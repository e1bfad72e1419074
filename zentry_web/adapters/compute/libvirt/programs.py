"""Programs of the host's that take minutes: what they print is heard, and they end when nobody wants them any more."""

import contextlib
import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.watch import Watch

LOOK_SECONDS = 1.0
_PERCENT = re.compile(rb"\((\d+)\.\d+/100%\)")  # as qemu-img -p prints it
_LONGEST_REASON = 300


class ProgramFailed(ComputeRefused):
    """A program ended with an error: its last line, or that it gave none; ``output`` is all it said of errors."""

    def __init__(self, output: str) -> None:
        self.output = output.strip()
        super().__init__((self.output.splitlines() or ["no reason given"])[-1][:_LONGEST_REASON])


def run_watched(
    command: list[str],
    hear: Callable[[bytes], None],
    watch: Watch,
    seconds: float,
    environment: dict[str, str] | None = None,
) -> None:
    """Run a program to its end, in a session of its own with an open standard input that ends with this process.

    Raises ProgramFailed, ComputeRefused (it took longer than ``seconds``), Stopped; then nothing of it runs on.
    """
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        ends = time.monotonic() + seconds
        try:
            while True:
                ready, *_rest = select.select([process.stdout], [], [], LOOK_SECONDS)
                text = os.read(process.stdout.fileno(), 4096) if ready else None
                if text == b"":
                    break
                watch.check()
                if time.monotonic() > ends:
                    raise ComputeRefused("It took too long.")
                if text:
                    hear(text)
            process.wait(10)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        if process.returncode:
            errors.seek(0)
            raise ProgramFailed(errors.read().decode(errors="replace"))


def hear_percent(watch: Watch) -> Callable[[bytes], None]:
    """Tells ``watch`` how much of its work ``qemu-img -p`` says is done, of 100."""

    def hear(text: bytes) -> None:
        if found := _PERCENT.findall(text):
            watch.done(int(found[-1]), 100)

    return hear
