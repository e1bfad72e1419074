"""Recording what happened without Zentry, as the reconciler sees it. Every method is one short transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select

from zentry_web.adapters.compute.base import Machine, state_of
from zentry_web.domain.credits.billing import BilledVM, UsageState
from zentry_web.domain.event import Subject
from zentry_web.domain.language import kept
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES, OperationKind
from zentry_web.domain.vms.outage import Cause
from zentry_web.domain.vms.silence import SILENT
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.vm import KnownVM
from zentry_web.models import DbOperation, DbVM
from zentry_web.models.vm import IS_LEAVING, IS_RETURNING
from zentry_web.services.base_service import Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.vms.operations import OperationQueue
from zentry_web.services.vms.outages import VMOutages
from zentry_web.services.vms.runs import Runs

_SEEN = {VMState.PAUSED: "vm.pause_seen", VMState.SLEEPING: "vm.sleep_seen", VMState.RUNNING: "vm.resume_seen"}
OFF_BY_ITSELF = kept("It was powered off from inside the guest or on the host.")


class Sightings(Runs):
    """Writes down what was seen. Used by the worker."""

    name = "vm_sightings"

    def __init__(self, core: Core, billing: BillingService, operations: OperationQueue, outages: VMOutages) -> None:
        super().__init__(core, billing, operations)
        self._outages = outages

    def list_known(self) -> list[KnownVM]:
        """All VMs that the hypervisor should have, also in the recycle bin. One statement, plain columns.

        One that goes or comes back with its project counts as having an operation: it is about to get one, or is off.
        """
        with self.looking() as session:
            rows: list[Any] = list(session.execute(_KNOWN))
            return [KnownVM(row[0], row[1], VMState(row[2]), *row[3:]) for row in rows]

    def list_deleted(self, vm_ids: list[str]) -> list[str]:
        """Those of these ids that are VMs deleted for good."""
        if not vm_ids:
            return []
        with self.reading() as session:
            query = select(DbVM.id).where(DbVM.id.in_(vm_ids), DbVM.state == VMState.DELETED)
            return list(session.scalars(query))

    # Each of these records nothing and returns False when the VM has changed since ``known`` was read.

    def saw_off(self, known: KnownVM, at: datetime, reason: str = "", cause: Cause | None = None) -> bool:
        """It runs no more though nobody asked: billing as running ends at ``at``. By its ``cause`` (None: nobody knows)
        it is started again where that was chosen; ``reason`` is what the driver says more of it."""
        with self._unchanged(known) as vm:
            if vm is None:
                return False
            details = {"cause": cause} if cause else None
            self.run_ends(vm, at, self.audit("vm.off_seen", Subject.vm(vm), details), reason or OFF_BY_ITSELF)
            if cause is not None:
                self._outages.note(vm, cause, reason)
            return True

    def saw_gone(self, known: KnownVM, at: datetime) -> bool:
        """The hypervisor no longer has the machine: billing ends at ``at``."""
        with self._unchanged(known) as vm:
            if vm is None:
                return False
            self.goes_missing(vm, at, self.audit("vm.gone_seen", Subject.vm(vm)))
            return True

    def saw_new_run(self, known: KnownVM, machine: Machine, at: datetime) -> bool:
        """It was off and runs again by another run: the old interval ends at ``at``, a new one begins now.

        Raises InsufficientCreditsError when there is not enough for the new run's hold.
        """
        with self._unchanged(known) as vm:
            if vm is None:
                return False
            event_id = self.audit("vm.new_run_seen", Subject.vm(vm))
            self._billing.open_interval(BilledVM.of(vm), UsageState.STOPPED, at, event_id=event_id)
            self._billing.place_hold(vm.id, vm.owner_id, vm.running_micro_per_hour)
            self.run_begins(vm, machine, self.now(), event_id, has_minimum=False)
            return True

    def saw_running(self, known: KnownVM, machine: Machine) -> bool:
        """It runs though Zentry has it as off. Raises InsufficientCreditsError when nobody can pay for that."""
        with self._unchanged(known) as vm:
            if vm is None:
                return False
            event_id = self.audit("vm.run_seen", Subject.vm(vm))
            self._billing.place_hold(vm.id, vm.owner_id, vm.running_micro_per_hour)
            self.run_begins(vm, machine, self.now(), event_id, has_minimum=False)
            return True

    def saw_state(self, known: KnownVM, machine: Machine) -> bool:
        """It stands still though nobody asked, or goes on: the same run, nothing changes on the bill."""
        with self._unchanged(known) as vm:
            if vm is None:
                return False
            vm.state, vm.state_reason = state_of(machine), machine.fault
            self.audit(_SEEN[state_of(machine)], Subject.vm(vm))
            return True

    def stop_unpaid(self, vm_id: str) -> None:
        """Queue a force off for a machine that runs unasked and unpaid."""
        with self.locked(vm_id) as (session, vm):
            if vm.state in (VMState.STOPPED, VMState.ERROR) and not self._operations.find_open(session, vm_id):
                self._operations.enqueue(session, OperationKind.FORCE_OFF, vm_id, actor=SYSTEM, reason="unpaid")

    def saw_signs(self, known: KnownVM, machine: Machine) -> bool:
        """Address, way to reach it, whether it has answered and its agent listens, of the run that is known."""
        with self._unchanged(known) as vm:
            if vm is None:
                return False
            vm.address = machine.addresses[0] if machine.addresses else vm.address
            vm.reach, vm.agent = machine.reach or vm.reach, machine.agent
            if machine.answered and vm.answered_at is None:
                vm.answered_at = self.now()
                self.audit("vm.answered", Subject.vm(vm))
                vm.state_reason = "" if vm.state_reason == SILENT else vm.state_reason
            return True

    def saw_silence(self, known: KnownVM, since: datetime) -> bool:
        """It runs, and has given no sign of life since ``since``. A reset, or anything else that was done to it after
        that, gives it the whole time again."""
        with self.reading() as session:
            last = self._operations.find_last(session, known.vm_id)
            if last is not None and last.finished_at is not None and last.finished_at > since:
                return False
        with self._unchanged(known) as vm:
            if vm is None:
                return False
            vm.state_reason = SILENT
            self.audit("vm.silent", Subject.vm(vm))
            return True

    @contextmanager
    def _unchanged(self, known: KnownVM) -> Iterator[DbVM | None]:
        with self.locked(known.vm_id) as (session, vm):
            is_same = vm.version == known.version and not self._operations.find_open(session, vm.id)
            yield vm if is_same else None


def _read_known() -> Any:
    open_operation = (
        select(DbOperation.id)
        .where(DbOperation.vm_id == DbVM.id, DbOperation.state.in_(OPEN_OPERATION_STATES))
        .exists()
    )
    return select(
        DbVM.id, DbVM.owner_id, DbVM.state, DbVM.run_id, DbVM.answered_at.is_not(None), DbVM.address, DbVM.reach,
        or_(open_operation, IS_LEAVING, IS_RETURNING), DbVM.confirmed_until, DbVM.version, DbVM.started_at,
        DbVM.state_reason != "", DbVM.agent, DbVM.seen,
    ).where(or_(DbVM.deleted_at.is_(None), DbVM.purge_at.is_not(None), IS_LEAVING))  # fmt: skip


_KNOWN = _read_known()  # built once: the worker asks it every second
