"""The credits of a resize: the difference is set aside before, the hold outlives the stop, what is over goes back.

Callers hold the lock of the owner's wallet, except for ``quote``, which only reads.
"""

from datetime import datetime, timedelta

from zentry_web.domain.credits.billing import BilledVM
from zentry_web.domain.credits.usage import whole_second
from zentry_web.domain.language import lazy
from zentry_web.domain.vms.catalogue import Size
from zentry_web.domain.vms.resize import ResizeQuote
from zentry_web.domain.vms.vm import VM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing.ledger import posting as ledger
from zentry_web.services.billing.usage import holds, price_switch
from zentry_web.services.billing.usage.interval_rows import Meter
from zentry_web.services.billing.usage.intervals import UsageRecorder
from zentry_web.services.billing.usage.runway import Runway

_RUNNING = lazy("The larger size needs more set aside for %(minutes)s minutes of running than you can use.")
_STOPPED = lazy("There are not enough credits to pay the larger disk for %(minutes)s minutes.")


class Resizes(BaseService):
    """Amounts are micro-credits, rates micro-credits per hour."""

    name = "resizes"

    def __init__(self, core: Core, runway: Runway, *, window: timedelta) -> None:
        super().__init__(core)
        self._runway = runway
        self._window = window

    def quote(self, user_id: str, vm: VM, size: Size) -> ResizeQuote:
        """What ``vm`` would cost its owner in ``size``, and how long credits would last."""
        balance = self._runway.get_balance(user_id)
        before, after = (vm.running_micro_per_hour, size.running_micro_per_hour)
        if not vm.is_on:
            before, after = (vm.stopped_micro_per_hour, size.stopped_micro_per_hour)
        burn = max(0, balance.burn_micro_per_hour - before + after)
        return ResizeQuote(
            restarts=vm.is_on,
            running_before=vm.running_micro_per_hour,
            running_after=size.running_micro_per_hour,
            stopped_before=vm.stopped_micro_per_hour,
            stopped_after=size.stopped_micro_per_hour,
            needed_micro=self._needed(vm.is_on, before, after),
            available_micro=balance.available_micro,
            runs_out_before=balance.runs_out_at,
            runs_out_at=balance.runs_out_with(burn),
        )

    def accept(self, vm: BilledVM, size: Size, *, runs: bool) -> None:
        """Before a resize is accepted: of one that runs, the difference for a hold window goes onto its hold; of one
        that is off, a larger disk must be payable. Raises InsufficientCreditsError (``needed``, ``available``)."""
        minutes = self._window // timedelta(minutes=1)
        with self.transaction() as session:
            wallet = ledger.lock_accounts(session, [vm.owner_id])[vm.owner_id].wallet
            if runs:
                more = self._needed(True, vm.running_micro_per_hour, size.running_micro_per_hour)
                ledger.require_funds(wallet, more, _RUNNING % {"minutes": minutes})
                holds.add(session, vm.vm_id, more, self.now())
            else:
                needed = self._needed(False, vm.stopped_micro_per_hour, size.stopped_micro_per_hour)
                ledger.require_funds(wallet, needed, _STOPPED % {"minutes": minutes})

    def pause(self, vm: BilledVM, at: datetime, event_id: str) -> None:
        """It went off at ``at`` to be resized: the stopped interval opens, and its hold waits for the start."""
        with self.transaction() as session:
            ledger.lock_accounts(session, [vm.owner_id])
            UsageRecorder(Meter(session, self.now(), self._window)).pause(vm, at, event_id)

    def catch_up(self, vm_id: str, owner_id: str) -> None:
        """Prices that began to count for the VM before now are put in force, for the size that it still has."""
        now = self.now()
        with self.transaction() as session:
            session.flush()
            price_switch.catch_up(Meter(session, now, self._window), owner_id, {vm_id: whole_second(now)})

    def give_back(self, vm_id: str) -> None:
        """What the VM's hold has beyond the second it lasts to goes back to the wallet: after a resize, whatever its
        outcome. Nothing while it has none that is in use."""
        with self.transaction() as session:
            session.flush()
            holds.trim(session, [vm_id], self.now(), "Not needed for its size")

    def _needed(self, runs: bool, before: int, after: int) -> int:
        if runs:
            return max(0, holds.hold_price(after, self._window) - holds.hold_price(before, self._window))
        return holds.hold_price(after, self._window) if after > before else 0
