"""Removing backups: what was deleted, and what was left of copies that something else overtook."""

from collections.abc import Callable

from zentry_web.adapters.compute.base import ComputeDriver
from zentry_web.domain.vms.backup import BackupLeft
from zentry_web.services.shared.rounds import each_alone, steps
from zentry_web.services.vm_service import VMService


class BackupKeeper:
    """A loop of the worker's, which also makes those that schedules want. What it does not know it leaves alone: it may
    be of a database that was put back to an earlier day."""

    def __init__(self, vms: VMService, driver: ComputeDriver, checkpoint: Callable[[str], None]) -> None:
        self._vms, self._driver, self._checkpoint = vms, driver, checkpoint

    def run(self) -> None:
        """One round."""
        steps("backups", [("schedules", self._vms.backup_schedules.run), ("removals", self._remove_all)])

    def _remove_all(self) -> None:
        left = self._vms.backup_records.list_left()
        each_alone("remove backup", left, self._remove, lambda each: each.id)

    def _remove(self, left: BackupLeft) -> None:
        self._driver.backups.abort(left.vm_id, left.id)
        self._driver.backups.delete(left.id)
        self._checkpoint("backups.removed")
        self._vms.backup_records.removed(left)
