"""Recording how operations end. Every method is one short transaction that locks in the order wallet, VM, operation."""

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from zentry_web.adapters.compute.base import Machine, MachineSpec, state_of
from zentry_web.adapters.compute.copies import DiskSource
from zentry_web.domain.credits.billing import BilledVM, UsageState
from zentry_web.domain.event import Subject
from zentry_web.domain.language import kept, later
from zentry_web.domain.notice_texts import say
from zentry_web.domain.stored_texts import said
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.kinds import title_of
from zentry_web.domain.vms.operation import CHANGES, OperationKind
from zentry_web.domain.vms.outage import FAILURES
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbDiskAside, DbImage, DbImageVersion, DbRevertAside, DbVM
from zentry_web.services.base_service import Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.shared.undo_book import close
from zentry_web.services.vms import asides, reverts
from zentry_web.services.vms.backup_records import BackupRecords
from zentry_web.services.vms.launch_sources import find_origin
from zentry_web.services.vms.operations import OperationQueue
from zentry_web.services.vms.outages import VMOutages
from zentry_web.services.vms.runs import Runs
from zentry_web.services.vms.snapshot_records import SnapshotRecords

SUSPENDED = kept("It was suspended. Resume lets it go on where it stopped.")


_STOP_REASONS = {
    "credit": kept("Stopped: its credits had run out."),
    "unpaid": kept("It was started without Zentry, and there were not enough credits for that."),
}


BY_SCHEDULE = (OperationKind.SNAPSHOT, OperationKind.BACKUP)  # also asked for by Zentry itself


class VMRecords(Runs):
    """Writes down what came of operations. Used by the worker."""

    name = "vm_records"

    def __init__(
        self,
        core: Core,
        billing: BillingService,
        operations: OperationQueue,
        outages: VMOutages,
        snapshots: SnapshotRecords,
        backups: BackupRecords,
    ) -> None:
        super().__init__(core, billing, operations)
        self._outages, self._snapshots, self._backups = outages, snapshots, backups

    def spec(self, vm_id: str) -> MachineSpec:
        """What the compute driver needs to make this VM."""
        with self.reading() as session:
            query = select(DbVM, func.coalesce(DbImageVersion.driver_name, DbImage.driver_name)).where(DbVM.id == vm_id)
            query = query.join(DbImage, DbImage.id == DbVM.image_id)
            query = query.outerjoin(DbImageVersion, DbImageVersion.id == DbVM.image_version_id)
            vm, image = session.execute(query).one()
            return MachineSpec(
                vm_id=vm.id,
                name=vm.name,
                vcpus=vm.vcpus,
                memory_mib=vm.memory_mib,
                disk_gib=vm.disk_gib,
                image=image,
                ssh_keys=tuple(vm.ssh_key.splitlines()),
                user_data=vm.user_data,
            )

    def find_origin(self, vm_id: str) -> DiskSource | None:
        """Whose disk a machine that never ran is to begin with; None: with its image's."""
        with self.reading() as session:
            return find_origin(session, vm_id)

    # -- how operations end ---------------------------------------------------------------------

    # Each of these records nothing and returns False when the claim was overtaken.

    def operation_running(self, claim: Claim, machine: Machine) -> bool:
        """A create, start or change reached a running machine: the running interval opens, the operation succeeds."""

        def record(session: Session, vm: DbVM, event_id: str) -> None:
            self._take_change(session, vm, claim)
            self.run_begins(vm, machine, self.now(), event_id, has_minimum=_has_minimum(claim))
            if claim.kind in CHANGES:
                self._billing.resizes.give_back(vm.id)

        return self.end(claim, record)

    def change_off(self, claim: Claim, at: datetime, step: str) -> bool:
        """A machine to be changed went off at ``at``, and the change comes to ``step``: its running interval ends, its
        hold waits for the start."""
        with self.locked(claim.vm_id) as (_session, vm):
            if not self._operations.reach(claim, step):
                return False
            at = max(at, vm.started_at) if vm.started_at else at
            self._billing.resizes.pause(BilledVM.of(vm), at, self.audit(f"vm.{claim.kind}_off", Subject.vm(vm)))
            vm.run_id, vm.stopped_at, vm.answered_at, vm.address, vm.reach = None, at, None, "", ""
            vm.agent = False
            return True

    def operation_resized(self, claim: Claim) -> bool:
        """A machine that is off has its new size: what its disk costs changes now, the operation succeeds.

        A disk that is kept without a charge goes on so as it is; a larger one is paid for.
        """

        def record(session: Session, vm: DbVM, event_id: str) -> None:
            disk_before = vm.disk_gib
            self.take_size(session, vm, claim.details)
            if vm.disk_until is None or vm.disk_gib > disk_before:
                vm.disk_until = None
                self._billing.open_interval(BilledVM.of(vm), UsageState.STOPPED, self.now(), event_id=event_id)
            vm.state = VMState.STOPPED

        return self.end(claim, record)

    def operation_rebuilt(self, claim: Claim) -> bool:
        """A machine that is off has another disk: it stays off, the operation succeeds. Its bill goes on as it was."""

        def record(session: Session, vm: DbVM, _event_id: str) -> None:
            self._take_change(session, vm, claim)
            vm.state = VMState.STOPPED

        return self.end(claim, record)

    def operation_off(self, claim: Claim, at: datetime, *, gone: bool = False) -> bool:
        """A stop or force off took effect at ``at``: the stopped interval opens, the operation succeeds.

        ``gone``: there is no machine at all, so billing ends.
        """

        def record(_session: Session, vm: DbVM, event_id: str) -> None:
            if gone:
                self.goes_missing(vm, at, event_id)
            else:
                self.run_ends(vm, at, event_id, _STOP_REASONS.get(claim.reason, ""), unpaid=claim.reason == "credit")
                if claim.details.get("asked"):
                    vm.credit_stopped_at = None

        return self.end(claim, record)

    def operation_went_on(self, claim: Claim) -> bool:
        """A reboot, reset, resume or new password was seen: still the same run, nothing changes on the bill."""

        def record(_session: Session, vm: DbVM, _event_id: str) -> None:
            vm.state = VMState.RUNNING

        return self.end(claim, record)

    def operation_stands(self, claim: Claim, machine: Machine) -> bool:
        """A suspend was seen: still the same run, nothing changes on the bill."""

        def record(_session: Session, vm: DbVM, _event_id: str) -> None:
            vm.state, vm.state_reason = state_of(machine), SUSPENDED

        return self.end(claim, record)

    def operation_binned(self, claim: Claim, *, gone: bool) -> bool:
        """The machine is off (``gone``: there is none): it waits in the bin."""

        def record(session: Session, vm: DbVM, _event_id: str) -> None:
            asides.forget_attempts(session, vm.id)
            if vm.run_id is not None:
                vm.stopped_at = self.now()
            if gone:
                self.snapshots_went(vm)
            vm.state, vm.state_reason, vm.made = VMState.BINNED, "", not gone
            vm.run_id, vm.answered_at, vm.address, vm.reach, vm.agent = None, None, "", "", False

        return self.end(claim, record)

    def operation_deleted(self, claim: Claim) -> bool:
        """The machine is gone for good."""

        def record(session: Session, vm: DbVM, event_id: str) -> None:
            self._billing.close_interval(vm.id, self.now(), event_id=event_id)
            self._snapshots.drop_all(session, vm, event_id)
            self._backups.drop_all(session, vm, event_id)
            vm.state = VMState.DELETED
            vm.deleted_at, vm.purge_at = vm.deleted_at or self.now(), None
            vm.credit_stopped_at = vm.disk_until = None
            vm.run_id, vm.address, vm.reach, vm.state_reason = None, "", "", ""
            vm.ssh_key = vm.user_data = ""  # may hold secrets; nobody needs them any more
            for kept_aside in (DbDiskAside, DbRevertAside):
                session.execute(delete(kept_aside).where(kept_aside.vm_id == vm.id))

        return self.end(claim, record)

    def operation_failed(
        self, claim: Claim, reason: str, machine: Machine | None, *, known: bool, at: datetime
    ) -> bool:
        """Given up, or aborted: the VM shows what is true of ``machine`` now (None: there is none), and why it failed.

        A hold that belonged to the start is released. A machine that turned out to run is billed as running; one
        that was running and is not ran until ``at``. ``known=False`` (the hypervisor does not say): what was running
        is still taken to run; the reconciler puts right what turns out otherwise.
        """

        def record(session: Session, vm: DbVM, event_id: str) -> None:
            was_running = vm.run_id is not None
            if not known:
                self._is_as_before(vm, was_running)
            elif machine is None:
                self.goes_missing(vm, at, event_id)
            elif machine.is_on:
                self._is_running(vm, machine, claim, event_id, was_running)
            elif was_running or (not vm.made and claim.kind != OperationKind.CREATE):
                self._is_off(vm, machine, at, event_id, reason)
            else:
                self._is_as_before(vm, was_running)
            if claim.kind in CHANGES:
                self._billing.resizes.give_back(vm.id)
            if claim.kind == OperationKind.BACKUP:
                self._backups.failed(session, claim, reason, removed=known)
            if known:  # else its disk is put right before the next start
                asides.forget_attempts(session, vm.id)
            if claim.kind in (*asides.PUTTING_ASIDE, OperationKind.REVERT) and not reverts.is_kept(session, claim):
                close(session, vm.id, f"vm.{claim.kind}", self.now())
            self._tell_failed(vm, claim, reason)
            is_as_it_was = claim.aborted_by is not None and vm.state != VMState.ERROR
            vm.state_reason = "" if is_as_it_was else reason

        return self.end(claim, record, failure=reason)

    def _tell_failed(self, vm: DbVM, claim: Claim, reason: str) -> None:
        """Whoever asked for it hears of it; of what a schedule asked for, the owner."""
        set_before = claim.kind in BY_SCHEDULE or claim.reason == "schedule"
        by_schedule = claim.requested_by == SYSTEM.id and set_before
        if claim.aborted_by or (claim.requested_by == SYSTEM.id and not by_schedule):
            return
        name = vm.name
        words = say("failed", what=later(lambda: title_of(claim.kind, name)), why=later(lambda: said(reason)))
        who = vm.owner_id if by_schedule else claim.requested_by
        target = Target(Place.OPERATION, claim.operation_id)
        self._billing.notices.tell(who, "failed", claim.operation_id, *words, target=target)

    def _take_change(self, session: Session, vm: DbVM, claim: Claim) -> None:
        """What a change makes of the record, at the price in force now where that is the change's."""
        if claim.kind == OperationKind.RESIZE:
            self.take_size(session, vm, claim.details)
        elif claim.kind in (*asides.PUTTING_ASIDE, OperationKind.BRING_BACK):
            self._billing.resizes.catch_up(vm.id, vm.owner_id)
            session.refresh(vm)
            asides.exchange(session, vm, claim, self.now())
        elif claim.kind == OperationKind.RESCUE:
            vm.rescued_at = self.now()
        elif claim.kind == OperationKind.UNRESCUE:
            vm.rescued_at = None

    def _is_running(self, vm: DbVM, machine: Machine, claim: Claim, event_id: str, was_running: bool) -> None:
        if was_running:
            vm.state = state_of(machine)
        elif claim.requested_by != SYSTEM.id:
            self.run_begins(vm, machine, self.now(), event_id, has_minimum=_has_minimum(claim))
        # Else it runs unasked and unpaid, and could not be forced off: the reconciler tries again.

    def _is_off(self, vm: DbVM, machine: Machine, at: datetime, event_id: str, reason: str) -> None:
        cause = machine.ended if vm.run_id is not None else None
        self.run_ends(vm, at, event_id, reason)
        if cause is not None and cause in FAILURES:
            self._outages.note(vm, cause, reason)

    def _is_as_before(self, vm: DbVM, was_running: bool) -> None:
        if was_running:
            vm.state = VMState.RUNNING
            return
        self._billing.release_hold(vm.id)
        vm.state = VMState.STOPPED if vm.made else VMState.ERROR


def _has_minimum(claim: Claim) -> bool:
    """Starts by Zentry itself, after a change and as an undo carry no minimum."""
    return claim.requested_by != SYSTEM.id and claim.kind not in CHANGES and "undo" not in claim.details
