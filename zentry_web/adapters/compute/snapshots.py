"""Going back to what a machine was: its disk and, where it ran, its memory."""

from dataclasses import dataclass
from typing import Protocol

OURS = "snap_"  # so begin the names of Zentry's own; all others belong to whoever made them


@dataclass(frozen=True, slots=True)
class MachineSnapshot:
    """A snapshot as the hypervisor lists it."""

    name: str
    has_memory: bool  # taken of a machine that ran: reverted to it, it runs
    is_current: bool  # the last that was made or reverted to
    size_bytes: int | None = None  # memory, and what the disk held then; None: nobody can tell

    @property
    def is_ours(self) -> bool:
        return self.name.startswith(OURS)


class Snapshots(Protocol):
    """A part of ComputeDriver, which says what all of its methods may raise. ``name`` begins with ``OURS``."""

    def create(self, vm_id: str, name: str) -> None:
        """Keep the disk as it is now and, of a machine that is on, its memory: it stands still meanwhile. Success if
        there is one of that name.

        Raises MachineMissing, ComputeRefused (no room, others have changed its disks): then nothing of it is left.
        """

    def list(self, vm_id: str) -> list[MachineSnapshot]:
        """All of a machine, also those of others. One that is not in the list is not there. Raises MachineMissing."""

    def revert(self, vm_id: str, name: str) -> None:
        """Make the machine what it was: on with the memory of then, in a new run, or off. All since then is lost.

        Raises MachineMissing, ComputeRefused (there is no such snapshot; no memory on the host): then it is as it was.
        """

    def delete(self, vm_id: str, name: str) -> None:
        """Forget one; the machine stays as it is, and so do the others. Success if it is not there, nor the machine."""
