"""Where a VM's state, its run and its billing change together, whoever reports it: an operation or a look."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from zentry_web.adapters.compute.base import Machine, state_of
from zentry_web.domain.credits.billing import BilledVM, UsageState
from zentry_web.domain.event import Outcome, Subject
from zentry_web.domain.language import kept
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.operation import OperationState
from zentry_web.domain.vms.snapshot import SnapshotState
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbSnapshot, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.vms import reverts
from zentry_web.services.vms.catalogue import Catalogue
from zentry_web.services.vms.operations import OperationQueue
from zentry_web.services.vms.sizes import as_paid_by, take_size

VANISHED = kept(
    "The hypervisor no longer has this machine. Its disk may still be there: starting makes the machine anew around it."
)
NEVER_MADE = kept("The machine has not been made yet. Starting makes it.")

Record = Callable[[Session, DbVM, str], None]  # of an operation that ended: with its VM and its event


class Runs(BaseService):
    """What operations that end and what was seen without them have in common. Its methods, ``locked`` aside, are called
    within the transaction that it opens."""

    def __init__(self, core: Core, billing: BillingService, operations: OperationQueue) -> None:
        super().__init__(core)
        self._billing = billing
        self._operations = operations
        self._catalogue = Catalogue(core, billing)

    @contextmanager
    def locked(self, vm_id: str) -> Iterator[tuple[Session, DbVM]]:
        """A transaction that holds the wallet and the VM's row."""
        with self.transaction() as session:
            yield session, self._billing.wallets.locked_vm_row(session, vm_id)

    def end(self, claim: Claim, record: Record, *, failure: str | None = None) -> bool:
        """The operation succeeded, or failed for that reason or was aborted, and what came of it is recorded; unless
        it was overtaken."""
        ended, outcome = OperationState.SUCCEEDED, Outcome.SUCCEEDED
        if failure is not None:
            ended, outcome = OperationState.FAILED, Outcome.FAILED
        if failure is not None and claim.aborted_by:
            ended, outcome = OperationState.CANCELLED, Outcome.REFUSED
        with self.locked(claim.vm_id) as (session, vm):
            if not self._operations.finish(session, claim, ended, failure or ""):
                return False
            subject, details = Subject.vm(vm, claim.operation_id), {"reason": claim.reason}
            record(session, vm, self.audit(f"vm.{claim.kind}", subject, details, outcome=outcome))
            return True

    def run_begins(self, vm: DbVM, machine: Machine, at: datetime, event_id: str, *, has_minimum: bool) -> None:
        """It runs as ``machine`` since ``at``, and is paid for so."""
        self._billing.open_interval(BilledVM.of(vm), UsageState.RUNNING, at, event_id=event_id, has_minimum=has_minimum)
        vm.state, vm.state_reason, vm.made = state_of(machine), machine.fault, True
        vm.credit_stopped_at = vm.disk_until = None
        vm.run_id, vm.started_at, vm.answered_at, vm.stopped_at = machine.run_id, at, None, None
        vm.address = machine.addresses[0] if machine.addresses else ""
        vm.reach, vm.agent = machine.reach, machine.agent

    def run_ends(self, vm: DbVM, at: datetime, event_id: str, reason: str, *, unpaid: bool = False) -> None:
        """It is off since ``at``. ``unpaid``: credits stopped it, so its disk is kept without a charge."""
        if vm.run_id is not None and vm.started_at is not None:
            at = max(at, vm.started_at)
        if unpaid:
            self._billing.close_interval(vm.id, at, event_id=event_id)
            self._billing.landing.keep_disk(vm, self.now())
            vm.credit_stopped_at = self.now()
        else:
            self._billing.open_interval(BilledVM.of(vm), UsageState.STOPPED, at, event_id=event_id)
        self._billing.release_hold(vm.id)  # also of a start that was overtaken before it ran
        vm.state, vm.state_reason, vm.made = VMState.STOPPED, reason, True
        vm.run_id, vm.stopped_at, vm.answered_at = None, at, None
        vm.address, vm.reach, vm.agent = "", "", False

    def take_size(self, session: Session, vm: DbVM, details: dict[str, Any]) -> None:
        """The size it was resized to, at the price in force now. Prices due before count for the size it had."""
        self._billing.resizes.catch_up(vm.id, vm.owner_id)
        session.refresh(vm)
        size = self._catalogue.find_size(session, details["size_id"])
        take_size(vm, as_paid_by(session, vm.id, [size] if size else [])[0])

    def goes_missing(self, vm: DbVM, at: datetime, event_id: str) -> None:
        """There is no machine: billing ended at ``at``."""
        self._billing.close_interval(vm.id, at, event_id=event_id)
        if vm.run_id is not None:
            vm.stopped_at = at
        vm.state, vm.state_reason = VMState.ERROR, VANISHED if vm.made else NEVER_MADE
        vm.run_id, vm.answered_at, vm.made = None, None, False
        vm.credit_stopped_at = vm.disk_until = None
        vm.address, vm.reach, vm.agent = "", "", False
        self.snapshots_went(vm)

    def snapshots_went(self, vm: DbVM) -> None:
        """They went with the machine, also if that is made anew around its disk, and so did what a revert has kept;
        the worker tidies up."""
        with self.transaction() as session:
            reverts.let_go(session, vm.id, self.now())
            mine = update(DbSnapshot).where(DbSnapshot.vm_id == vm.id)
            session.execute(mine.values(state=SnapshotState.DELETING))


def as_before(vm: DbVM) -> None:
    """What was done with it has changed nothing of its run."""
    vm.state = VMState.STOPPED if vm.run_id is None else VMState.RUNNING
