"""Usage intervals: opened and closed by what the compute driver reports, settled in the same transaction.

Callers hold the lock of the owner's wallet.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import cast

from sqlalchemy import Table, insert, select, update
from sqlalchemy.orm import Session

from zentry_web.domain.credits.usage import (
    MINIMUM_SECONDS,
    BilledVM,
    Interval,
    UsageState,
    exact_cut,
    whole_second,
)
from zentry_web.models import DbProjectBudget, DbUser, DbVM
from zentry_web.services.billing.ledger.posting import lock_accounts
from zentry_web.services.billing.usage import holds, price_switch
from zentry_web.services.billing.usage.interval_rows import Meter, end_intervals, interval_row, new_interval
from zentry_web.services.billing.usage.settlement import (
    INTERVAL,
    OF_MACHINE,
    Item,
    items_query,
    read_items,
    settle_items,
)

BUDGET = cast(Table, DbProjectBudget.__table__)


class UsageRecorder:
    """Writes intervals for one VM at a time, inside the caller's transaction."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._session = meter.session
        self._now = meter.now
        meter.session.flush()  # rows of the caller's that intervals refer to

    def open(
        self,
        vm: BilledVM,
        state: UsageState,
        at: datetime,
        event_id: str,
        *,
        has_minimum: bool,
        keep_hold: bool = False,
    ) -> None:
        """Close the VM's open interval at ``at``, if any, and open one in ``state``, with its hold if running.

        Prices that began to count before ``at`` are put in force first.
        """
        vm = self._priced(vm, at)
        current = self._find_open(vm.vm_id)
        start = current.interval.earliest_end(at) if current else self._earliest_start(vm.vm_id, at)
        goes_on = bool(current and current.interval.state == state == UsageState.RUNNING)
        minimum = MINIMUM_SECONDS if has_minimum else 0
        if current:
            inherits = goes_on and not has_minimum
            left = self._close(current, start, event_id, charge_minimum=not inherits, keep_hold=goes_on or keep_hold)
            minimum = left if inherits else minimum
        zone = self._session.scalars(select(DbUser.time_zone).where(DbUser.id == vm.owner_id)).one()
        interval = new_interval(vm, state, start, minimum, zone, self._now)
        self._session.execute(insert(INTERVAL), [interval_row(interval, vm, event_id)])
        self._note_change(vm.project_id)
        if state == UsageState.RUNNING:
            self._hold(interval)

    def move(self, vm: BilledVM, at: datetime, event_id: str) -> None:
        """What is open goes on in ``vm``'s project, at the same rate, with its hold and what is left of its minimum.

        The cut lies at the last second by ``at`` at which nothing is rounded: the sum stays as if it had not moved.
        """
        vm = self._priced(vm, at)
        current = self._find_open(vm.vm_id)
        if current:
            self._note_change(current.interval.project_id)
            cut = exact_cut(current.interval, at)
            self.open(vm, current.interval.state, cut, event_id, has_minimum=False)

    def pause(self, vm: BilledVM, at: datetime, event_id: str) -> None:
        """The run ends at ``at`` and another will follow by itself: the hold is kept for that."""
        self.open(vm, UsageState.STOPPED, at, event_id, has_minimum=False, keep_hold=True)
        holds.unbind(self._session, vm.vm_id)

    def close(self, vm_id: str, at: datetime, event_id: str) -> None:
        """Close and settle the VM's open interval, if any, and release its hold."""
        owner_id = self._session.scalars(select(DbVM.owner_id).where(DbVM.id == vm_id)).one()
        price_switch.catch_up(self._meter, owner_id, {vm_id: whole_second(at)})
        current = self._find_open(vm_id)
        if current:
            end = current.interval.earliest_end(at)
            self._close(current, end, event_id, charge_minimum=True, keep_hold=False)
            self._note_change(current.interval.project_id)
        self.release_hold(vm_id)

    def release_hold(self, vm_id: str) -> None:
        """Give a hold back to the wallet, unless a running interval is open on it."""
        hold = holds.find_hold(self._session, vm_id)
        if hold is None:
            return
        if hold.interval_id is not None:
            current = self._find_open(vm_id)
            if current and current.interval.id == hold.interval_id:
                return
        holds.release(self._session, hold, vm_id, self._now)

    def _find_open(self, vm_id: str) -> Item | None:
        query = items_query().where(INTERVAL.c.vm_id == vm_id, INTERVAL.c.end_at.is_(None), OF_MACHINE)
        return next(iter(read_items(self._session, query)), None)

    def _earliest_start(self, vm_id: str, at: datetime) -> datetime:
        """``at`` as a whole second, never before the VM's last interval ended: intervals must not overlap."""
        query = select(INTERVAL.c.end_at).where(INTERVAL.c.vm_id == vm_id, OF_MACHINE)
        last = self._session.scalars(query.order_by(INTERVAL.c.end_at.desc()).limit(1)).one_or_none()
        return max(whole_second(at), last) if last else whole_second(at)

    def _close(self, current: Item, end: datetime, event_id: str, *, charge_minimum: bool, keep_hold: bool) -> int:
        """Close and settle an interval; returns the seconds of minimum left for the run that goes on."""
        left = replace(current.interval, end=end).seconds_missing
        closed = current.interval.closed(end, charge_minimum=charge_minimum)
        end_intervals(self._session, [(closed, event_id)])
        funds = lock_accounts(self._session, [closed.owner_id])
        settle_items(self._session, [replace(current, interval=closed)], funds, end, self._now)
        if current.hold_id and not keep_hold:
            hold = holds.find_hold(self._session, closed.vm_id)
            if hold:
                holds.release(self._session, hold, closed.vm_id, self._now)
        return left

    def _priced(self, vm: BilledVM, at: datetime) -> BilledVM:
        """``vm`` with the prices that count for it at ``at``."""
        if not price_switch.catch_up(self._meter, vm.owner_id, {vm.vm_id: whole_second(at)}):
            return vm
        return price_switch.read_priced(self._session, [vm])[0]

    def _note_change(self, project_id: str) -> None:
        note_changes(self._session, [project_id], self._now)

    def _hold(self, interval: Interval) -> None:
        """Tie the VM's hold to its new interval; place one first if the start had none."""
        funds = lock_accounts(self._session, [interval.owner_id])[interval.owner_id]
        hold = holds.place(self._meter, interval.vm_id, interval.owner_id, interval.rate_micro_per_hour, funds)
        holds.bind(self._meter, hold, interval)


def note_changes(session: Session, project_ids: Collection[str], now: datetime) -> None:
    """What these projects cost changes: budgets, where there are any, are looked at in the worker's next round."""
    session.execute(update(BUDGET).where(BUDGET.c.project_id.in_(project_ids)).values(look_at=now))
