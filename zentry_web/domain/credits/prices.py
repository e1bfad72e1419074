"""Changes of prices: what is drafted, announced and rehearsed. Pure rules, no I/O (docs/adr/0009)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from zentry_web.domain.credits.billing import run_out
from zentry_web.domain.credits.usage import UsageState
from zentry_web.domain.language import _, dated
from zentry_web.domain.money import format_credits, per_month
from zentry_web.domain.notice_texts import say
from zentry_web.domain.zones import zone_of

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


def seal_of(title: str, starts_at: datetime, items: Iterable[PriceItem]) -> str:
    """See PriceChange.seal."""
    words = (title, starts_at.timestamp(), sorted(map(repr, items)))
    return sha256(repr(words).encode()).hexdigest()[:20]


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

    @property
    def seal(self) -> str:
        """A short text that is another one as soon as a figure, the start or the name is: what was rehearsed."""
        return seal_of(self.title, self.starts_at, self.items)

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


def new_prices(title: str, at: datetime, zone: str, lines: str) -> tuple[str, str]:
    """The notice of a change called ``title`` that counts from ``at`` on; ``lines`` are ``notice_text``."""
    return say("prices_new", day=_day(at, zone), change=title, lines=lines)


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
    lines = [
        _from_when(_moment(at, zone), is_late, _moment(since, zone) if since else ""),
        "",
        _("Your machines as they are now: %(price)s credits per month.", price=_months(burn.before, burn.after)),
    ]
    if (burn.running_before, burn.running_after) != (burn.before, burn.after):
        price = _months(burn.running_before, burn.running_after)
        lines.append(_("If all of them ran: %(price)s credits per month.", price=price))
    lines.append("")
    for vm in machines[:_MACHINES_IN_NOTICE]:
        running = f"{format_credits(vm.running_before)} → {format_credits(vm.running)}"
        stopped = f"{format_credits(vm.stopped_before)} → {format_credits(vm.stopped)}"
        prices = _("%(running)s per hour running, %(stopped)s stopped", running=running, stopped=stopped)
        lines.append(f"- {vm.name} ({vm.size_name}): {prices}")
    if (more := len(machines) - _MACHINES_IN_NOTICE) > 0:
        lines.append(_("- and %(count)s more", count=more))
    if later is not None:
        text = _(
            "Prices announced for %(at)s follow these: what was told of them still stands.", at=_moment(later, zone)
        )
        lines += ["", text]
    lines += ["", _("Nothing is stopped for it. What is used before is charged at the old price, to the second.")]
    return "\n".join(lines)


def _from_when(at: str, is_late: bool, since: str) -> str:
    if is_late and since:
        return _(
            "From now on your machines have new prices. Until then they have those announced for %(since)s, which "
            "these are compared with.",
            since=since,
        )
    if is_late:
        return _("From now on your machines have new prices. Until then nothing changes for them.")
    if since:
        return _(
            "From %(at)s (your time) your machines have new prices. Until then they have those announced for "
            "%(since)s, which these are compared with.",
            at=at,
            since=since,
        )
    return _("From %(at)s (your time) your machines have new prices. Until then nothing changes for them.", at=at)


def withdrawn_prices(at: datetime, zone: str) -> tuple[str, str]:
    """The notice to an owner when a change that they were told of does not happen."""
    return say("prices_withdrawn", at=_moment(at, zone))


def _months(before: int, after: int) -> str:
    first, second = per_month(before), per_month(after)
    sign = "+" if second >= first else "-"
    difference = format_credits(abs(second - first), decimals=2)
    return f"{format_credits(first, decimals=2)} → {format_credits(second, decimals=2)} ({sign}{difference})"


def _moment(at: datetime, zone: str) -> str:
    return dated(at.astimezone(zone_of(zone)), "%a %-d %b %Y, %H:%M")


def _day(at: datetime, zone: str) -> str:
    return dated(at.astimezone(zone_of(zone)), "%-d %b %Y")


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
    def burn_difference(self) -> int:
        """Micro-credits per hour more for what is there now."""
        return self.burn_after - self.burn_before

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
    def burn_before(self) -> int:
        """Micro-credits per hour that all pay together for what is there now, just before the change."""
        return sum(owner.burn_before for owner in self.owners)

    @property
    def burn_after(self) -> int:
        return sum(owner.burn_after for owner in self.owners)

    @property
    def burn_difference(self) -> int:
        return self.burn_after - self.burn_before

    @property
    def dearer_now(self) -> int:
        return sum(owner.burn_difference > 0 for owner in self.owners)

    @property
    def cheaper_now(self) -> int:
        return sum(owner.burn_difference < 0 for owner in self.owners)

    @property
    def running_dry(self) -> int:
        return sum(owner.runs_dry for owner in self.owners)
