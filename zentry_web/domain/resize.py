"""Changing a VM's size: which sizes it can have, and what that costs. Pure rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from .vm import VM, Size


@dataclass(frozen=True, slots=True)
class SizeChoice:
    """A size of the catalogue as one VM sees it; ``problem`` says why it cannot have it ('' if it can)."""

    size: Size
    problem: str = ""
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class ResizeQuote:
    """What another size costs, before and after; rates are micro-credits per hour."""

    restarts: bool  # it runs: it is stopped, changed and started again
    running_before: int
    running_after: int
    stopped_before: int
    stopped_after: int
    needed_micro: int  # what must be in the wallet when it is ordered
    available_micro: int
    runs_out_before: datetime | None
    runs_out_at: datetime | None

    @property
    def missing_micro(self) -> int:
        return max(0, self.needed_micro - self.available_micro)

    @property
    def rate_after(self) -> int:
        """What it costs then in the state that it is in."""
        return self.running_after if self.restarts else self.stopped_after


def choose(vm: VM, size: Size, *, least_memory_mib: int, capacity: Mapping[str, int]) -> SizeChoice:
    """Whether this VM can have this size. A disk only grows: nobody can tell which part of it could go."""
    if size.id == vm.size_id:
        return SizeChoice(size, "It has this size now.", True)
    problem = ""
    if not size.active:
        problem = "This size is no longer on offer."
    elif size.disk_gib < vm.disk_gib:
        problem = f"Its disk has {vm.disk_gib} GiB, and a disk cannot shrink to {size.disk_gib} GiB."
    elif size.memory_mib < least_memory_mib:
        problem = f"Its image needs at least {least_memory_mib} MiB of memory."
    elif size.vcpus > capacity.get("vcpus", size.vcpus) or size.memory_mib > capacity.get(
        "memory_mib", size.memory_mib
    ):
        problem = "No host here is large enough for this size."
    return SizeChoice(size, problem)
