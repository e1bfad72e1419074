"""Recording what the hypervisor reports: the only place where a VM's state, its run and its billing change together.

Every method here is one short transaction that locks in the order wallet, VM, operation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from zentry_web.adapters.compute.base import Machine, MachineSpec, PowerState
from zentry_web.domain.billing import BilledVM, UsageState
from zentry_web.domain.event import Outcome
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vm import OPEN_OPERATION_STATES, OperationKind, OperationState, VMState
from zentry_web.models import DbImage, DbOperation, DbVM
from zentry_web.models.vm import IS_LEAVING, IS_RETURNING
from zentry_web.services.access import require_payer
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.vm_catalogue import Catalogue
from zentry_web.services.vm_operations import Claim, OperationQueue
from zentry_web.services.vm_sizes import as_paid_by, take_size

_RUNS = (VMState.RUNNING, VMState.REBOOTING, VMState.STOPPING)
VANISHED = (
    "The hypervisor no longer has this machine. Its disk may still be there: starting makes the machine anew around it."
)
NEVER_MADE = "The machine has not been made yet. Starting makes it."
OFF_BY_ITSELF = "It was powered off from inside the guest or on the host."


def is_billed_as_running(state: str, run_id: str | None) -> bool:
    """Whether a VM in this state has a running interval; one that is resized may be on or off."""
    return state in _RUNS or (state == VMState.RESIZING and run_id is not None)


@dataclass(frozen=True, slots=True)
class KnownVM:
    """What the reconciler compares with the hypervisor's list, which it asks for afterwards: ``version`` tells whether
    the row has changed since this was read."""

    vm_id: str
    owner_id: str
    state: VMState
    run_id: str | None
    answered: bool
    address: str
    reach: str
    has_operation: bool
    confirmed_until: datetime | None  # unclear since then
    version: int


_STOP_REASONS = {
    "credit": "Stopped: its credits had run out.",
    "unpaid": "It was started without Zentry, and there were not enough credits for that.",
}


class VMRecords(BaseService):
    """Writes down observations. Used by the worker, for operations that end and for surprises."""

    name = "vm_records"

    def __init__(self, core: Core, billing: BillingService, operations: OperationQueue) -> None:
        super().__init__(core)
        self._billing = billing
        self._operations = operations
        self._catalogue = Catalogue(core)

    def spec(self, vm_id: str) -> MachineSpec:
        """What the compute driver needs to make this VM."""
        with self.reading() as session:
            vm, image = session.execute(
                select(DbVM, DbImage).join(DbImage, DbImage.id == DbVM.image_id).where(DbVM.id == vm_id)
            ).one()
            return MachineSpec(
                vm_id=vm.id,
                name=vm.name,
                vcpus=vm.vcpus,
                memory_mib=vm.memory_mib,
                disk_gib=vm.disk_gib,
                image=image.driver_name,
                ssh_keys=tuple(vm.ssh_key.splitlines()),
                user_data=vm.user_data,
            )

    def list_known(self) -> list[KnownVM]:
        """All VMs that the hypervisor should have, also in the recycle bin. One statement, plain columns.

        One that goes or comes back with its project counts as having an operation: it is about to get one, or is off.
        """
        open_operation = (
            select(DbOperation.id)
            .where(DbOperation.vm_id == DbVM.id, DbOperation.state.in_(OPEN_OPERATION_STATES))
            .exists()
        )
        query = select(
            DbVM.id, DbVM.owner_id, DbVM.state, DbVM.run_id, DbVM.answered_at.is_not(None), DbVM.address, DbVM.reach,
            or_(open_operation, IS_LEAVING, IS_RETURNING), DbVM.confirmed_until, DbVM.version,
        ).where(or_(DbVM.deleted_at.is_(None), DbVM.purge_at.is_not(None), IS_LEAVING))  # fmt: skip
        with self.reading() as session:
            rows: list[Any] = list(session.execute(query))
            return [KnownVM(row[0], row[1], VMState(row[2]), *row[3:]) for row in rows]

    def list_deleted(self, vm_ids: list[str]) -> list[str]:
        """Those of these ids that are VMs deleted for good."""
        if not vm_ids:
            return []
        with self.reading() as session:
            query = select(DbVM.id).where(DbVM.id.in_(vm_ids), DbVM.state == VMState.DELETED)
            return list(session.scalars(query))

    # -- how operations end ---------------------------------------------------------------------

    def operation_running(self, claim: Claim, machine: Machine) -> bool:
        """A create, start or resize reached a running machine: the running interval opens, the operation succeeds.

        False when the claim was overtaken; then nothing is recorded.
        """
        with self._locked(claim.vm_id) as (session, vm):
            if not self._operations.finish(session, claim, OperationState.SUCCEEDED):
                return False
            event_id = self._ended(vm, claim, Outcome.SUCCEEDED)
            if claim.kind == OperationKind.RESIZE:
                self._take_size(session, vm, claim.details)
            self._run_begins(vm, machine, self.now(), event_id, has_minimum=_has_minimum(claim))
            if claim.kind == OperationKind.RESIZE:
                self._billing.resizes.give_back(vm.id)
            return True

    def resize_off(self, claim: Claim, at: datetime) -> bool:
        """A machine to be resized went off at ``at``: its running interval ends, its hold waits for the start."""
        with self._locked(claim.vm_id) as (_session, vm):
            if not self._operations.reach(claim, "resize"):
                return False
            at = max(at, vm.started_at) if vm.started_at else at
            self._billing.resizes.pause(billed_vm(vm), at, self._surprise(vm, "vm.resize_off"))
            vm.run_id, vm.stopped_at, vm.answered_at, vm.address, vm.reach = None, at, None, "", ""
            return True

    def operation_resized(self, claim: Claim) -> bool:
        """A machine that is off has its new size: what its disk costs changes now, the operation succeeds."""
        with self._locked(claim.vm_id) as (session, vm):
            if not self._operations.finish(session, claim, OperationState.SUCCEEDED):
                return False
            event_id = self._ended(vm, claim, Outcome.SUCCEEDED)
            self._take_size(session, vm, claim.details)
            if vm.disk_until is None:
                self._billing.open_interval(billed_vm(vm), UsageState.STOPPED, self.now(), event_id=event_id)
            vm.state = VMState.STOPPED
            return True

    def operation_off(self, claim: Claim, at: datetime, *, gone: bool = False) -> bool:
        """A stop or force off took effect at ``at``: the stopped interval opens, the operation succeeds.

        ``gone``: there is no machine at all, so billing ends.
        """
        with self._locked(claim.vm_id) as (session, vm):
            if not self._operations.finish(session, claim, OperationState.SUCCEEDED):
                return False
            event_id = self._ended(vm, claim, Outcome.SUCCEEDED)
            if gone:
                self._is_missing(vm, at, event_id)
            else:
                self._run_ends(vm, at, event_id, _STOP_REASONS.get(claim.reason, ""), unpaid=claim.reason == "credit")
                if claim.details.get("asked"):
                    vm.credit_stopped_at = None
            return True

    def operation_rebooted(self, claim: Claim) -> bool:
        """A reboot was seen: still the same run, nothing changes on the bill."""
        with self._locked(claim.vm_id) as (session, vm):
            if not self._operations.finish(session, claim, OperationState.SUCCEEDED):
                return False
            vm.state = VMState.RUNNING
            self._ended(vm, claim, Outcome.SUCCEEDED)
            return True

    def operation_deleted(self, claim: Claim) -> bool:
        """The machine is gone for good."""
        with self._locked(claim.vm_id) as (session, vm):
            if not self._operations.finish(session, claim, OperationState.SUCCEEDED):
                return False
            self._billing.close_interval(vm.id, self.now(), event_id=self._ended(vm, claim, Outcome.SUCCEEDED))
            vm.state = VMState.DELETED
            vm.deleted_at, vm.purge_at = vm.deleted_at or self.now(), None
            vm.credit_stopped_at = vm.disk_until = None
            vm.run_id, vm.address, vm.reach, vm.state_reason = None, "", "", ""
            vm.ssh_key = vm.user_data = ""  # may hold secrets; nobody needs them any more
            return True

    def operation_failed(
        self, claim: Claim, reason: str, machine: Machine | None, *, known: bool, at: datetime
    ) -> bool:
        """Given up: the VM shows what is true of ``machine`` now (None: there is none), and why it failed.

        A hold that belonged to the start is released. A machine that turned out to run is billed as running; one
        that was running and is not ran until ``at``. ``known=False`` (the hypervisor does not say): what was running
        is still taken to run; the reconciler puts right what turns out otherwise.
        """
        with self._locked(claim.vm_id) as (session, vm):
            if not self._operations.finish(session, claim, OperationState.FAILED, reason):
                return False
            event_id = self._ended(vm, claim, Outcome.FAILED)
            was_running = vm.run_id is not None
            if not known:
                self._is_as_before(vm, was_running)
            elif machine is None:
                self._is_missing(vm, at, event_id)
            elif machine.power == PowerState.RUNNING:
                self._is_running(vm, machine, claim, event_id, was_running)
            elif was_running or (not vm.made and claim.kind != OperationKind.CREATE):
                self._run_ends(vm, at, event_id, reason)
            else:
                self._is_as_before(vm, was_running)
            if claim.kind == OperationKind.RESIZE:
                self._billing.resizes.give_back(vm.id)
            vm.state_reason = reason
            return True

    def _is_running(self, vm: DbVM, machine: Machine, claim: Claim, event_id: str, was_running: bool) -> None:
        if was_running:
            vm.state = VMState.RUNNING
        elif claim.requested_by != SYSTEM.id:
            self._run_begins(vm, machine, self.now(), event_id, has_minimum=_has_minimum(claim))
        # Else it runs unasked and unpaid, and could not be forced off: the reconciler tries again.

    def _is_as_before(self, vm: DbVM, was_running: bool) -> None:
        if was_running:
            vm.state = VMState.RUNNING
            return
        self._billing.release_hold(vm.id)
        vm.state = VMState.STOPPED if vm.made else VMState.ERROR

    # -- what happened without Zentry -----------------------------------------------------------

    # Each of these records nothing and returns False when the VM has changed since ``known`` was read.

    def saw_off(self, known: KnownVM, at: datetime, reason: str = "") -> bool:
        """It runs no more though nobody asked: billing as running ends at ``at``."""
        with self._unchanged(known) as vm:
            if vm is None:
                return False
            self._run_ends(vm, at, self._surprise(vm, "vm.off_seen"), reason or OFF_BY_ITSELF)
            return True

    def saw_gone(self, known: KnownVM, at: datetime) -> bool:
        """The hypervisor no longer has the machine: billing ends at ``at``."""
        with self._unchanged(known) as vm:
            if vm is None:
                return False
            self._is_missing(vm, at, self._surprise(vm, "vm.gone_seen"))
            return True

    def saw_new_run(self, known: KnownVM, machine: Machine, at: datetime) -> bool:
        """It was off and runs again by another run: the old interval ends at ``at``, a new one begins now.

        Raises InsufficientCreditsError when there is not enough for the new run's hold.
        """
        with self._unchanged(known) as vm:
            if vm is None:
                return False
            event_id = self._surprise(vm, "vm.new_run_seen")
            self._billing.open_interval(billed_vm(vm), UsageState.STOPPED, at, event_id=event_id)
            self._billing.place_hold(vm.id, vm.owner_id, vm.running_micro_per_hour)
            self._run_begins(vm, machine, self.now(), event_id, has_minimum=False)
            return True

    def saw_running(self, known: KnownVM, machine: Machine) -> bool:
        """It runs though Zentry has it as off. Raises InsufficientCreditsError when nobody can pay for that."""
        with self._unchanged(known) as vm:
            if vm is None:
                return False
            event_id = self._surprise(vm, "vm.run_seen")
            self._billing.place_hold(vm.id, vm.owner_id, vm.running_micro_per_hour)
            self._run_begins(vm, machine, self.now(), event_id, has_minimum=False)
            return True

    def stop_unpaid(self, vm_id: str) -> None:
        """Queue a force off for a machine that runs unasked and unpaid."""
        with self._locked(vm_id) as (session, vm):
            if vm.state in (VMState.STOPPED, VMState.ERROR) and not self._operations.find_open(session, vm_id):
                self._operations.enqueue(session, OperationKind.FORCE_OFF, vm_id, actor=SYSTEM, reason="unpaid")

    def saw_signs(self, known: KnownVM, machine: Machine) -> bool:
        """Address, way to reach it, and whether it has answered, of the run that is known."""
        with self._unchanged(known) as vm:
            if vm is None:
                return False
            vm.address = machine.addresses[0] if machine.addresses else vm.address
            vm.reach = machine.reach or vm.reach
            if machine.answered and vm.answered_at is None:
                vm.answered_at = self.now()
                self._surprise(vm, "vm.answered")
            return True

    # -- shared ---------------------------------------------------------------------------------

    @contextmanager
    def _locked(self, vm_id: str) -> Iterator[tuple[Session, DbVM]]:
        with self.reading() as session:
            owner_id = session.scalars(select(DbVM.owner_id).where(DbVM.id == vm_id)).one()
        with self.transaction() as session:
            self._billing.lock_wallet(owner_id)
            query = select(DbVM).where(DbVM.id == vm_id).with_for_update()
            vm = session.scalars(query.execution_options(populate_existing=True)).one()
            require_payer(vm, owner_id)
            yield session, vm

    @contextmanager
    def _unchanged(self, known: KnownVM) -> Iterator[DbVM | None]:
        with self._locked(known.vm_id) as (session, vm):
            is_same = vm.version == known.version and not self._operations.find_open(session, vm.id)
            yield vm if is_same else None

    def _run_begins(self, vm: DbVM, machine: Machine, at: datetime, event_id: str, *, has_minimum: bool) -> None:
        self._billing.open_interval(billed_vm(vm), UsageState.RUNNING, at, event_id=event_id, has_minimum=has_minimum)
        vm.state, vm.state_reason, vm.made = VMState.RUNNING, "", True
        vm.credit_stopped_at = vm.disk_until = None
        vm.run_id, vm.started_at, vm.answered_at, vm.stopped_at = machine.run_id, at, None, None
        vm.address = machine.addresses[0] if machine.addresses else ""
        vm.reach = machine.reach

    def _run_ends(self, vm: DbVM, at: datetime, event_id: str, reason: str, *, unpaid: bool = False) -> None:
        """It is off since ``at``. ``unpaid``: credits stopped it, so its disk is kept without a charge."""
        if vm.run_id is not None and vm.started_at is not None:
            at = max(at, vm.started_at)
        if unpaid:
            self._billing.close_interval(vm.id, at, event_id=event_id)
            self._billing.landing.keep_disk(vm, self.now())
            vm.credit_stopped_at = self.now()
        else:
            self._billing.open_interval(billed_vm(vm), UsageState.STOPPED, at, event_id=event_id)
        self._billing.release_hold(vm.id)  # also of a start that was overtaken before it ran
        vm.state, vm.state_reason, vm.made = VMState.STOPPED, reason, True
        vm.run_id, vm.stopped_at, vm.answered_at = None, at, None
        vm.address, vm.reach = "", ""

    def _take_size(self, session: Session, vm: DbVM, details: dict[str, Any]) -> None:
        """The size it was resized to, at the price in force now. Prices due before count for the size it had."""
        self._billing.resizes.catch_up(vm.id, vm.owner_id)
        session.refresh(vm)
        size = self._catalogue.find_size(session, details["size_id"])
        take_size(vm, as_paid_by(session, vm.id, [size] if size else [])[0])

    def _is_missing(self, vm: DbVM, at: datetime, event_id: str) -> None:
        self._billing.close_interval(vm.id, at, event_id=event_id)
        if vm.run_id is not None:
            vm.stopped_at = at
        vm.state, vm.state_reason = VMState.ERROR, VANISHED if vm.made else NEVER_MADE
        vm.run_id, vm.answered_at, vm.made = None, None, False
        vm.credit_stopped_at = vm.disk_until = None
        vm.address, vm.reach = "", ""

    def _ended(self, vm: DbVM, claim: Claim, outcome: Outcome) -> str:
        return self.log_audit_event(
            SYSTEM.id,
            f"vm.{claim.kind}",
            "vm",
            vm.id,
            {"reason": claim.reason},
            outcome=outcome,
            owner_id=vm.owner_id,
            project_id=vm.project_id,
            vm_id=vm.id,
            operation_id=claim.operation_id,
        )

    def _surprise(self, vm: DbVM, action: str) -> str:
        return self.log_audit_event(
            SYSTEM.id, action, "vm", vm.id, {}, owner_id=vm.owner_id, project_id=vm.project_id, vm_id=vm.id
        )


def _has_minimum(claim: Claim) -> bool:
    """Starts by Zentry itself and after a resize carry no minimum."""
    return claim.requested_by != SYSTEM.id and claim.kind != OperationKind.RESIZE


def billed_vm(vm: DbVM) -> BilledVM:
    """What billing needs to know of this row."""
    return BilledVM(
        vm_id=vm.id,
        owner_id=vm.owner_id,
        project_id=vm.project_id,
        price_version_id=vm.price_version_id,
        running_micro_per_hour=vm.running_micro_per_hour,
        stopped_micro_per_hour=vm.stopped_micro_per_hour,
        image_price_version_id=vm.image_price_version_id,
    )
