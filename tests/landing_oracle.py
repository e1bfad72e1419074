"""The landing plan's play as it once was: round by round, without leaps. Slow, and plain enough to be believed."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from zentry_web.domain.credits.landing_play import LONGEST
from zentry_web.domain.credits.usage import HOUR, SECOND, OpenHold, hour_start, plan_renewals, seconds_between
from zentry_web.domain.money import cost

_TO_THE_SECOND = 50


@dataclass(slots=True)
class _Fleet:
    """A wallet and what draws on it, while the future is played through."""

    wallet: int
    holds: list[OpenHold]
    disks: list[int]
    charged: datetime  # disks are paid up to here

    @property
    def burn(self) -> int:
        return sum(hold.rate_micro_per_hour for hold in self.holds) + sum(self.disks)

    def accrued(self, moment: datetime) -> int:
        seconds = seconds_between(self.charged, moment)
        return sum(cost(rate, seconds) for rate in self.disks)


def _run_dry(fleet: _Fleet, now: datetime, window: timedelta) -> tuple[dict[str, datetime], datetime | None]:
    """The second each running VM's hold ends, and the one from which disks are not paid any more."""
    if fleet.burn <= 0:
        return {}, None
    half = window // 2
    step = SECOND if len(fleet.holds) <= _TO_THE_SECOND else timedelta(seconds=60)
    ends: dict[str, datetime] = {}
    disks_end: datetime | None = None
    last = now + LONGEST
    now = _skip(fleet, now, half)
    while fleet.holds and now < last:
        waiting = [hold.paid_until for hold in fleet.holds if hold.vm_id not in ends]
        if not waiting:
            break
        due = max(now, min(waiting) - half + step)
        cut = hour_start(now) + HOUR
        now = min(due, cut)
        if now == cut and fleet.disks:
            fleet.wallet = max(0, fleet.wallet - fleet.accrued(now))
            fleet.charged = now
        if now == due:
            _renew(fleet, now, window, ends)
            if step > SECOND:
                fleet.holds = [hold for hold in fleet.holds if hold.vm_id not in ends]
        if fleet.disks and disks_end is None and fleet.accrued(now) >= fleet.wallet:
            disks_end, fleet.disks = now, []
    if fleet.disks and disks_end is None and now < last:
        seconds = fleet.wallet * 3600 // sum(fleet.disks)
        end = max(now, fleet.charged + timedelta(seconds=min(seconds, 10**9)))
        disks_end = end if end < last else None
    return ends, disks_end


def _renew(fleet: _Fleet, now: datetime, window: timedelta, ends: dict[str, datetime]) -> None:
    """One round of the worker; ``ends`` gets the VMs that it cannot renew. Some seconds may still come their way."""
    enough = now + window // 2
    fleet.holds = [hold for hold in fleet.holds if hold.paid_until > now]
    due = [hold for hold in fleet.holds if hold.paid_until < enough]
    others = [hold for hold in fleet.holds if hold.paid_until >= enough and hold.importance > 0]
    renewed: dict[str, OpenHold] = {}
    for renewal in plan_renewals(due, fleet.wallet, now, window, others=others):
        fleet.wallet -= renewal.move
        if renewal.paid_until < enough:
            ends[renewal.hold.vm_id] = renewal.paid_until
        left = renewal.hold.remaining + renewal.move
        renewed[renewal.hold.id] = replace(renewal.hold, remaining=left, paid_until=renewal.paid_until)
    fleet.holds = [renewed.get(hold.id, hold) for hold in fleet.holds]


def _skip(fleet: _Fleet, now: datetime, half: timedelta) -> datetime:
    """Leap over the renewals that the wallet can surely pay, so that a plan months ahead costs no more than one hours
    ahead. Only whole hours are leapt over; what they cost is known without rounding."""
    hours = fleet.wallet // fleet.burn - (3 * half // HOUR + 2)
    if hours <= 0:
        return now
    hours = min(hours, LONGEST // HOUR)
    leap = hours * HOUR
    fleet.wallet -= hours * fleet.burn
    fleet.charged += leap
    fleet.holds = [
        replace(hold, paid_until=hold.paid_until + leap, settled_until=hold.settled_until + leap)
        for hold in fleet.holds
    ]
    return now + leap


def run_dry_slowly(
    holds: list[OpenHold], wallet: int, disks: list[int], now: datetime, window: timedelta
) -> tuple[dict[str, datetime], datetime | None]:
    """What ``landing_play.run_dry`` answers. Where something is free it takes for ever."""
    return _run_dry(_Fleet(wallet, list(holds), list(disks), hour_start(now)), now, window)
