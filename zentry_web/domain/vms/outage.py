"""A machine that went off though nobody asked Zentry for it: why, and whether it is started again. Pure rules."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from zentry_web.domain.back_off import back_off
from zentry_web.domain.language import kept, lazy

_FIRST_WAIT, _LONGEST_WAIT = timedelta(seconds=10), timedelta(minutes=10)
COUNTED = timedelta(hours=1)  # restarts within this time make the next one wait
# One that the host's shutdown powered off in good order, before the host itself went, is of the host's going.
BEFORE_THE_HOST = timedelta(minutes=10)


class Cause(StrEnum):
    """What took it off, as the hypervisor knows it."""

    GUEST = "guest"  # it powered itself off
    HAND = "hand"  # somebody on the host did
    CRASH = "crash"  # of the guest, or of its process on the host
    HOST = "host"  # it went with the host or the hypervisor


FAILURES = (Cause.CRASH, Cause.HOST)  # nobody powered it off


class Restart(StrEnum):
    """When Zentry starts it again by itself; chosen for each machine."""

    ALWAYS = "always"
    FAILURES = "failures"
    NEVER = "never"


RESTARTS = {
    Restart.ALWAYS: lazy("Always, also when powered off"),
    Restart.FAILURES: lazy("After a crash or host reboot"),
    Restart.NEVER: lazy("Never"),
}


class OutageState(StrEnum):
    STAYS = "stays"  # off, as was chosen
    WAITING = "waiting"  # to be started again
    STARTING = "starting"
    BACK = "back"
    FAILED = "failed"  # its start was given up
    UNPAID = "unpaid"  # there were not enough credits for its start
    OVERTAKEN = "overtaken"  # somebody decided otherwise


OPEN_OUTAGES = (OutageState.WAITING, OutageState.STARTING)


@dataclass(frozen=True, slots=True)
class Outage:
    """One time that it was off unasked. ``back_at``: it runs again since then."""

    id: str
    cause: Cause
    went_at: datetime
    state: OutageState
    due_at: datetime | None  # when it is to be started again
    back_at: datetime | None


REASONS = {
    Cause.GUEST: kept("It was powered off from inside the guest."),
    Cause.HAND: kept("It was powered off on the host, not by Zentry."),
    Cause.CRASH: kept("It crashed, or its process on the host ended unexpectedly."),
    Cause.HOST: kept("It went off with the host or its hypervisor."),
}
AGAIN = {
    Cause.GUEST: kept("It was powered off from inside the guest. Zentry starts it again."),
    Cause.HAND: kept("It was powered off on the host, not by Zentry. Zentry starts it again."),
    Cause.CRASH: kept("It crashed, or its process on the host ended unexpectedly. Zentry starts it again."),
    Cause.HOST: kept("It went off with the host or its hypervisor. Zentry starts it again."),
}


def is_started_again(restart: Restart, cause: Cause) -> bool:
    """Whether Zentry starts it again by itself."""
    if restart == Restart.FAILURES:
        return cause in FAILURES
    return restart == Restart.ALWAYS


def cool_down(before: int) -> timedelta:
    """How long one waits that was started again ``before`` times within the last hour: not at all the first time."""
    return back_off(before, _FIRST_WAIT, _LONGEST_WAIT) if before else timedelta(0)


def not_charged(outages: list[tuple[int, datetime, datetime]]) -> int:
    """Micro-credits that running machines would have cost while they were off: each by how much less it costs per hour
    when off (micro-credits), from when, until when. Whole seconds, rounded down."""
    return sum(saved * ((until - since) // timedelta(seconds=1)) // 3600 for saved, since, until in outages)
