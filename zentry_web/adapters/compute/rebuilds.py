"""A machine's disk made anew from an image, and the one that was put aside."""

from typing import Protocol

from zentry_web.adapters.compute.base import MachineSpec


class Rebuilds(Protocol):
    """A part of ComputeDriver, which says what all of its methods may raise.

    Where a cloud keeps no disk aside, ``aside`` names a snapshot of it.
    """

    def rebuild(self, spec: MachineSpec, aside: str) -> None:
        """Give a machine that is off a fresh disk from the image of ``spec``, and a seed that says what ``spec`` does;
        its address stays. The disk that was is put aside under the name ``aside``, and any put aside before is gone.
        Success if that was done already.

        Raises MachineMissing, ComputeRefused (it runs; no such image; no room; ``check_resize``): then nothing has
        changed.
        """

    def bring_back(self, vm_id: str, aside: str) -> None:
        """Give a machine that is off the disk back that was put aside under that name, with what it was made as then;
        the present disk is gone. Success if nothing was put aside under that name, or if it is back already.

        Raises MachineMissing, ComputeRefused (it runs; what was put aside is gone; ``check_resize``).
        """

    def drop(self, vm_id: str, aside: str) -> None:
        """Remove what was put aside under that name. Success if there is nothing."""
