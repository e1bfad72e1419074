"""The landing plan: what stops when as credits end, who is told what when. Pure rules; money comes from usage.py."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from .money import cost
from .usage import HOUR, SECOND, OpenHold, hour_start, plan_renewals, seconds_between, whole_second

DAY = timedelta(days=1)
RUNWAY_NOTICES = (3600, 86400, 3 * 86400, 7 * 86400)  # seconds of runway at which an owner is told, shortest first
DISK_NOTICES = (1, 3, 7)  # days before a disk is deleted
_FALL_BACK = 1.5  # runway must grow so far beyond what was told before it is told again on the way down
_LONGEST = timedelta(days=3650)
_TO_THE_SECOND = 50  # running VMs; a larger fleet is played in steps of a minute


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that a landing follows."""

    window: timedelta
    stop_timeout: timedelta
    grace: timedelta


def default_policy(window_seconds: int) -> Policy:
    """The policy where nothing else is set: a minute to power off, two weeks of keeping disks."""
    return Policy(timedelta(seconds=window_seconds), timedelta(seconds=60), 14 * DAY)


class LandingStep(StrEnum):
    STOP = "stop"  # a running machine is asked to power off
    KEEP = "keep"  # from here on the disk is kept without a charge
    DELETE = "delete"  # the disk is deleted


@dataclass(frozen=True, slots=True)
class Lander:
    """A VM as the plan sees it: running on a hold, or stopped with a disk that costs or is kept for nothing."""

    vm_id: str
    name: str
    importance: int
    hold: OpenHold | None = None
    disk_micro_per_hour: int = 0
    disk_until: datetime | None = None
    project: str = ""


@dataclass(frozen=True, slots=True)
class PlanLine:
    at: datetime
    step: LandingStep
    vm_id: str
    name: str
    project: str = ""


@dataclass(frozen=True, slots=True)
class PlanMoment:
    """What happens to all of ``lines`` within one minute; ``at`` is the first one's moment."""

    at: datetime
    step: LandingStep
    lines: tuple[PlanLine, ...]


@dataclass(frozen=True, slots=True)
class LandingPlan:
    """What happens when, the soonest first, if nothing changes; ``order`` is the VMs, the most important first."""

    at: datetime
    lines: tuple[PlanLine, ...]
    order: tuple[Lander, ...]

    @property
    def moments(self) -> tuple[PlanMoment, ...]:
        """The lines, together where the same happens within a minute; the soonest first."""
        groups: dict[tuple[datetime, LandingStep], list[PlanLine]] = {}
        for line in self.lines:
            groups.setdefault((line.at.replace(second=0, microsecond=0), line.step), []).append(line)
        return tuple(PlanMoment(lines[0].at, step, tuple(lines)) for (_, step), lines in groups.items())

    @property
    def is_ordered(self) -> bool:
        """Whether the owner has chosen an order."""
        return any(vm.importance for vm in self.order)


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


def make_plan(vms: Iterable[Lander], wallet: int, now: datetime, policy: Policy) -> LandingPlan:
    """Play credits through to their end: every hold renewed as the worker will, every stop at its second.

    Exact for the last hours, if the worker looks every second; what lies further ahead may shift by as much as renewals
    come late, and a large fleet is played by the minute. It reckons that each guest takes the whole stop time-out; one
    that is faster leaves its last seconds to the others.
    """
    order = sorted(vms, key=lambda vm: (-vm.importance, vm.name, vm.vm_id))
    named = {vm.vm_id: (vm.vm_id, vm.name, vm.project) for vm in order}
    start = whole_second(now)
    disks = [vm for vm in order if vm.hold is None and vm.disk_until is None and vm.disk_micro_per_hour]
    fleet = _Fleet(
        wallet,
        [replace(vm.hold, importance=vm.importance) for vm in order if vm.hold],
        [vm.disk_micro_per_hour for vm in disks],
        hour_start(start),
    )
    ends, disks_end = _run_dry(fleet, start, policy)
    lines = []
    for vm_id, end in ends.items():
        lines.append(PlanLine(max(start, end - policy.stop_timeout), LandingStep.STOP, *named[vm_id]))
        lines.append(PlanLine(end + policy.grace, LandingStep.DELETE, *named[vm_id]))
    if disks_end is not None:
        lines += [PlanLine(disks_end, LandingStep.KEEP, *named[vm.vm_id]) for vm in disks]
        lines += [PlanLine(disks_end + policy.grace, LandingStep.DELETE, *named[vm.vm_id]) for vm in disks]
    lines += [PlanLine(vm.disk_until, LandingStep.DELETE, *named[vm.vm_id]) for vm in order if vm.disk_until]
    lines.sort(key=lambda line: (line.at, line.step != LandingStep.STOP, line.name))
    return LandingPlan(now, tuple(lines), tuple(order))


def _run_dry(fleet: _Fleet, now: datetime, policy: Policy) -> tuple[dict[str, datetime], datetime | None]:
    """The second each running VM's hold ends, and the one from which disks are not paid any more."""
    if fleet.burn <= 0:
        return {}, None
    half = policy.window // 2
    step = SECOND if len(fleet.holds) <= _TO_THE_SECOND else timedelta(seconds=60)
    ends: dict[str, datetime] = {}
    disks_end: datetime | None = None
    last = now + _LONGEST
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
            _renew(fleet, now, policy.window, ends)
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
    hours = min(hours, _LONGEST // HOUR)
    leap = hours * HOUR
    fleet.wallet -= hours * fleet.burn
    fleet.charged += leap
    fleet.holds = [
        replace(hold, paid_until=hold.paid_until + leap, settled_until=hold.settled_until + leap)
        for hold in fleet.holds
    ]
    return now + leap


# -- who is told what ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """How far an owner has been told. An episode begins with the first notice and ends when credits suffice again."""

    episode: int = 0
    seconds: int | None = None


def next_told(told: Told, runway: int | None) -> tuple[Told, bool]:
    """What the owner has been told after looking at ``runway`` (seconds; None: endless), and whether to tell it now.

    Of several thresholds passed at once only the shortest is told. Each is told once, and again only after the runway
    had grown well beyond it.
    """
    reached = next((limit for limit in RUNWAY_NOTICES if runway is not None and runway <= limit), None)
    if told.seconds is None:
        return (Told(told.episode + 1, reached), True) if reached is not None else (told, False)
    if reached is not None and reached < told.seconds:
        return Told(told.episode, reached), True
    if runway is None or runway > told.seconds * _FALL_BACK:
        if reached is None or reached == told.seconds:
            return (Told(told.episode, None), False) if reached is None else (told, False)
        return Told(told.episode + 1, reached), False
    return told, False


def disk_notice(disk_until: datetime, now: datetime) -> int | None:
    """The days of DISK_NOTICES that the time left has come down to; None while there are more."""
    return next((days for days in DISK_NOTICES if disk_until - now <= days * DAY), None)


def may_start_again(wallet: int, hold_price: int, burn_micro_per_hour: int, window: timedelta) -> bool:
    """Whether a VM that credits stopped starts again: its first window, and half a window of all that runs, is there.

    Without the second part the last seconds that a stopping machine gives back would start another.
    """
    return wallet >= hold_price + cost(burn_micro_per_hour, seconds_of(window) // 2)


def seconds_of(span: timedelta) -> int:
    """Whole seconds of a span."""
    return span // SECOND


def positions(vm_ids: Sequence[str]) -> dict[str, int]:
    """The importance of each VM of a list, the most important first. A VM alone has 1; 0 is for those not in a list."""
    return {vm_id: len(vm_ids) - index for index, vm_id in enumerate(vm_ids)}
