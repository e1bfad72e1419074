"""Dropping copies of disks that are left over, and tidying the images that were to be made of them."""

from zentry_web.adapters.compute.base import ComputeDriver
from zentry_web.services.shared.rounds import each_alone, steps
from zentry_web.services.vm_service import VMService


class CopyKeeper:
    """A loop of the worker's."""

    def __init__(self, vms: VMService, driver: ComputeDriver) -> None:
        self._records, self._driver = vms.machine_image_records, driver

    def run(self) -> None:
        """One round."""
        steps("copies", [("copies", self._drop_left), ("images", self._records.tidy)])

    def _drop_left(self) -> None:
        left = self._records.list_over(self._driver.copies.stored())
        each_alone("drop copy", left, self._driver.copies.drop)
