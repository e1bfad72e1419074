"""Backups: full copies of machines' disks in a place apart from them.

A copy takes minutes, so nothing here waits for one: ``begin`` starts it, or goes on with one that a killed worker
began, and ``progress`` is asked again and again. So it fits a cloud's backup service, too, which answers later.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BackupProgress:
    """How far a copy is, or a disk's return from one."""

    part: float  # from 0 to 1
    whole: bool = False  # it is there, and its digest is known
    size_bytes: int = 0  # what it takes, once it is whole
    disk_gib: int = 0  # of the machine it was made of, once it is whole
    sha256: str = ""  # of the file, once it is whole
    frozen: bool = False  # the guest's agent held its file systems still at the moment that it shows


class BackupDriver(Protocol):
    """All methods may raise ComputeUnavailable or ComputeTimeout; each may be repeated."""

    def trouble(self) -> str:
        """Why no backups can be made here, in words; '' when they can."""

    def room(self) -> tuple[int, int]:
        """How large the place for them is, and how much of it is free, in bytes; zeroes where it cannot be said."""

    def begin(self, vm_id: str, backup_id: str) -> None:
        """Begin a copy of the machine's disk as it is now, running or not; success if it is under way or whole.

        The file systems of a guest whose agent answers are held still for the moment of it, and always let go.
        Raises MachineMissing, ComputeRefused (no place, no room, others have changed its disks).
        """

    def progress(self, backup_id: str) -> BackupProgress | None:
        """None when nobody makes it and it is not there. Raises ComputeRefused with the reason when making it failed,
        ComputeUnavailable when it is to be begun again; then nothing of it is left."""

    def abort(self, vm_id: str, backup_id: str) -> None:
        """End a copy that is being made and remove what there is of it; nothing happens to one that is whole."""

    def restore(self, vm_id: str, backup_id: str, key: str) -> None:
        """Begin to give a machine that is off the disk of this backup; success if that is under way or done. ``key``
        tells this time from another.

        Its own disk stays as it is until the other is whole, and is then put aside under the name ``key``, as by a
        rebuild: ``Rebuilds`` brings it back or drops it. The size stays the machine's.
        Raises MachineMissing, ComputeRefused (it runs; the backup is missing, broken, or larger than the machine's
        disk; no room; others have made snapshots or changed its disks).
        """

    def restoring(self, vm_id: str, key: str) -> BackupProgress | None:
        """How far that is; ``whole`` when it has the disk. None when nobody is at it. Raises ComputeRefused as
        ``progress`` does; then the machine has the disk it had."""

    def abandon(self, vm_id: str, key: str) -> None:
        """End a return that is under way: the machine has the disk it had. Nothing happens to one that is done."""

    def delete(self, backup_id: str) -> None:
        """Remove a backup; success if there is none."""

    def stored(self) -> tuple[str, ...]:
        """The ids of all backups that are whole."""
