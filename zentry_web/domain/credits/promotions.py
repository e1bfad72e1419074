"""Promotional credit: given with a reason, used before paid credits, and gone when it expires. No I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from zentry_web.domain.credits.usage import HOUR, hour_start, seconds_between
from zentry_web.domain.money import cost

NOTICE_DAYS = (1, 7)  # owners are told so long before what is left of a promotion expires
LONGEST = timedelta(days=36_525)


@dataclass(frozen=True, slots=True)
class Promotion:
    """Credits given for promotion. ``expires_at`` is a whole UTC hour; None: they stay."""

    id: str
    amount_micro: int
    left_micro: int
    expires_at: datetime | None
    given_at: datetime
    reason: str = ""

    @property
    def used_micro(self) -> int:
        """What is no longer there: used, or expired."""
        return self.amount_micro - self.left_micro


def expiry_of(moment: datetime) -> datetime:
    """When credits meant to last until ``moment`` expire: at the next whole UTC hour, where charges are cut, so that
    every charge lies wholly before or after it. Never earlier than said."""
    hour = hour_start(moment)
    return hour if hour == moment else hour + HOUR


def in_order(promotions: Iterable[Promotion]) -> list[Promotion]:
    """As they are used: what expires soonest first, what stays last; of equals what was given first."""
    return sorted(promotions, key=lambda each: (each.expires_at is None, each.expires_at or each.given_at, each.id))


def take(promotions: Sequence[Promotion], micro: int) -> list[tuple[Promotion, int]]:
    """How much of each of these, which are in order, pays ``micro``; those that pay nothing are left out."""
    parts = []
    for promotion in promotions:
        part = min(promotion.left_micro, micro)
        if part > 0:
            parts.append((promotion, part))
            micro -= part
    return parts


def left_after(promotions: Sequence[Promotion], accrued_micro: int) -> list[tuple[Promotion, int]]:
    """What each of these, which are in order, has left once unsettled seconds are charged; the used up are left out."""
    taken = {promotion.id: part for promotion, part in take(promotions, accrued_micro)}
    left = [(promotion, promotion.left_micro - taken.get(promotion.id, 0)) for promotion in promotions]
    return [(promotion, micro) for promotion, micro in left if micro > 0]


def lapsing(promotions: Sequence[Promotion], now: datetime, accrued_micro: int, burn_micro_per_hour: int) -> int:
    """How much of these, which are in order, expires unused if what runs now goes on at this rate."""
    used = lost = 0
    for promotion in promotions:
        if promotion.expires_at is None:
            break
        seconds = max(0, seconds_between(now, promotion.expires_at))
        part = min(promotion.left_micro, max(0, accrued_micro + cost(burn_micro_per_hour, seconds) - used))
        used += part
        lost += promotion.left_micro - part
    return lost


def notice_due(expires_at: datetime, now: datetime, told: int) -> int | None:
    """The days of NOTICE_DAYS that the time left has come down to, unless that or less was told (0: nothing was)."""
    days = next((days for days in NOTICE_DAYS if expires_at - now <= timedelta(days=days)), None)
    return days if days is not None and (not told or days < told) else None
