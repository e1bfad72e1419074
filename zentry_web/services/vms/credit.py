"""What credits cause on VMs: stopping them, starting again what Zentry stopped, deleting disks nobody paid for."""

from datetime import timedelta

from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import CreditStop
from zentry_web.domain.event import Subject
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.operation import OperationKind, OperationState
from zentry_web.domain.vms.state import ON, VMState, is_billed_as_running
from zentry_web.models import DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.vms.operations import OperationQueue

_STOP_MARGIN = timedelta(seconds=15)  # before the end of a hold, whatever else is under way
# What the owner asked for that a stop for lack of credits does not wait for.
_OVERTAKEN = (
    OperationKind.REBOOT,
    OperationKind.RESET,
    OperationKind.SUSPEND,
    OperationKind.RESUME,
    OperationKind.RESIZE,
    OperationKind.BACKUP,
)


class VMLanding(BaseService):
    """Called by the worker's loops, again and again: each call looks afresh and does nothing twice."""

    name = "vm_landing"

    def __init__(
        self, core: Core, billing: BillingService, operations: OperationQueue, stop_timeout: timedelta
    ) -> None:
        super().__init__(core)
        self._billing = billing
        self._operations = operations
        self._stop_timeout = stop_timeout

    def stop_for_credit(self, stop: CreditStop) -> None:
        """Queue the stop of a VM whose credit ends, when that is less than the stop time-out away; once.

        It overtakes a restart, and shortly before the end also the owner's own stop that the guest ignores. The owner
        is told before: as soon as the end is known, at the latest with the stop.
        """
        self._billing.landing.tell_stop(stop)
        if self.now() < stop.ends_at - self._stop_timeout:
            return
        with self.reading() as session:
            vm = session.get(DbVM, stop.vm_id)
            if vm is None or vm.deleted_at is not None or not self._must_stop(session, vm, stop):
                return
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm_row(session, stop.vm_id)
            if vm.deleted_at is None and self._must_stop(session, vm, stop):
                under_way = self._operations.find_open(session, vm.id)
                asked = under_way is not None and under_way.kind == OperationKind.STOP  # it is not started again then
                self._operations.cancel_open(session, vm.id)
                details = {"ends_at": stop.ends_at.isoformat()} | ({"asked": True} if asked else {})
                self._operations.accept(session, vm, OperationKind.STOP, "credit", details, actor=SYSTEM)

    def _must_stop(self, session: Session, vm: DbVM, stop: CreditStop) -> bool:
        if not is_billed_as_running(vm.state, vm.run_id):
            return False
        under_way = self._operations.find_open(session, vm.id)
        if under_way is None:
            return vm.state in ON
        if under_way.kind in _OVERTAKEN:
            return True
        is_owners_stop = under_way.kind == OperationKind.STOP and "ends_at" not in under_way.details
        return is_owners_stop and self.now() >= stop.ends_at - _STOP_MARGIN

    def start_again(self, vm_id: str) -> bool:
        """Accept the start of a VM that credits had stopped, if they suffice now. It carries no minimum."""
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm_row(session, vm_id)
            # An archived project's machines wait for nothing: archiving it has seen to that.
            waits = vm.credit_stopped_at is not None and vm.state == VMState.STOPPED and vm.deleted_at is None
            if not waits or not self._billing.landing.may_return(session, vm):
                return False
            self._billing.place_hold(vm.id, vm.owner_id, vm.running_micro_per_hour)
            event_id, _ = self._operations.accept(session, vm, OperationKind.START, "returned", actor=SYSTEM)
            self._billing.landing.leave_grace(session, vm, event_id)
            self._billing.landing.tell_return(vm)
            vm.credit_stopped_at = None
            self._core.checkpoint("landing.returned")
            return True

    def call_off_stop(self, claim: Claim) -> bool:
        """Before the guest is asked to power off for lack of credit: whether credits have come in, so that it runs on.

        What its owner had asked for is done all the same.
        """
        if claim.details.get("asked") or "ends_at" not in claim.details:
            return False
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm_row(session, claim.vm_id)
            if vm.state != VMState.STOPPING or not self._billing.runs.keeps_running(vm.id, vm.owner_id):
                return False
            if not self._operations.finish(session, claim, OperationState.CANCELLED, "credits came in"):
                return False
            vm.state = VMState.RUNNING
            self.audit("vm.stop_called_off", Subject.vm(vm))
            self._core.checkpoint("landing.called_off")
            return True

    def delete_unpaid(self, vm_id: str) -> bool:
        """Accept deleting a VM whose disk was kept without a charge to the end."""
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm_row(session, vm_id)
            over = vm.disk_until is not None and vm.disk_until <= self.now() and vm.state == VMState.STOPPED
            if not over or vm.deleted_at is not None or self._operations.find_open(session, vm.id):
                return False
            self._operations.accept(session, vm, OperationKind.DELETE, "credit", actor=SYSTEM)
            self._core.checkpoint("landing.deleted")
            return True
