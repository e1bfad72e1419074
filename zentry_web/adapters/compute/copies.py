"""Whole copies of machines' disks, of which images and other machines are made.

A copy takes minutes, so nothing here waits for one: ``begin`` starts it, or starts it anew where a worker was killed
in the middle, and ``progress`` is asked again and again.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DiskSource:
    """What is copied: the machine's disk as it is now, but for the last two."""

    vm_id: str
    snapshot: str = ""  # as it was when this one was taken
    backup: str = ""  # as it is in this one; the machine need not be there any more


@dataclass(frozen=True, slots=True)
class CopyProgress:
    """How far a copy is."""

    part: float  # from 0 to 1
    whole: bool = False


class DiskCopies(Protocol):
    """A part of ComputeDriver, which says what all of its methods may raise. ``key`` names a copy.

    What is made of a copy takes it over: ``Images.make`` by the ``reference`` of its order, ``ComputeDriver.create`` by
    the ``copy`` of its spec. ``drop`` is for afterwards, and for a copy that nobody wants any more.
    """

    def begin(self, key: str, source: DiskSource, *, disk_gib: int = 0) -> None:
        """Begin a copy that holds all of the disk, also what it takes from its image, at one moment; the machine may
        run. Success if it is under way or whole. Room for a disk of ``disk_gib`` is looked at, too.

        Raises MachineMissing, ComputeRefused (no room; no such snapshot or backup; others have changed its disks).
        """

    def progress(self, key: str) -> CopyProgress | None:
        """None when nobody makes it and it is not there. Raises ComputeRefused with the reason when making it failed,
        ComputeUnavailable when it is to be begun again; then nothing of it is left."""

    def drop(self, key: str) -> None:
        """End one that is being made, and remove what there is of it. What was made of it stays. Success if there is
        none."""

    def stored(self) -> tuple[str, ...]:
        """Of all copies that take up room here, whole or not."""
