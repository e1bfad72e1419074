"""What usage.py does for one machine, for many of one owner at once, by a number of statements that does not grow.

Callers hold the lock of the owner's wallet and of the machines.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from zentry_web.domain.usage import (
    BilledVM,
    Interval,
    UsageState,
    whole_second,
)
from zentry_web.models import DbUser, DbVM
from zentry_web.services import holds, price_switch
from zentry_web.services.ledger import lock_accounts
from zentry_web.services.settlement import INTERVAL, Item, items_query, read_items, settle_items
from zentry_web.services.usage import interval_row, new_interval, note_changes

_CLOSE = (
    update(INTERVAL)
    .where(INTERVAL.c.id == bindparam("interval"))
    .values(end_at=bindparam("end"), closed_by=bindparam("event"), minimum_seconds=bindparam("minimum"))
)


def close_all(
    session: Session,
    owner_id: str,
    ends: Mapping[str, datetime],
    events: Mapping[str, str],
    now: datetime,
    window: timedelta,
    *,
    charge_minimum: bool,
) -> None:
    """Close and settle what is open of these VMs, each at its end by its event, and release their holds.

    Holds go back first, so that what one has too much pays for what another lacks: nothing is written off that the
    owner can pay. Without ``charge_minimum`` the runs go on on another wallet.
    """
    session.flush()
    catch_up(session, owner_id, {vm_id: whole_second(at) for vm_id, at in ends.items()}, now, window)
    holds.release_all(session, list(ends), now)
    query = items_query().where(INTERVAL.c.vm_id.in_(list(ends)), INTERVAL.c.end_at.is_(None))
    closed = [_closed(item, ends, charge_minimum) for item in read_items(session, query.order_by(INTERVAL.c.id))]
    if not closed:
        return
    values = [
        {"interval": each.id, "end": each.end, "event": events[each.vm_id], "minimum": each.minimum_seconds}
        for each in closed
    ]
    session.execute(_CLOSE, values)
    funds = lock_accounts(session, {each.owner_id for each in closed})
    settle_items(session, [Item(each, None, 0) for each in closed], funds, now, now)
    note_changes(session, {each.project_id for each in closed}, now)


def open_all(
    session: Session,
    vms: Sequence[BilledVM],
    states: Mapping[str, UsageState],
    events: Mapping[str, str],
    now: datetime,
    window: timedelta,
) -> None:
    """Open an interval from now on for each of these VMs of one owner, of which none is open: with a hold where it
    runs, without a minimum. Raises InsufficientCreditsError."""
    if not vms:
        return
    owner_id, ids = vms[0].owner_id, [vm.vm_id for vm in vms]
    if catch_up(session, owner_id, dict.fromkeys(ids, whole_second(now)), now, window):
        vms = _priced(session, vms)
    ended = select(INTERVAL.c.vm_id, func.max(INTERVAL.c.end_at)).where(INTERVAL.c.vm_id.in_(ids))
    last: dict[str, Any] = dict(session.execute(ended.group_by(INTERVAL.c.vm_id)).all())
    zone = session.scalars(select(DbUser.time_zone).where(DbUser.id == owner_id)).one()
    intervals = [_opened(vm, states[vm.vm_id], last.get(vm.vm_id), zone, now) for vm in vms]
    rows = [interval_row(each, vm, events[vm.vm_id]) for each, vm in zip(intervals, vms, strict=True)]
    session.execute(insert(INTERVAL), rows)
    running = [each for each in intervals if each.state == UsageState.RUNNING]
    holds.place_all(session, owner_id, running, window, now)
    note_changes(session, {vm.project_id for vm in vms}, now)


def catch_up(session: Session, owner_id: str, until: Mapping[str, datetime], now: datetime, window: timedelta) -> bool:
    """Make the switches of prices that these VMs of one owner were due by their moments; whether there were any."""
    switched = False
    for due in price_switch.read_due(session, max(until.values(), default=now), [owner_id]):
        ids = [vm_id for vm_id, at in until.items() if due.effective_at <= at]
        found = session.execute(price_switch.affected_query(due.change_id).where(DbVM.id.in_(ids))).all()
        price_switch.switch(session, [price_switch.as_new_price(row) for row in found], due, now, window)
        switched = switched or bool(found)
    return switched


def _closed(item: Item, ends: Mapping[str, datetime], charge_minimum: bool) -> Interval:
    interval = item.interval
    return interval.closed(interval.earliest_end(ends[interval.vm_id]), charge_minimum=charge_minimum)


def _priced(session: Session, vms: Sequence[BilledVM]) -> list[BilledVM]:
    columns = price_switch.VM.c
    query = select(
        columns.id, columns.price_version_id, columns.running_micro_per_hour, columns.stopped_micro_per_hour,
        columns.image_price_version_id,
    )  # fmt: skip
    rows = session.execute(query.where(columns.id.in_([vm.vm_id for vm in vms])))
    prices = {vm_id: price for vm_id, *price in rows}
    return [BilledVM(vm.vm_id, vm.owner_id, vm.project_id, *prices[vm.vm_id]) for vm in vms]


def _opened(vm: BilledVM, state: UsageState, last: datetime | None, zone: str, now: datetime) -> Interval:
    start = max(whole_second(now), last) if last else whole_second(now)
    return new_interval(vm, state, start, 0, zone, now)
