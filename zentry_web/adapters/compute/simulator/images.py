"""The twin's images: names in its file. Nothing is fetched, looked at or built, and the steps pass in a moment."""

import hashlib
import threading
from pathlib import Path

from zentry_web.adapters.compute.base import ComputeRefused
from zentry_web.adapters.compute.host import GIB
from zentry_web.adapters.compute.images import ImageFacts, ImageOrder
from zentry_web.adapters.compute.simulator.copies import SimulatorCopies
from zentry_web.adapters.compute.simulator.faults import SimulatorFaults
from zentry_web.adapters.compute.simulator.store import SimulatorStore
from zentry_web.adapters.compute.watch import Watch
from zentry_web.domain.vms.image import RECIPES, ImageSource

STEPS = {
    ImageSource.ADDRESS: ("fetch", "digest", "look", "convert", "check"),
    ImageSource.FILE: ("digest", "look", "convert", "check"),
    ImageSource.MACHINE: (),
    ImageSource.BUILD: ("packages", "disk", "convert", "check"),
}
TICKS = 10  # of a step that takes time
FAKE_SIZE = 400 * 1024**2
DISK_GIB = 2


class SimulatorImages:
    """``builtin`` are there from the start; ``seconds`` is how long making one takes."""

    def __init__(
        self,
        store: SimulatorStore,
        faults: SimulatorFaults,
        copies: SimulatorCopies,
        builtin: tuple[str, ...],
        seconds: float = 0.0,
    ) -> None:
        self._store, self._faults, self._builtin, self._seconds = store, faults, builtin, seconds
        self._copies = copies

    def names(self) -> tuple[str, ...]:
        self._faults.before("*", "images")
        with self._store.read() as connection:
            made = [str(row[0]) for row in connection.execute("SELECT name FROM image ORDER BY name")]
        return (*self._builtin, *made)

    def make(self, order: ImageOrder, watch: Watch) -> ImageFacts:
        late = self._faults.before(order.name, "make_image")
        steps = STEPS[order.source]
        if order.source == ImageSource.BUILD and order.reference not in RECIPES:
            raise ComputeRefused(f"There is no recipe “{order.reference}”.")
        if order.source == ImageSource.FILE and not Path(order.reference).is_file():
            raise ComputeRefused(f"The file {Path(order.reference).name} is not there any more.")
        disk_gib = DISK_GIB
        if order.source == ImageSource.MACHINE and order.name not in self.names():
            disk_gib = self._copies.whole(order.reference)
        for step in steps:
            watch.at(step)
            for tick in range(TICKS):
                watch.check()
                watch.done(FAKE_SIZE * (tick + 1) // TICKS, FAKE_SIZE)
                if self._seconds:
                    threading.Event().wait(self._seconds / len(steps) / TICKS)
        watch.at("place")
        sha256 = hashlib.sha256(order.name.encode()).hexdigest()
        with self._store.write() as connection:
            insert = "INSERT OR IGNORE INTO image (name, disk_gib) VALUES (?, ?)"
            connection.execute(insert, (order.name, disk_gib))
            row = connection.execute("SELECT disk_gib FROM image WHERE name = ?", (order.name,)).fetchone()
        self._faults.after(late)
        return ImageFacts(sha256, FAKE_SIZE, (row[0] or DISK_GIB) * GIB)

    def forget(self, order: ImageOrder) -> None:
        self._faults.before(order.name, "forget_image")

    def remove(self, name: str) -> bool:
        self._faults.before(name, "remove_image")
        if any(machine.image == name for machine in self._store.machines()):
            return False
        with self._store.write() as connection:
            connection.execute("DELETE FROM image WHERE name = ?", (name,))
        return True
