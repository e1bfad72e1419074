"""What credits will do: as things stand, and if something were changed. Pure rules, no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from zentry_web.domain.credits.billing import Balance
from zentry_web.domain.credits.usage import SECOND
from zentry_web.domain.money import SECONDS_PER_HOUR, cost
from zentry_web.domain.vms.catalogue import Size


@dataclass(frozen=True, slots=True)
class FleetVM:
    """A VM that costs something now."""

    vm_id: str
    name: str
    project_name: str
    size_id: str
    size_name: str
    is_running: bool
    rate_micro_per_hour: int  # what it costs now
    stopped_micro_per_hour: int
    surcharge_micro_per_hour: int = 0  # its image's part while it runs


@dataclass(frozen=True, slots=True)
class Changes:
    """What somebody thinks of doing."""

    stop: frozenset[str] = frozenset()  # VM ids
    sizes: Mapping[str, str] = field(default_factory=dict)  # VM id: size id
    launch: Mapping[str, int] = field(default_factory=dict)  # size id: how many
    surcharge_micro_per_hour: int = 0  # of the image to launch with

    @property
    def count(self) -> int:
        return len(self.stop | set(self.sizes)) + sum(self.launch.values())


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The answer: burn rate and end of credits before and after the changes."""

    balance: Balance
    burn_after_micro_per_hour: int
    needed_micro: int  # what the launches would set aside at once
    changes: int
    fleet: Sequence[FleetVM]  # what could be changed, the dearest first

    @property
    def difference_micro_per_hour(self) -> int:
        return self.burn_after_micro_per_hour - self.balance.burn_micro_per_hour

    @property
    def runs_out_at(self) -> datetime | None:
        return self.balance.runs_out_with(self.burn_after_micro_per_hour)

    @property
    def missing_micro(self) -> int:
        return max(0, self.needed_micro - self.balance.available_micro)


def what_if(
    balance: Balance, fleet: Sequence[FleetVM], sizes: Sequence[Size], changes: Changes, window: timedelta
) -> WhatIf:
    """Work the changes out. VMs and sizes that do not exist change nothing."""
    known = {size.id: size for size in sizes}
    burn = balance.burn_micro_per_hour
    for vm in fleet:
        burn += _rate_after(vm, known.get(changes.sizes.get(vm.vm_id, "")), changes) - vm.rate_micro_per_hour
    needed = 0
    for size_id, count in changes.launch.items():
        if size_id in known:
            rate = known[size_id].running_micro_per_hour + changes.surcharge_micro_per_hour
            burn += rate * count
            needed += cost(rate, window // SECOND) * count
    return WhatIf(balance, burn, needed, changes.count, fleet)


def _rate_after(vm: FleetVM, size: Size | None, changes: Changes) -> int:
    runs = vm.is_running and vm.vm_id not in changes.stop
    if size is not None:
        return size.running_micro_per_hour + vm.surcharge_micro_per_hour if runs else size.stopped_micro_per_hour
    return vm.rate_micro_per_hour if runs == vm.is_running else vm.stopped_micro_per_hour


def month_forecast(balance: Balance, spent_micro: int, end: datetime) -> int:
    """What the month will have cost at its ``end`` if nothing changes: no more than there is can still be spent."""
    return spent_micro + min(balance.total_micro, cost(balance.burn_micro_per_hour, (end - balance.at) // SECOND))


@dataclass(frozen=True, slots=True)
class BalancePoint:
    """A balance that was (``projected`` False) or will be, if nothing changes."""

    at: datetime
    micro: int
    projected: bool = False


def project(balance: Balance, until: datetime, step: timedelta) -> list[BalancePoint]:
    """The balance from now on at the present burn rate, every ``step``, with the moment at which it is empty."""
    end = balance.runs_out_at
    moments = [balance.at]
    while moments[-1] + step <= until:
        moments.append(moments[-1] + step)
    if end is not None and end < until:
        moments = sorted({*moments, end})
    burned = [balance.burn_micro_per_hour * ((at - balance.at) // SECOND) // SECONDS_PER_HOUR for at in moments]
    return [
        BalancePoint(at, 0 if end and at >= end else max(0, balance.total_micro - spent), True)
        for at, spent in zip(moments, burned, strict=True)
    ]
