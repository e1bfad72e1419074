"""What credits cause on VMs besides the stop: starting again what Zentry stopped, deleting disks nobody paid for."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vm import OperationKind, OperationState, VMState
from zentry_web.models import DbVM
from zentry_web.services.access import require_payer, require_vm
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.vm_operations import Claim, OperationQueue

Accept = Callable[[Session, DbVM, OperationKind, Actor, str, dict[str, Any]], tuple[str, Any]]


class VMLanding(BaseService):
    """Called by the worker's landing loop, again and again: each call looks afresh and does nothing twice."""

    name = "vm_landing"

    def __init__(self, core: Core, billing: BillingService, operations: OperationQueue, accept: Accept) -> None:
        super().__init__(core)
        self._billing = billing
        self._operations = operations
        self._accept = accept

    def start_again(self, vm_id: str) -> bool:
        """Accept the start of a VM that credits had stopped, if they suffice now. It carries no minimum."""
        with self.reading() as session:
            found = session.get(DbVM, vm_id)
            if found is None or found.credit_stopped_at is None:
                return False
            owner_id = found.owner_id
        with self.transaction() as session:
            self._billing.lock_wallet(owner_id)
            vm = require_vm(session, SYSTEM, vm_id, lock=True)
            require_payer(vm, owner_id)
            # An archived project's machines wait for nothing: archiving it has seen to that.
            waits = vm.credit_stopped_at is not None and vm.state == VMState.STOPPED
            if not waits or not self._billing.landing.may_return(session, vm):
                return False
            self._billing.place_hold(vm.id, vm.owner_id, vm.running_micro_per_hour)
            event_id, _ = self._accept(session, vm, OperationKind.START, SYSTEM, "returned", {})
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
        with self.reading() as session:
            owner_id = session.scalars(select(DbVM.owner_id).where(DbVM.id == claim.vm_id)).one()
        with self.transaction() as session:
            self._billing.lock_wallet(owner_id)
            vm = require_vm(session, SYSTEM, claim.vm_id, lock=True)
            require_payer(vm, owner_id)
            if vm.state != VMState.STOPPING or not self._billing.keeps_running(vm.id, owner_id):
                return False
            if not self._operations.finish(session, claim, OperationState.CANCELLED, "credits came in"):
                return False
            vm.state = VMState.RUNNING
            self.log_audit_event(
                SYSTEM.id,
                "vm.stop_called_off",
                "vm",
                vm.id,
                {},
                owner_id=vm.owner_id,
                project_id=vm.project_id,
                vm_id=vm.id,
            )
            self._core.checkpoint("landing.called_off")
            return True

    def delete_unpaid(self, vm_id: str) -> bool:
        """Accept deleting a VM whose disk was kept without a charge to the end."""
        with self.reading() as session:
            found = session.get(DbVM, vm_id)
            if found is None:
                return False
            owner_id = found.owner_id
        with self.transaction() as session:
            self._billing.lock_wallet(owner_id)
            vm = require_vm(session, SYSTEM, vm_id, lock=True)
            require_payer(vm, owner_id)
            over = vm.disk_until is not None and vm.disk_until <= self.now() and vm.state == VMState.STOPPED
            if not over or self._operations.find_open(session, vm.id):
                return False
            self._accept(session, vm, OperationKind.DELETE, SYSTEM, "credit", {})
            self._core.checkpoint("landing.deleted")
            return True
