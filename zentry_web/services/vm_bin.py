"""The recycle bin of VMs (ADR 0019): deleting puts a machine into it, off and off the bill, with its disk kept.

``deleted_at`` is set with the click, so that a machine in the bin is in no list and no count and its name is free;
``purge_at`` says that it is in the bin and until when. Both are empty again after a restore.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from zentry_web.domain.bin import BinnedVM
from zentry_web.domain.event import Outcome
from zentry_web.domain.monitoring import ComputeStatus
from zentry_web.domain.project import ProjectAction
from zentry_web.domain.quota import Amounts
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vm import (
    ALLOWED_ACTIONS,
    NAME_PATTERN,
    OPEN_OPERATION_STATES,
    VM,
    Operation,
    OperationKind,
    OperationState,
    Size,
    VMState,
)
from zentry_web.models import DbOperation, DbProject, DbVM
from zentry_web.services import holds, ledger
from zentry_web.services.access import require_open, require_payer, require_self, require_staying, require_vm
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.bin_queries import read_binned_vms
from zentry_web.services.errors import ConflictError, ValidationError
from zentry_web.services.quotas import Quotas
from zentry_web.services.vm_bin_sets import VMBinSets, confirmed_end, copy_prices, deleting_reason, was_made
from zentry_web.services.vm_catalogue import Catalogue
from zentry_web.services.vm_landing import Accept
from zentry_web.services.vm_operations import Claim, OperationQueue, as_operation
from zentry_web.services.vm_payer import Payer
from zentry_web.services.vm_queries import read_vm
from zentry_web.services.vm_records import KnownVM
from zentry_web.services.vm_sizes import as_paid_by

_DELETING = (
    select(DbOperation.id)
    .where(
        DbOperation.vm_id == DbVM.id,
        DbOperation.state.in_(OPEN_OPERATION_STATES),
        DbOperation.kind == OperationKind.DELETE,
    )
    .exists()
)
# What has to be known of a VM to tell whether it can be restored.
RESTORE_FACTS = (
    DbVM.id, DbVM.project_id, DbVM.owner_id, DbVM.state, DbVM.size_id, DbVM.image_id, DbVM.vcpus, DbVM.memory_mib,
    DbVM.disk_gib, DbVM.made,
)  # fmt: skip
PROTECTED = "{name} is protected from deletion. Switch its protection off first."
NO_FUNDS = "There are not enough credits to pay its disk for {minutes} minutes."


class VMBin(BaseService):
    """Deleting, restoring and purging; a part of VMService. Kept for 0 days, what is deleted is gone."""

    name = "vm_bin"

    def __init__(
        self,
        core: Core,
        billing: BillingService,
        catalogue: Catalogue,
        payer: Payer,
        quotas: Quotas,
        operations: OperationQueue,
        accept: Accept,
        compute_status: Callable[[], ComputeStatus],
    ) -> None:
        super().__init__(core)
        self._billing = billing
        self._catalogue = catalogue
        self._payer = payer
        self._quotas = quotas
        self._operations = operations
        self.sets = VMBinSets(core, billing, operations, compute_status)
        self._accept = accept
        self._compute_status = compute_status

    @property
    def keeps_for(self) -> timedelta:
        """How long what is deleted now will be kept."""
        return self._billing.settings.days(SettingKey.BIN_DAYS)

    # -- deleting -------------------------------------------------------------------------------

    def delete(self, vm_id: str, confirm_name: str, *, actor: Actor) -> Operation:
        """See VMService.delete_vm."""
        with self.reading() as session:
            _require_name(require_vm(session, actor, vm_id, ProjectAction.DELETE_VM).name, confirm_name)
        with self.transaction() as session:
            vm = self._lock(session, actor, vm_id)
            state = VMState(vm.state)
            if OperationKind.DELETE not in ALLOWED_ACTIONS[state]:
                raise ConflictError(f"{vm.name} is {state}: it cannot be deleted now.")
            require_unprotected(vm)
            kept = self.keeps_for
            kind = OperationKind.BIN if kept and was_made(vm) else OperationKind.DELETE
            operation, event_id = self._ask(session, vm, kind, actor, deleting_reason(vm, actor))
            vm.credit_stopped_at = None
            self._billing.close_interval(vm.id, self.confirmed_end(vm), event_id=event_id)  # not when the disk is gone
            if kind == OperationKind.BIN:
                vm.deleted_at, vm.deleted_by = self.now(), actor.id
                vm.purge_at, vm.disk_until = self.now() + kept, None
            return operation

    def confirmed_end(self, vm: DbVM) -> datetime:
        """Now, or when it was deleted; or, while the hypervisor has not been heard of, or not of this VM, the last
        moment that it confirmed."""
        return confirmed_end(vm, self._compute_status().answered_at, self.now())

    def days_kept(self, vm: VM) -> int:
        """For how many days deleting this VM would keep it."""
        never_ran = vm.started_at is None and vm.state in (VMState.CREATING, VMState.ERROR)
        return 0 if never_ran else self.keeps_for.days

    def set_protection(self, vm_id: str, protected: bool, *, actor: Actor) -> None:
        """Protect a VM from being deleted, or no longer.

        Raises NotFoundError, PermissionDeniedError, ConflictError (its owner's account is about to be deleted).
        """
        with self.transaction() as session:
            vm = self._lock(session, actor, vm_id)
            if protected:
                require_staying(session, actor, vm.owner_id)
            if vm.protected != protected:
                vm.protected = protected
                self._log("vm.protect" if protected else "vm.unprotect", vm, actor)

    # -- in the bin -----------------------------------------------------------------------------

    def list_binned(self, user_id: str, *, actor: Actor, before: str = "", limit: int = 50) -> list[BinnedVM]:
        """What a person can restore or purge, newest first; machines that went with their project are left out.

        ``before`` is the id of the last one seen. Three statements, four with that.
        """
        require_self(actor, user_id)
        with self.reading() as session:
            return read_binned_vms(session, self.prices(), actor, user_id=user_id, before=before, limit=limit)

    def get_binned(self, vm_id: str, *, actor: Actor) -> BinnedVM:
        """One VM in the bin. Raises NotFoundError, PermissionDeniedError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.DELETE_VM, binned=True)
            return read_binned_vms(session, self.prices(), actor, vm_id=vm_id)[0]

    def restore(self, vm_id: str, name: str, *, actor: Actor) -> VM:
        """Bring a VM back, stopped, under ``name``; its disk is paid for from now on, at today's price.

        Raises ValidationError (``name``: taken, unusable), ConflictError (not off yet, being purged, its project is
        gone), InsufficientCreditsError (the disk for a hold window), BudgetExceededError, QuotaExceededError.
        """
        with self._payer.words(actor, vm_id=vm_id), self.transaction() as session:
            vm = self._lock(session, actor, vm_id, binned=True)
            self._require_ready(vm)
            project = session.get(DbProject, vm.project_id, populate_existing=True)
            if project is None or project.deleted_at is not None:
                raise ConflictError("Its project is in the recycle bin. Restore that first.")
            require_open(session, vm.project_id)
            self._payer.require_able(session, actor, vm.owner_id)
            vm.name = _free_name(session, vm, name)
            self.require_affordable(session, [vm], actor)
            self.sets.restore(session, [vm], actor=actor)
            self._core.checkpoint("bin.restored")
            return read_vm(session, vm.id)

    def require_affordable(self, session: Session, vms: Sequence[Any], actor: Actor) -> None:
        """Give these VMs of one owner, whose wallet is locked, today's prices, and refuse what it cannot bear.

        Each is a DbVM or a row of ``RESTORE_FACTS``. The number of statements grows with their sizes, images and disks.
        """
        prices = self.prices()
        window = self._billing.hold_window
        alike: dict[tuple[str, str, int], list[Any]] = {}
        for vm in vms:
            alike.setdefault((vm.size_id, vm.image_id, vm.disk_gib), []).append(vm)
        rate = 0
        for some in alike.values():
            first = session.get_one(DbVM, some[0].id)
            self._reprice(session, first, prices)
            if len(some) > 1:
                copy_prices(session, first)
            rate += first.stopped_micro_per_hour * sum(vm.made for vm in some)
        # Disks in the bin count all the time, so these are in what is used already.
        more = sum((Amounts(1, vm.vcpus, vm.memory_mib) for vm in vms), Amounts())
        if vms:
            self._quotas.require_room(vms[0].project_id, vms[0].owner_id, more, field="name")
        kept = next((vm for vm in vms if vm.made), None)
        if kept is not None:
            wallet = ledger.lock_accounts(session, [kept.owner_id])[kept.owner_id].wallet
            needed = holds.hold_price(rate, window)
            ledger.require_funds(wallet, needed, NO_FUNDS.format(minutes=window // timedelta(minutes=1)))
            self._billing.budgets.require_room(session.get_one(DbVM, kept.id), rate, actor=actor)

    def purge(self, vm_id: str, confirm_name: str, *, actor: Actor) -> Operation:
        """Accept deleting a VM in the bin for good, now. Raises ValidationError (``confirm_name``), ConflictError."""
        with self.reading() as session:
            found = require_vm(session, actor, vm_id, ProjectAction.DELETE_VM, binned=True)
            _require_name(found.name, confirm_name)
        with self.transaction() as session:
            vm = self._lock(session, actor, vm_id, binned=True)
            if self._is_going(session, vm.id):
                raise ConflictError(f"{vm.name} is being deleted for good already.")
            return self._ask(session, vm, OperationKind.DELETE, actor, deleting_reason(vm, actor))[0]

    # -- the worker's side ----------------------------------------------------------------------

    def purge_due(self) -> int:
        """Accept deleting for good what has been in the bin long enough, each once; returns how many."""
        due = DbVM.purge_at <= self.now(), ~_DELETING
        return self._purge_all(*due)

    def clear(self, user_id: str) -> bool:
        """Have all VMs of an account deleted for good, wherever they are: its deletion was asked for and is due.

        Whether none is left; to be called until it is so.
        """
        mine = DbVM.owner_id == user_id, DbVM.state != VMState.DELETED
        self._purge_all(*mine, ~_DELETING)
        with self.reading() as session:
            return session.scalar(select(DbVM.id).where(*mine).limit(1)) is None

    def operation_binned(self, claim: Claim, *, gone: bool) -> bool:
        """The machine is off (``gone``: there is none): it waits in the bin. False when the claim was overtaken."""
        with self.transaction() as session:
            vm = self._locked(session, claim.vm_id)
            if not self._operations.finish(session, claim, OperationState.SUCCEEDED):
                return False
            self._log("vm.bin", vm, SYSTEM, {"reason": claim.reason}, operation_id=claim.operation_id)
            if vm.run_id is not None:
                vm.stopped_at = self.now()
            vm.state, vm.state_reason, vm.made = VMState.BINNED, "", not gone
            vm.run_id, vm.answered_at, vm.address, vm.reach = None, None, "", ""
            return True

    def saw_run(self, known: KnownVM) -> bool:
        """A machine in the bin was started outside of Zentry: it is powered off again. False: it changed meanwhile."""
        with self.transaction() as session:
            vm = self._locked(session, known.vm_id)
            if vm.version != known.version or self._operations.find_open(session, vm.id):
                return False
            self._log("vm.run_in_bin", vm, SYSTEM)
            self._ask(session, vm, OperationKind.BIN, SYSTEM, "bin")
            return True

    # -- inside ---------------------------------------------------------------------------------

    def _lock(self, session: Session, actor: Actor, vm_id: str, *, binned: bool = False) -> DbVM:
        """Wallet, then VM. Raises what ``require_vm`` does; ConflictError when the payer changed meanwhile."""
        right = ProjectAction.DELETE_VM
        owner_id = require_vm(session, actor, vm_id, right, binned=binned).owner_id
        self._billing.lock_wallet(owner_id)
        vm = require_vm(session, actor, vm_id, right, lock=True, binned=binned)
        require_payer(vm, owner_id)
        return vm

    def _locked(self, session: Session, vm_id: str) -> DbVM:
        owner_id = session.scalars(select(DbVM.owner_id).where(DbVM.id == vm_id)).one()
        self._billing.lock_wallet(owner_id)
        query = select(DbVM).where(DbVM.id == vm_id).with_for_update()
        vm = session.scalars(query.execution_options(populate_existing=True)).one()
        require_payer(vm, owner_id)
        return vm

    def _ask(self, session: Session, vm: DbVM, kind: OperationKind, actor: Actor, reason: str) -> tuple[Operation, str]:
        """Overtake what is under way; the operation and the event of its acceptance."""
        self._operations.cancel_open(session, vm.id)
        event_id, row = self._accept(session, vm, kind, actor, reason, {})
        return as_operation(row), event_id

    def _purge_all(self, *which: ColumnElement[bool]) -> int:
        with self.reading() as session:
            due = list(session.scalars(select(DbVM.id).where(*which).order_by(DbVM.id)))
        purged = 0
        for vm_id in due:
            with self.transaction() as session:
                vm = self._locked(session, vm_id)
                if session.scalar(select(DbVM.id).where(DbVM.id == vm_id, *which)) is None:
                    continue  # restored, or asked for by somebody else
                _, event_id = self._ask(session, vm, OperationKind.DELETE, SYSTEM, "bin")
                vm.credit_stopped_at = None
                self._billing.close_interval(vm.id, self.confirmed_end(vm), event_id=event_id)
                self._core.checkpoint("bin.purge")
            purged += 1
        return purged

    def _require_ready(self, vm: DbVM) -> None:
        if vm.state != VMState.BINNED:
            raise ConflictError(f"{vm.name} is not off yet, or is being deleted for good. Try again in a moment.")

    def _is_going(self, session: Session, vm_id: str) -> bool:
        under_way = self._operations.find_open(session, vm_id)
        return under_way is not None and under_way.kind == OperationKind.DELETE

    def prices(self) -> dict[str, Size]:
        """Every size with its price in force, by id. Two statements."""
        return {size.id: size for size in self._catalogue.list_sizes(include_inactive=True)}

    def _reprice(self, session: Session, vm: DbVM, sizes: dict[str, Size]) -> None:
        """Price changes pass over what is in the bin: it comes back at the prices in force."""
        image = self._catalogue.find_image(session, vm.image_id)
        if image is not None:
            vm.image_price_version_id = image.price_version_id
            session.flush()
        size = as_paid_by(session, vm.id, [sizes[vm.size_id]])[0]
        vm.price_version_id = size.price_version_id
        vm.running_micro_per_hour = size.running_micro_per_hour
        vm.stopped_micro_per_hour = size.disk_micro_per_gib_hour * vm.disk_gib

    def _log(
        self,
        action: str,
        vm: DbVM,
        actor: Actor,
        details: dict[str, str] | None = None,
        *,
        operation_id: str | None = None,
    ) -> str:
        return self.log_audit_event(
            actor.id, action, "vm", vm.id, details or {}, actor=actor, outcome=Outcome.SUCCEEDED,
            owner_id=vm.owner_id, project_id=vm.project_id, vm_id=vm.id, operation_id=operation_id,
        )  # fmt: skip


def require_unprotected(vm: DbVM) -> None:
    """Raise ConflictError for a VM under delete protection."""
    if vm.protected:
        raise ConflictError(PROTECTED.format(name=vm.name))


def _require_name(name: str, typed: str) -> None:
    if typed.strip().lower() != name:
        raise ValidationError(
            "The name does not match.", details={"confirm_name": f"Type “{name}” to delete this machine."}
        )


def _free_name(session: Session, vm: DbVM, name: str) -> str:
    name = name.strip().lower()
    problem = ""
    if not NAME_PATTERN.fullmatch(name):
        problem = "Use 1 to 63 letters, digits and hyphens, beginning and ending with a letter or digit."
    taken = select(DbVM.id).where(DbVM.project_id == vm.project_id, DbVM.name == name, DbVM.deleted_at.is_(None))
    if not problem and session.scalar(taken) is not None:
        problem = f"Meanwhile this project has another machine named “{name}”. Choose a new name."
    if problem:
        raise ValidationError(problem, details={"name": problem})
    return name
