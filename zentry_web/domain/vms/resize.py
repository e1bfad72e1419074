"""Changing a VM's size: which sizes it can have, and what that costs. Pure rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from zentry_web.domain.language import _
from zentry_web.domain.projects.quota import format_memory
from zentry_web.domain.vms.catalogue import Size
from zentry_web.domain.vms.vm import VM, Rates


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
    def rates(self) -> Rates:
        """With the new size."""
        return Rates(self.running_after, self.stopped_after)

    @property
    def missing_micro(self) -> int:
        return max(0, self.needed_micro - self.available_micro)


def choose(vm: VM, size: Size, *, least_memory_mib: int, capacity: Mapping[str, int]) -> SizeChoice:
    """Whether this VM can have this size. A disk only grows: nobody can tell which part of it could go."""
    if size.id == vm.size_id:
        return SizeChoice(size, _("It has this size now."), True)
    problem = ""
    if not size.active:
        problem = _("This size is no longer on offer.")
    elif size.disk_gib < vm.disk_gib:
        problem = _(
            "Its disk has %(disk)s GiB, and a disk cannot shrink to %(smaller)s GiB.",
            disk=vm.disk_gib,
            smaller=size.disk_gib,
        )
    elif size.memory_mib < least_memory_mib:
        problem = _("Its image needs at least %(least)s of memory.", least=format_memory(least_memory_mib))
    elif size.vcpus > capacity.get("vcpus", size.vcpus) or size.memory_mib > capacity.get(
        "memory_mib", size.memory_mib
    ):
        problem = _("No host here is large enough for this size.")
    return SizeChoice(size, problem)
