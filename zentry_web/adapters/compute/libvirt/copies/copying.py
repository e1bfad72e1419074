"""Copies of disks that take minutes: one thread each, whose progress can be asked for and which can be ended."""

import threading
from collections.abc import Callable
from dataclasses import replace
from math import inf

from zentry_web.adapters.compute.base import ComputeError, ComputeRefused
from zentry_web.adapters.compute.libvirt.disks.disks import find_tool
from zentry_web.adapters.compute.libvirt.programs import hear_percent, run_watched
from zentry_web.adapters.compute.watch import Stopped, Watch


class Copying:
    """Work on one disk in a thread of its own. Its ``watch`` is not wanted any more once it is ended."""

    def __init__(self, work: Callable[["Copying"], None]) -> None:
        self._work = work
        self._ended = threading.Event()
        self._aborted = threading.Event()
        self.watch = Watch(lambda step: None, lambda done, total: None, lambda: not self._aborted.is_set())
        self.part = 0.0  # from 0 to 1
        self.error: ComputeError | None = None
        threading.Thread(target=self._run, name="disk-copy", daemon=True).start()

    @property
    def is_under_way(self) -> bool:
        return not self._ended.is_set()

    def abort(self, seconds: float = 30.0) -> None:
        """End it, and wait until it has cleaned up behind itself."""
        self._aborted.set()
        self._ended.wait(seconds)

    def pause(self, seconds: float) -> None:
        """Wait, or raise Stopped as soon as it was ended."""
        self._aborted.wait(seconds)
        self.watch.check()

    def convert(
        self, arguments: list[str], begins: float, ends: float, look: Callable[[], None] = lambda: None
    ) -> None:
        """``qemu-img convert`` with these arguments, which takes the progress from ``begins`` to ``ends``. ``look`` is
        called each second meanwhile; what it raises ends it. Raises Stopped, ComputeRefused."""

        def done(percent: int, total: int) -> None:
            self.part = begins + (ends - begins) * percent / total

        def wanted() -> bool:
            look()
            return self.watch.wanted()

        self.watch.check()
        watch = replace(self.watch, done=done, wanted=wanted)
        try:
            run_watched([find_tool("qemu-img"), "convert", "-p", *arguments], hear_percent(watch), watch, inf)
        except ComputeRefused as error:
            raise ComputeRefused(f"The disk could not be copied: {error}.") from error

    def _run(self) -> None:
        try:
            self._work(self)
        except Stopped:
            pass
        except ComputeError as error:
            self.error = error
        except OSError as error:
            self.error = ComputeRefused(f"The disk could not be copied: {error.strerror or error}.")
        finally:
            self._ended.set()


class Copyings:
    """Copies under way in this process, by key."""

    def __init__(self) -> None:
        self._all: dict[str, Copying] = {}

    def is_under_way(self, key: str) -> bool:
        copying = self._all.get(key)
        return copying is not None and copying.is_under_way

    def begin(self, key: str, work: Callable[[Copying], None]) -> None:
        self._all[key] = Copying(work)

    def part(self, key: str) -> float | None:
        """How far one is, from 0 to 1; None when none is under way. Raises, once, what it ended with."""
        copying = self._all.get(key)
        if copying is None or copying.is_under_way:
            return copying.part if copying else None
        del self._all[key]
        if copying.error is not None:
            raise copying.error
        return None

    def forget(self, key: str) -> None:
        """One that is whole."""
        self._all.pop(key, None)

    def abort(self, key: str) -> None:
        """End one, and wait until it has cleaned up behind itself."""
        if (copying := self._all.pop(key, None)) is not None:
            copying.abort()

    def close(self) -> None:
        """End all; the next worker begins them again."""
        for copying in self._all.values():
            copying.abort(5.0)
