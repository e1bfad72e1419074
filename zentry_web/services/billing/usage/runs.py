"""The worker's part of billing: settling what was used and renewing holds, in short transactions over many wallets."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from zentry_web.domain.credits.billing import CreditStop
from zentry_web.domain.credits.usage import OpenHold, whole_second
from zentry_web.models import DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.usage import holds, price_switch, settlement
from zentry_web.services.billing.usage.interval_rows import Meter
from zentry_web.services.shared.rounds import each_alone, each_batch


class BillingRuns(BaseService):
    """What runs every few seconds, in any number of workers, and changes nothing when there is nothing to do."""

    name = "billing_runs"

    def __init__(self, core: Core, *, window: timedelta) -> None:
        super().__init__(core)
        self._window = window

    def settle(self, confirmed_until: datetime) -> int:
        """Charge open intervals up to the last fixed cut by now and by the last confirmed moment, but those of VMs
        that the hypervisor cannot tell of: they are charged once it can.

        Returns the number of charges made. Short transactions of a few wallets each; running it again, late or
        in parallel changes nothing. Raises nothing of its own.
        """
        until = whole_second(min(self.now(), confirmed_until))
        self.switch_prices(until)
        with self.reading() as session:
            due = settlement.due_owners(session, until)
        return sum(each_batch("settle", _batches(due), lambda owners: self._settle_wallets(owners, until)))

    def _settle_wallets(self, owner_ids: list[str], until: datetime) -> int:
        charges, size = 0, settlement.INTERVALS_PER_TRANSACTION
        while True:
            with self.transaction() as session:
                funds = ledger.lock_accounts(session, owner_ids)
                waiting = price_switch.owners_waiting(session, owner_ids, until)
                due = settlement.due_items(session, [owner for owner in owner_ids if owner not in waiting], until)
                items = due[:size]
                most = settlement.lines_each(items)
                done = settlement.settle_items(session, items, funds, until, self.now(), most=most)
                self._core.checkpoint("settle.written")
            self._core.checkpoint("settle.committed")
            charges += done.charges
            self.give_way()
            if not done.more and len(due) <= size:
                return charges

    def settle_owner(self, owner_id: str, until: datetime) -> int:
        """The same for one person, up to ``until``. Returns the number of charges made."""
        self.switch_prices(until)
        return self._settle_wallets([owner_id], until)

    def switch_prices(self, until: datetime) -> int:
        """Make the switches to announced prices that are due by ``until``; returns how many VMs got new prices.

        Short transactions, after the hours before the switch were charged. Done by any number of workers, late or
        again, each VM is switched once, at the moment announced. Raises nothing of its own.
        """
        with self.reading() as session:
            due = price_switch.read_due(session, until)
            unclear = price_switch.read_unclear(session, {one.owner_id for one in due}) if due else {}
        # Where it is not known what one of the machines did up to then, the switch waits.
        clear = [one for one in due if unclear.get(one.owner_id, until) >= one.effective_at]
        return sum(each_alone("switch prices", clear, self._switch, lambda one: one.owner_id))

    def _switch(self, due: price_switch.Due) -> int:
        self._settle_wallets([due.owner_id], due.effective_at)
        return self._switch_owner(due)

    def _switch_owner(self, due: price_switch.Due) -> int:
        switched, limit = 0, settlement.INTERVALS_PER_TRANSACTION
        while True:
            with self.transaction() as session:
                ledger.lock_accounts(session, [due.owner_id])
                if due not in price_switch.read_due(session, due.effective_at, [due.owner_id]):
                    return switched  # another worker was here, or it was withdrawn
                query = price_switch.affected_query(due.change_id).where(DbVM.owner_id == due.owner_id)
                found = session.execute(query.order_by(DbVM.id).limit(limit)).all()
                new_prices = [price_switch.as_new_price(row) for row in found]
                price_switch.switch(Meter(session, self.now(), self._window), new_prices, due)
                if len(found) < limit:
                    price_switch.mark_done(session, due, self.now())
                self._core.checkpoint("prices.switch_written")
            self._core.checkpoint("prices.switch_committed")
            switched += len(found)
            if len(found) < limit:
                return switched
            self.give_way()

    def renew_holds(self) -> list[CreditStop]:
        """Extend every hold with less than half a window left to a whole window from now.

        A wallet that cannot pays as many whole seconds as it can. Returns the VMs whose hold still ends within
        half a window, with that second, the soonest first: the worker stops those in time, nothing else.
        """
        now = self.now()
        enough = now + self._window // 2
        with self.reading() as session:
            plans = holds.plan(session, now, self._window)
        stops = [stop for plan in plans if not plan.changes for stop in plan.stops(enough)]
        due = [(plan.owner_id, len(plan.renewals)) for plan in plans if plan.changes]
        for found in each_batch("renew", _batches(due), lambda owners: self._renew_wallets(owners, now, enough)):
            stops += found
        return sorted(stops, key=lambda stop: (stop.ends_at, stop.vm_id))

    def _renew_wallets(self, owner_ids: list[str], now: datetime, enough: datetime) -> list[CreditStop]:
        stops: list[CreditStop] = []
        last: OpenHold | None = None
        limit = settlement.INTERVALS_PER_TRANSACTION
        while True:
            with self.transaction() as session:
                ledger.lock_accounts(session, owner_ids)
                plans = holds.plan(session, now, self._window, owner_ids, after=last, limit=limit)
                holds.apply(session, plans, now)
                self._core.checkpoint("renew.written")
            stops += [stop for plan in plans for stop in plan.stops(enough)]
            renewals = [renewal for plan in plans for renewal in plan.renewals]
            if len(renewals) < limit or len(owner_ids) > 1:  # only a wallet on its own has more than one slice
                return stops
            last = renewals[-1].hold
            self.give_way()

    def keeps_running(self, vm_id: str, owner_id: str) -> bool:
        """Renew a wallet's holds now, in the caller's transaction; whether this VM's lasts for half a window then.

        What the next round of ``renew_holds`` would do and say.
        """
        now = self.now()
        with self.transaction() as session:
            ledger.lock_accounts(session, [owner_id])
            plans = holds.plan(session, now, self._window, [owner_id])
            holds.apply(session, plans, now)
            ending = {stop.vm_id for plan in plans for stop in plan.stops(now + self._window // 2)}
            return holds.find_hold(session, vm_id) is not None and vm_id not in ending


def _batches(counted: list[tuple[str, int]]) -> Iterator[list[str]]:
    """Owners in groups with about as many rows as one transaction takes."""
    batch: list[str] = []
    rows = 0
    for owner_id, count in counted:
        if batch and rows + count > settlement.INTERVALS_PER_TRANSACTION:
            yield batch
            batch, rows = [], 0
        batch.append(owner_id)
        rows += count
    if batch:
        yield batch
