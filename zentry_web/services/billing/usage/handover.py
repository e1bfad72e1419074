"""Machines change their payer: every open interval closes and opens again in one second, on two wallets.

Callers hold the locks of both wallets and of the machines.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.credits.billing import BilledVM, UsageState
from zentry_web.domain.language import lazy
from zentry_web.models import DbPriceChange, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.usage import holds, interval_sets, price_switch
from zentry_web.services.billing.usage.interval_rows import Meter
from zentry_web.services.billing.usage.settlement import INTERVAL, OF_MACHINE

_NEEDED = lazy(
    "To take this over you need credits for %(minutes)s minutes of all that runs, and of the disks of what is off."
)


class Handover(BaseService):
    """A part of BillingService. Amounts are micro-credits."""

    name = "handover"

    def __init__(self, core: Core, *, window: timedelta) -> None:
        super().__init__(core)
        self._window = window

    def price(self, running: Iterable[int], stopped: Iterable[int]) -> int:
        """What taking over machines at these rates needs: holds of those that run, disks of the others."""
        needed = sum(holds.hold_price(rate, self._window) for rate in running)
        return needed + holds.hold_price(sum(stopped), self._window)

    def move(self, session: Session, vms: Sequence[DbVM], owner_id: str, event_id: str) -> None:
        """From now on ``owner_id`` pays for these machines; nobody pays a rest of a minimum.

        Of one whose disk nobody could pay the charge begins again. Raises InsufficientCreditsError.
        """
        if not vms:
            return
        meter = Meter(session, self.now(), self._window)
        states = self._read_states(session, vms)
        states |= {vm.id: UsageState.STOPPED for vm in vms if vm.disk_until is not None}
        ids = [vm.id for vm in vms]
        events = dict.fromkeys(ids, event_id)
        ends = dict.fromkeys(ids, meter.now)
        interval_sets.close_all(meter, vms[0].owner_id, ends, events, charge_minimum=False)
        taken = update(DbVM).where(DbVM.id.in_(ids)).values(owner_id=owner_id, importance=0)  # the order is the owner's
        run(session, taken.values(credit_stopped_at=None, disk_until=None, version=DbVM.version + 1))
        self._take_prices(meter, vms, owner_id)
        running = [vm.running_micro_per_hour for vm in vms if states.get(vm.id) == UsageState.RUNNING]
        stopped = [vm.stopped_micro_per_hour for vm in vms if states.get(vm.id) == UsageState.STOPPED]
        wallet = ledger.lock_accounts(session, [owner_id])[owner_id].wallet
        message = _NEEDED % {"minutes": self._window // timedelta(minutes=1)}
        ledger.require_funds(wallet, self.price(running, stopped), message)
        billed = [BilledVM.of(vm) for vm in vms if vm.id in states]
        interval_sets.open_all(meter, billed, states, events)

    def _read_states(self, session: Session, vms: Sequence[DbVM]) -> dict[str, UsageState]:
        query = select(INTERVAL.c.vm_id, INTERVAL.c.state).where(
            INTERVAL.c.vm_id.in_([vm.id for vm in vms]), INTERVAL.c.end_at.is_(None), OF_MACHINE
        )
        return {vm_id: UsageState(state) for vm_id, state in session.execute(query)}

    def _take_prices(self, meter: Meter, vms: Sequence[DbVM], owner_id: str) -> None:
        """Changes of prices that count for the new owner's machines count for these, too."""
        session, told = meter.session, price_switch.TOLD
        counting = (
            select(told.c.change_id, told.c.owner_id, told.c.effective_at)
            .join(DbPriceChange, DbPriceChange.id == told.c.change_id)
            .where(told.c.owner_id == owner_id, told.c.effective_at <= meter.now, DbPriceChange.withdrawn_at.is_(None))
            .order_by(told.c.effective_at, DbPriceChange.starts_at, told.c.change_id)
        )
        ids = [vm.id for vm in vms]
        for row in session.execute(counting).all():
            due = price_switch.Due(*row)
            found = session.execute(price_switch.affected_query(due.change_id).where(DbVM.id.in_(ids))).all()
            new = [price_switch.as_new_price(each) for each in found]
            price_switch.switch(meter, new, due)
        again = select(DbVM).where(DbVM.id.in_(ids)).execution_options(populate_existing=True)
        session.scalars(again).all()
