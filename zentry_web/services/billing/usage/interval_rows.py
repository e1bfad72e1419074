"""What is written of usage intervals: the rows of those that open, and where those that are open end."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import bindparam, update
from sqlalchemy.orm import Session

from zentry_web.domain.credits.usage import BilledVM, Interval, UsageState
from zentry_web.domain.ids import new_id
from zentry_web.services.billing.usage.settlement import INTERVAL


@dataclass(frozen=True, slots=True)
class Meter:
    """The transaction in which usage is written, its moment, and for how long what runs is paid in advance."""

    session: Session
    now: datetime
    window: timedelta


class Priced(Protocol):
    """Something with the versions of the prices that count for a VM."""

    @property
    def price_version_id(self) -> str: ...
    @property
    def image_price_version_id(self) -> str | None: ...


def new_interval(
    vm: BilledVM, state: UsageState, start: datetime, minimum_seconds: int, zone: str, now: datetime
) -> Interval:
    """An open interval of ``vm`` at its present rate, from ``start`` on; ``zone`` is its owner's."""
    return Interval(
        id=new_id("use", now),
        vm_id=vm.vm_id,
        owner_id=vm.owner_id,
        project_id=vm.project_id,
        state=state,
        rate_micro_per_hour=vm.rate(state),
        start=start,
        end=None,
        settled_until=start,
        minimum_seconds=minimum_seconds,
        zone=zone,
    )


def interval_row(interval: Interval, prices: Priced, event_id: str) -> dict[str, Any]:
    """The row of an open interval that ``event_id`` opened. What an image adds is for running hours."""
    return {
        "id": interval.id,
        "vm_id": interval.vm_id,
        "owner_id": interval.owner_id,
        "project_id": interval.project_id,
        "state": interval.state,
        "price_version_id": prices.price_version_id,
        "image_price_version_id": prices.image_price_version_id if interval.state == UsageState.RUNNING else None,
        "rate_micro_per_hour": interval.rate_micro_per_hour,
        "minimum_seconds": interval.minimum_seconds,
        "time_zone": interval.zone,
        "start_at": interval.start,
        "end_at": None,
        "settled_until": interval.settled_until,
        "settled": False,
        "opened_by": event_id,
        "closed_by": None,
        "stored_id": interval.stored_id,
    }


def end_intervals(session: Session, closed: Iterable[tuple[Interval, str]]) -> None:
    """Write down where these intervals end, each by its event. One statement."""
    values = [
        {"interval": each.id, "end": each.end, "event": event_id, "minimum": each.minimum_seconds}
        for each, event_id in closed
    ]
    session.execute(_END, values)


_END = (
    update(INTERVAL)
    .where(INTERVAL.c.id == bindparam("interval"))
    .values(end_at=bindparam("end"), closed_by=bindparam("event"), minimum_seconds=bindparam("minimum"))
)
