"""The landing plan: what stops when as credits end, who is told what when. Pure rules; money comes from usage.py."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from zentry_web.domain.credits.landing_play import run_dry
from zentry_web.domain.credits.usage import SECOND, OpenHold, whole_second
from zentry_web.domain.money import cost

DAY = timedelta(days=1)
RUNWAY_NOTICES = (3600, 86400, 3 * 86400, 7 * 86400)  # seconds of runway at which an owner is told, shortest first
DISK_NOTICES = (1, 3, 7)  # days before a disk is deleted
_FALL_BACK = 1.5  # runway must grow so far beyond what was told before it is told again on the way down


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
    KEEP_STORED = "keep_stored"  # a snapshot, image or backup: the same as with a disk
    DELETE_STORED = "delete_stored"


_KEEPING = (LandingStep.KEEP, LandingStep.KEEP_STORED)


@dataclass(frozen=True, slots=True)
class Lander:
    """A VM as the plan sees it: running on a hold, or stopped with a disk that costs or is kept for nothing; or
    something stored of it, which is like the disk of a stopped one."""

    vm_id: str
    name: str
    importance: int
    hold: OpenHold | None = None
    disk_micro_per_hour: int = 0
    disk_until: datetime | None = None
    project: str = ""
    stored: str = ""  # the name of what is stored; empty: the machine itself

    @property
    def keep(self) -> LandingStep:
        return LandingStep.KEEP_STORED if self.stored else LandingStep.KEEP

    @property
    def delete(self) -> LandingStep:
        return LandingStep.DELETE_STORED if self.stored else LandingStep.DELETE


@dataclass(frozen=True, slots=True)
class PlanLine:
    at: datetime
    step: LandingStep
    vm_id: str
    name: str
    project: str = ""
    stored: str = ""


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
    def ends(self) -> tuple[PlanLine, ...]:
        """How credits end: the stops, the first one first; where nothing runs, the disks that are not paid any more."""
        stops = [line for line in self.lines if line.step == LandingStep.STOP]
        return tuple(stops or [line for line in self.lines if line.step in _KEEPING])

    @property
    def is_ordered(self) -> bool:
        """Whether the owner has chosen an order."""
        return any(vm.importance for vm in self.order)


def make_plan(vms: Iterable[Lander], wallet: int, now: datetime, policy: Policy) -> LandingPlan:
    """Play credits through to their end: every hold renewed as the worker will, every stop at its second.

    Exact for the last hours, if the worker looks every second; what lies further ahead may shift by as much as renewals
    come late, and a large fleet is played by the minute. It reckons that each guest takes the whole stop time-out; one
    that is faster leaves its last seconds to the others.
    """
    order = sorted(vms, key=lambda vm: (-vm.importance, vm.name, vm.vm_id))
    named = {vm.vm_id: (vm.vm_id, vm.name, vm.project) for vm in order if not vm.stored}
    start = whole_second(now)
    disks = [vm for vm in order if vm.hold is None and vm.disk_until is None and vm.disk_micro_per_hour]
    holds = [replace(vm.hold, importance=vm.importance) for vm in order if vm.hold]
    ends, disks_end = run_dry(holds, wallet, [vm.disk_micro_per_hour for vm in disks], start, policy.window)
    lines = []
    for vm_id, end in ends.items():
        lines.append(PlanLine(max(start, end - policy.stop_timeout), LandingStep.STOP, *named[vm_id]))
        lines.append(PlanLine(end + policy.grace, LandingStep.DELETE, *named[vm_id]))
    if disks_end is not None:
        lines += [_line(disks_end, vm.keep, vm) for vm in disks]
        lines += [_line(disks_end + policy.grace, vm.delete, vm) for vm in disks]
    lines += [_line(vm.disk_until, vm.delete, vm) for vm in order if vm.disk_until]
    lines.sort(key=lambda line: (line.at, line.step != LandingStep.STOP, line.name, line.stored))
    return LandingPlan(now, tuple(lines), tuple(vm for vm in order if not vm.stored))


def _line(at: datetime, step: LandingStep, vm: Lander) -> PlanLine:
    return PlanLine(at, step, vm.vm_id, vm.name, vm.project, vm.stored)


# -- who is told what ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunwayTold:
    """How far an owner has been told. An episode begins with the first notice and ends when credits suffice again."""

    episode: int = 0
    seconds: int | None = None


def next_told(told: RunwayTold, runway: int | None) -> tuple[RunwayTold, bool]:
    """What the owner has been told after looking at ``runway`` (seconds; None: endless), and whether to tell it now.

    Of several thresholds passed at once only the shortest is told. Each is told once, and again only after the runway
    had grown well beyond it.
    """
    reached = next((limit for limit in RUNWAY_NOTICES if runway is not None and runway <= limit), None)
    if told.seconds is None:
        return (RunwayTold(told.episode + 1, reached), True) if reached is not None else (told, False)
    if reached is not None and reached < told.seconds:
        return RunwayTold(told.episode, reached), True
    if runway is None or runway > told.seconds * _FALL_BACK:
        if reached is None or reached == told.seconds:
            return (RunwayTold(told.episode, None), False) if reached is None else (told, False)
        return RunwayTold(told.episode + 1, reached), False
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
