"""Changes of prices: what is drafted, announced and rehearsed. Pure rules, no I/O (docs/adr/0009)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from .billing import run_out
from .money import format_credits, per_month
from .usage import UsageState

SOON = timedelta(days=7)  # who runs dry sooner than this after a change is named in its rehearsal
_MACHINES_IN_NOTICE = 10


class ItemKind(StrEnum):
    SIZE = "size"
    IMAGE = "image"


class ChangeState(StrEnum):
    DRAFT = "draft"
    ANNOUNCED = "announced"  # published, not begun
    IN_FORCE = "in force"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class PriceItem:
    """A new price: of a size, or what an image adds to a running hour (``disk`` is 0 then)."""

    kind: ItemKind
    target_id: str
    running_micro_per_hour: int
    disk_micro_per_gib_hour: int = 0


@dataclass(frozen=True, slots=True)
class PriceChange:
    """New prices with one start."""

    id: str
    title: str
    starts_at: datetime
    created_at: datetime
    published_at: datetime | None
    withdrawn_at: datetime | None
    finished_at: datetime | None
    items: tuple[PriceItem, ...]
    told: int = 0  # owners who were told
    switched: int = 0  # of them, those whose machines have the new prices

    def state(self, now: datetime) -> ChangeState:
        """Where it stands at ``now``."""
        if self.withdrawn_at is not None:
            return ChangeState.WITHDRAWN
        if self.published_at is None:
            return ChangeState.DRAFT
        return ChangeState.ANNOUNCED if now < self.starts_at else ChangeState.IN_FORCE

    def item(self, target_id: str) -> PriceItem | None:
        """The new price of that size or image, if it gets one."""
        return next((item for item in self.items if item.target_id == target_id), None)


@dataclass(frozen=True, slots=True)
class ComingVMPrice:
    """What a machine will cost from a moment on, and just before it; micro-credits per hour."""

    vm_id: str
    owner_id: str
    name: str
    size_name: str
    change_id: str
    title: str
    starts_at: datetime  # the change's start, or later if its owner was told later
    running_before: int
    stopped_before: int
    running: int
    stopped: int
    after: datetime | None = None  # when the announced prices begin that stand before; None: those of today

    def rise(self, state: UsageState) -> int:
        """How much more an hour in that state costs than just before."""
        if state == UsageState.RUNNING:
            return self.running - self.running_before
        return self.stopped - self.stopped_before


@dataclass(frozen=True, slots=True)
class Burn:
    """Micro-credits per hour just before and after a change: of machines as they are, and if all of them ran."""

    before: int
    after: int
    running_before: int
    running_after: int


@dataclass(frozen=True, slots=True)
class ToldOwner:
    """Who was told of a change, and the figures they were told: micro-credits per hour."""

    owner_id: str
    name: str
    email: str
    told_at: datetime
    before: int
    after: int


def notice_title(title: str, at: datetime, zone: str) -> str:
    """What the list and the mail's subject say."""
    return f"New prices from {_day(at, zone)}: {title}"


def notice_text(
    burn: Burn,
    machines: Sequence[ComingVMPrice],
    at: datetime,
    zone: str,
    *,
    is_late: bool,
    since: datetime | None = None,
    later: datetime | None = None,
) -> str:
    """What an owner is told of a change: their own figures first.

    ``since``: when the announced prices begin that it is compared with, if it is not today's; ``later``: when the next
    change announced begins.
    """
    when = "From now on" if is_late else f"From {_moment(at, zone)} (your time)"
    lines = [
        f"{when} your machines have new prices. Until then {_until_then(since, zone)}.",
        "",
        f"Your machines as they are now: {_months(burn.before, burn.after)} credits per month.",
    ]
    if (burn.running_before, burn.running_after) != (burn.before, burn.after):
        lines.append(f"If all of them ran: {_months(burn.running_before, burn.running_after)} credits per month.")
    lines.append("")
    for vm in machines[:_MACHINES_IN_NOTICE]:
        running = f"{format_credits(vm.running_before)} → {format_credits(vm.running)} per hour running"
        stopped = f"{format_credits(vm.stopped_before)} → {format_credits(vm.stopped)} stopped"
        lines.append(f"- {vm.name} ({vm.size_name}): {running}, {stopped}")
    if len(machines) > _MACHINES_IN_NOTICE:
        lines.append(f"- and {len(machines) - _MACHINES_IN_NOTICE} more")
    if later is not None:
        lines += ["", f"Prices announced for {_moment(later, zone)} follow these: what was told of them still stands."]
    lines += ["", "Nothing is stopped for it. What is used before is charged at the old price, to the second."]
    return "\n".join(lines)


def _until_then(since: datetime | None, zone: str) -> str:
    if since is None:
        return "nothing changes for them"
    return f"they have those announced for {_moment(since, zone)}, which these are compared with"


WITHDRAWN_TITLE = "Announced prices are withdrawn"


def withdrawn_text(at: datetime, zone: str) -> str:
    """What an owner is told when a change that they were told of does not happen."""
    return f"The new prices announced for {_moment(at, zone)} are withdrawn. Your machines keep the price they have."


def _months(before: int, after: int) -> str:
    first, second = per_month(before), per_month(after)
    sign = "+" if second >= first else "-"
    difference = format_credits(abs(second - first), decimals=2)
    return f"{format_credits(first, decimals=2)} → {format_credits(second, decimals=2)} ({sign}{difference})"


def _moment(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%a %-d %b %Y, %H:%M}"


def _day(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%-d %b %Y}"


@dataclass(frozen=True, slots=True)
class OwnerEffect:
    """What a change would have done to one owner in a period, and does to what they have now."""

    owner_id: str
    email: str
    name: str
    old_micro: int  # what the period cost, or would have at the prices announced before
    new_micro: int  # what the same use costs at the new prices
    credits_micro: int  # what is left now, to the second
    burn_before: int  # micro-credits per hour of what is there now, just before the change
    burn_after: int
    at: datetime

    @property
    def difference_micro(self) -> int:
        return self.new_micro - self.old_micro

    @property
    def permille(self) -> int | None:
        """The difference in thousandths of the old amount, rounded down; None when that was 0."""
        return self.difference_micro * 1000 // self.old_micro if self.old_micro else None

    @property
    def runs_out_before(self) -> datetime | None:
        return run_out(self.at, self.credits_micro, self.burn_before)

    @property
    def runs_out_after(self) -> datetime | None:
        return run_out(self.at, self.credits_micro, self.burn_after)

    @property
    def runs_dry(self) -> bool:
        """Credits end within a week at the new prices, and sooner than at the old ones."""
        end = self.runs_out_after
        return self.burn_after > self.burn_before and end is not None and end < self.at + SOON


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A change replayed over a period, owner by owner, the biggest increase first.

    ``since``: when the announced prices begin that it is compared with; None: with what was charged.
    """

    start: datetime
    end: datetime
    owners: tuple[OwnerEffect, ...]
    since: datetime | None = None

    @property
    def old_micro(self) -> int:
        return sum(owner.old_micro for owner in self.owners)

    @property
    def new_micro(self) -> int:
        return sum(owner.new_micro for owner in self.owners)

    @property
    def difference_micro(self) -> int:
        return self.new_micro - self.old_micro

    @property
    def dearer(self) -> int:
        return sum(owner.difference_micro > 0 for owner in self.owners)

    @property
    def cheaper(self) -> int:
        return sum(owner.difference_micro < 0 for owner in self.owners)

    @property
    def running_dry(self) -> int:
        return sum(owner.runs_dry for owner in self.owners)
