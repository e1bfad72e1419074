"""Dropping copies of disks that are left over, and tidying the images that were to be made of them."""

from collections.abc import Sequence

from zentry_web.adapters.compute.base import ComputeDriver
from zentry_web.services.shared.rounds import each_alone, steps
from zentry_web.services.vm_service import VMService

CALM_SECONDS = 15.0  # between rounds while nothing is left over


class CopyKeeper:
    """A loop of the worker's."""

    def __init__(self, vms: VMService, driver: ComputeDriver) -> None:
        self._records, self._driver = vms.machine_image_records, driver

    def run(self) -> float | None:
        """One round; see Worker.loops."""
        stored = self._driver.copies.stored()
        steps("copies", [("copies", lambda: self._drop_left(stored)), ("images", self._records.tidy)])
        return None if stored else CALM_SECONDS

    def _drop_left(self, stored: Sequence[str]) -> None:
        if stored:
            each_alone("drop copy", self._records.list_over(stored), self._driver.copies.drop)
