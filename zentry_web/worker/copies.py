"""Dropping copies of disks that are left over, and tidying the images that were to be made of them."""

from zentry_web.adapters.compute.base import ComputeDriver
from zentry_web.services.shared.rounds import each_alone, steps
from zentry_web.services.vm_service import VMService

CALM_SECONDS = 15.0  # between rounds while there is none


class CopyKeeper:
    """A loop of the worker's."""

    def __init__(self, vms: VMService, driver: ComputeDriver) -> None:
        self._records, self._driver = vms.machine_image_records, driver

    def run(self) -> float | None:
        """One round; see Worker.loops."""
        steps("copies", [("copies", self._drop_left), ("images", self._records.tidy)])
        return None if self._driver.copies.stored() else CALM_SECONDS

    def _drop_left(self) -> None:
        left = self._records.list_over(self._driver.copies.stored())
        each_alone("drop copy", left, self._driver.copies.drop)
