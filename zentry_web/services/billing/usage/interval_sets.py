"""What intervals.py does for one machine, for many of one owner at once, by a number of statements that does not grow.

Callers hold the lock of the owner's wallet and of the machines.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select

from zentry_web.domain.credits.usage import BilledVM, Interval, UsageState, whole_second
from zentry_web.models import DbUser
from zentry_web.services.billing.ledger.posting import lock_accounts
from zentry_web.services.billing.usage import holds, price_switch
from zentry_web.services.billing.usage.interval_rows import Meter, end_intervals, interval_row, new_interval
from zentry_web.services.billing.usage.intervals import note_changes
from zentry_web.services.billing.usage.settlement import (
    INTERVAL,
    OF_MACHINE,
    Item,
    items_query,
    read_items,
    settle_items,
)


def close_all(
    meter: Meter, owner_id: str, ends: Mapping[str, datetime], events: Mapping[str, str], *, charge_minimum: bool
) -> None:
    """Close and settle what is open of these VMs, each at its end by its event, and release their holds.

    Holds go back first, so that what one has too much pays for what another lacks: nothing is written off that the
    owner can pay. Without ``charge_minimum`` the runs go on on another wallet.
    """
    session, now = meter.session, meter.now
    session.flush()
    price_switch.catch_up(meter, owner_id, {vm_id: whole_second(at) for vm_id, at in ends.items()})
    holds.release_all(session, list(ends), now)
    query = items_query().where(INTERVAL.c.vm_id.in_(list(ends)), INTERVAL.c.end_at.is_(None), OF_MACHINE)
    closed = [_closed(item, ends, charge_minimum) for item in read_items(session, query.order_by(INTERVAL.c.id))]
    if not closed:
        return
    end_intervals(session, [(each, events[each.vm_id]) for each in closed])
    funds = lock_accounts(session, {each.owner_id for each in closed})
    settle_items(session, [Item(each, None, 0) for each in closed], funds, now, now)
    note_changes(session, {each.project_id for each in closed}, now)


def open_all(
    meter: Meter, vms: Sequence[BilledVM], states: Mapping[str, UsageState], events: Mapping[str, str]
) -> None:
    """Open an interval from now on for each of these VMs of one owner, of which none is open: with a hold where it
    runs, without a minimum. Raises InsufficientCreditsError."""
    if not vms:
        return
    session, now = meter.session, meter.now
    owner_id, ids = vms[0].owner_id, [vm.vm_id for vm in vms]
    if price_switch.catch_up(meter, owner_id, dict.fromkeys(ids, whole_second(now))):
        vms = price_switch.read_priced(session, vms)
    ended = select(INTERVAL.c.vm_id, func.max(INTERVAL.c.end_at)).where(INTERVAL.c.vm_id.in_(ids), OF_MACHINE)
    last: dict[str, Any] = dict(session.execute(ended.group_by(INTERVAL.c.vm_id)).all())
    zone = session.scalars(select(DbUser.time_zone).where(DbUser.id == owner_id)).one()
    intervals = [_opened(vm, states[vm.vm_id], last.get(vm.vm_id), zone, now) for vm in vms]
    rows = [interval_row(each, vm, events[vm.vm_id]) for each, vm in zip(intervals, vms, strict=True)]
    session.execute(insert(INTERVAL), rows)
    holds.place_all(meter, owner_id, [each for each in intervals if each.state == UsageState.RUNNING])
    note_changes(session, {vm.project_id for vm in vms}, now)


def _closed(item: Item, ends: Mapping[str, datetime], charge_minimum: bool) -> Interval:
    interval = item.interval
    return interval.closed(interval.earliest_end(ends[interval.vm_id]), charge_minimum=charge_minimum)


def _opened(vm: BilledVM, state: UsageState, last: datetime | None, zone: str, now: datetime) -> Interval:
    start = max(whole_second(now), last) if last else whole_second(now)
    return new_interval(vm, state, start, 0, zone, now)
