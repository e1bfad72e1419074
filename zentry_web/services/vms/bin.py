"""The recycle bin of VMs (ADR 0019): deleting puts a machine into it, off and off the bill, with its disk kept.

``deleted_at`` is set with the click, so that a machine in the bin is in no list and no count and its name is free;
``purge_at`` says that it is in the bin and until when. Both are empty again after a restore.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, lazy
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.projects.quota import Amounts
from zentry_web.domain.query_language import EVERYTHING, ListSearch
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.bin import BinnedVM, BinSort, DeletedVM
from zentry_web.domain.vms.catalogue import Size
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, Operation, OperationKind
from zentry_web.domain.vms.plan import Facts, deletion_facts
from zentry_web.domain.vms.state import VMState, state_words
from zentry_web.domain.vms.vm import NAME_PATTERN, NAME_RULE, VM, KnownVM, Rates
from zentry_web.models import DbProject, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, ValidationError
from zentry_web.services.shared.access import require_open, require_self, require_staying, require_vm
from zentry_web.services.shared.bin_search import binned_conditions
from zentry_web.services.shared.rounds import each_alone
from zentry_web.services.shared.undo_book import UndoBook
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.bin_queries import IS_GOING, of_deleter, read_binned_vms, read_deleted_vm
from zentry_web.services.vms.bin_sets import VMBinSets, confirmed_end, copy_prices, was_made, went_with
from zentry_web.services.vms.operations import as_operation, reason_of
from zentry_web.services.vms.payer import require_shown
from zentry_web.services.vms.planning import require_plan
from zentry_web.services.vms.queries import is_name_taken, read_vm
from zentry_web.services.vms.sizes import as_paid_by

PROTECTED = lazy("%(name)s is protected from deletion and rebuild. Switch its protection off first.")


class VMBin(BaseService):
    """Deleting, restoring and purging; a part of VMService. Kept for 0 days, what is deleted is gone."""

    name = "vm_bin"

    def __init__(self, core: Core, basis: VMBasis) -> None:
        super().__init__(core)
        self._billing, self._monitoring, self._operations = basis.billing, basis.monitoring, basis.operations
        self._catalogue, self._payer, self._quotas = basis.catalogue, basis.payer, basis.quotas
        self.sets, self._undo = VMBinSets(core, basis), UndoBook(core)

    @property
    def keeps_for(self) -> timedelta:
        """How long what is deleted now will be kept."""
        return self._billing.settings.days(SettingKey.BIN_DAYS)

    # -- deleting -------------------------------------------------------------------------------

    def delete(
        self, vm_id: str, confirm_name: str, *, actor: Actor, together: str | None = "", plan: Facts | None = None
    ) -> Operation:
        """See VMService.delete_vm. Into the bin it can be undone (``together``: see UndoBook.keep). ``plan``: what was
        shown (``deletion_facts``); when something else is true nothing is done (PlanChangedError)."""
        with self.reading() as session:
            require_name(require_vm(session, actor, vm_id, ProjectAction.DELETE_VM).name, confirm_name)
        with self.transaction() as session:
            vm = self._lock(session, actor, vm_id)
            state = VMState(vm.state)
            if OperationKind.DELETE not in ALLOWED_ACTIONS[state]:
                raise ConflictError(
                    _("%(name)s is %(state)s: it cannot be deleted now.", name=vm.name, state=state_words(state))
                )
            require_unprotected(vm)
            if plan is not None:
                seen = read_vm(session, vm.id)
                require_plan(plan, deletion_facts(seen, self.days_kept(seen)))
            kept = self.keeps_for
            kind = OperationKind.BIN if kept and was_made(vm) else OperationKind.DELETE
            was = {"name": vm.name, "ran": vm.run_id is not None, "stopped": vm.stopped_micro_per_hour}
            operation, event_id = self._ask(session, vm, kind, actor, reason_of(vm, actor))
            vm.credit_stopped_at = None
            # not when the disk is gone
            self._billing.close_interval(vm.id, self._confirmed_end(vm), event_id=event_id, deleted=True)
            if kind == OperationKind.BIN:
                vm.deleted_at, vm.deleted_by = self.now(), actor.id
                vm.purge_at, vm.disk_until = self.now() + kept, None
                was["operation"] = operation.id
                self._undo.keep("vm.bin", vm.id, event_id, was, actor=actor, together=together)
            return operation

    def _confirmed_end(self, vm: DbVM) -> datetime:
        """Now, or when it was deleted; or, while the hypervisor does not answer, or does not bear out that this VM
        runs, the last moment that it confirmed."""
        return confirmed_end(vm, self._monitoring.get_compute_status(), self.now())

    def days_kept(self, vm: VM) -> int:
        """For how many days deleting this VM would keep it."""
        never_ran = vm.started_at is None and vm.state in (VMState.CREATING, VMState.ERROR)
        return 0 if never_ran else self.keeps_for.days

    def set_protection(self, vm_id: str, protected: bool, *, actor: Actor, together: str | None = "") -> None:
        """Protect a VM from being deleted, or no longer. It can be undone (``together``: see UndoBook.keep).

        Raises NotFoundError, PermissionDeniedError, ConflictError (its owner's account is about to be deleted).
        """
        with self.transaction() as session:
            vm = self._lock(session, actor, vm_id)
            if protected:
                require_staying(session, actor, vm.owner_id)
            if vm.protected != protected:
                vm.protected = protected
                action = "vm.protect" if protected else "vm.unprotect"
                event_id = self.audit(action, Subject.vm(vm), actor=actor)
                self._undo.keep(action, vm.id, event_id, {}, actor=actor, together=together)

    # -- in the bin -----------------------------------------------------------------------------

    def list_binned(
        self,
        user_id: str,
        *,
        actor: Actor,
        search: ListSearch = EVERYTHING,
        before: str = "",
        limit: int = 50,
        sort: BinSort = BinSort.LATEST,
    ) -> list[BinnedVM]:
        """What a person can restore or purge and fits; machines that went with their project are left out.

        ``before`` is the id of the last one seen. Three statements, four with that.
        """
        require_self(actor, user_id)
        with self.reading() as session:
            which = and_(of_deleter(user_id), *binned_conditions(search, DbVM))
            return read_binned_vms(session, self.prices(), actor, which, before=before, limit=limit, sort=sort)

    def list_of_project(
        self, project_id: str, prices: dict[str, Size], *, actor: Actor, before: str, limit: int
    ) -> list[BinnedVM]:
        """The machines that went with a project, as ``list_binned``, at these ``prices``; callers have checked who
        asks. One statement, two with ``before``."""
        with self.reading() as session:
            return read_binned_vms(session, prices, actor, and_(*went_with(project_id)), before=before, limit=limit)

    def get_binned(self, vm_id: str, *, actor: Actor) -> BinnedVM:
        """One VM in the bin. Raises NotFoundError, PermissionDeniedError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.DELETE_VM, binned=True)
            return read_binned_vms(session, self.prices(), actor, DbVM.id == vm_id)[0]

    def find_deleted(self, vm_id: str, *, actor: Actor) -> DeletedVM | None:
        """What became of a deleted VM, for who belongs to its project; None for everybody else."""
        with self.reading() as session:
            return read_deleted_vm(session, actor, vm_id)

    def restore(self, vm_id: str, name: str, *, actor: Actor, shown: Rates | None = None) -> VM:
        """Bring a VM back, stopped, under ``name``; its disk is paid for from now on, at today's price. At another
        price than was ``shown`` nothing is done (PriceChangedError).

        Raises ValidationError (``name``: taken, unusable), ConflictError (not off yet, being purged, its project is
        gone), InsufficientCreditsError (the disk for a hold window), BudgetExceededError, QuotaExceededError.
        """
        with self._payer.words(actor, vm_id=vm_id), self.transaction() as session:
            vm = self._lock(session, actor, vm_id, binned=True)
            self._require_ready(vm)
            project = session.get(DbProject, vm.project_id, populate_existing=True)
            if project is None or project.deleted_at is not None:
                raise ConflictError(_("Its project is in the recycle bin. Restore that first."))
            require_open(session, vm.project_id)
            self._payer.require_able(session, actor, vm.owner_id)
            vm.name = free_name(session, vm, name)
            self.require_affordable(session, [vm], actor, shown)
            self.sets.restore(session, [vm], actor=actor)
            self._core.checkpoint("bin.restored")
            return read_vm(session, vm.id)

    def require_affordable(
        self, session: Session, vms: Sequence[Any], actor: Actor, shown: Rates | None = None
    ) -> None:
        """Give these VMs of one owner, whose wallet is locked, today's prices, and refuse what it cannot bear.

        Each is a DbVM or one of ``sets.lock_gone``. The number of statements grows with their sizes, images and disks.
        """
        prices = self.prices()
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
        require_shown(
            shown,
            Rates(stopped=rate),
            _("It would come back at another price than this page showed: nothing was ordered yet."),
        )
        # Disks in the bin count all the time, so these are in what is used already.
        more = sum((Amounts(1, vm.vcpus, vm.memory_mib) for vm in vms), Amounts())
        if vms:
            self._quotas.require_room(vms[0].project_id, vms[0].owner_id, more, field="name")
        kept = next((vm for vm in vms if vm.made), None)
        if kept is not None:
            self._billing.require_disk_funds(kept.owner_id, rate)
            self._billing.budgets.require_room(session.get_one(DbVM, kept.id), rate, actor=actor)

    def purge(self, vm_id: str, confirm_name: str, *, actor: Actor) -> Operation:
        """Accept deleting a VM in the bin for good, now. Raises ValidationError (``confirm_name``), ConflictError."""
        with self.reading() as session:
            found = require_vm(session, actor, vm_id, ProjectAction.DELETE_VM, binned=True)
            require_name(found.name, confirm_name)
        with self.transaction() as session:
            vm = self._lock(session, actor, vm_id, binned=True)
            if self._is_going(session, vm.id):
                raise ConflictError(_("%(name)s is being deleted for good already.", name=vm.name))
            return self._ask(session, vm, OperationKind.DELETE, actor, reason_of(vm, actor))[0]

    # -- the worker's side ----------------------------------------------------------------------

    def purge_due(self) -> int:
        """Accept deleting for good what has been in the bin long enough, each once; returns how many."""
        due = DbVM.purge_at <= self.now(), ~IS_GOING
        return self._purge_all(*due)

    def clear(self, user_id: str) -> bool:
        """Have all VMs of an account deleted for good, wherever they are: its deletion was asked for and is due.

        Whether none is left; to be called until it is so.
        """
        mine = DbVM.owner_id == user_id, DbVM.state != VMState.DELETED
        self._purge_all(*mine, ~IS_GOING)
        with self.reading() as session:
            return session.scalar(select(DbVM.id).where(*mine).limit(1)) is None

    def saw_run(self, known: KnownVM) -> bool:
        """A machine in the bin was started outside of Zentry: it is powered off again. False: it changed meanwhile."""
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm_row(session, known.vm_id)
            if vm.version != known.version or self._operations.find_open(session, vm.id):
                return False
            self.audit("vm.run_in_bin", Subject.vm(vm))
            self._ask(session, vm, OperationKind.BIN, SYSTEM, "bin")
            return True

    # -- inside ---------------------------------------------------------------------------------

    def _lock(self, session: Session, actor: Actor, vm_id: str, *, binned: bool = False) -> DbVM:
        return self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.DELETE_VM, binned=binned)

    def _ask(self, session: Session, vm: DbVM, kind: OperationKind, actor: Actor, reason: str) -> tuple[Operation, str]:
        """Overtake what is under way; the operation and the event of its acceptance."""
        self._operations.cancel_open(session, vm.id)
        event_id, row = self._operations.accept(session, vm, kind, reason, actor=actor)
        return as_operation(row), event_id

    def _purge_all(self, *which: ColumnElement[bool]) -> int:
        with self.reading() as session:
            due = list(session.scalars(select(DbVM.id).where(*which).order_by(DbVM.id)))
        return sum(each_alone("purge", due, lambda vm_id: self._purge(vm_id, *which)))

    def _purge(self, vm_id: str, *which: ColumnElement[bool]) -> bool:
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm_row(session, vm_id)
            if session.scalar(select(DbVM.id).where(DbVM.id == vm_id, *which)) is None:
                return False  # restored, or asked for by somebody else
            _, event_id = self._ask(session, vm, OperationKind.DELETE, SYSTEM, "bin")
            vm.credit_stopped_at = None
            self._billing.close_interval(vm.id, self._confirmed_end(vm), event_id=event_id, deleted=True)
            self._core.checkpoint("bin.purge")
            return True

    def _require_ready(self, vm: DbVM) -> None:
        if vm.state != VMState.BINNED:
            raise ConflictError(
                _("%(name)s is not off yet, or is being deleted for good. Try again in a moment.", name=vm.name)
            )

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


def require_unprotected(vm: DbVM) -> None:
    """Raise ConflictError for a VM that is protected from deletion and rebuild."""
    if vm.protected:
        raise ConflictError(PROTECTED % {"name": vm.name})


def require_name(name: str, typed: str) -> None:
    """Raise ValidationError (``confirm_name``) unless a machine's name was typed."""
    if typed.strip().lower() != name:
        raise ValidationError(
            _("The name does not match."),
            details={"confirm_name": _("Type “%(name)s” to confirm.", name=name)},
        )


def free_name(session: Session, vm: DbVM, name: str) -> str:
    """``name`` as this VM, which comes into its project, may have it. Raises ValidationError (``name``)."""
    name = name.strip().lower()
    problem = ""
    if not NAME_PATTERN.fullmatch(name):
        problem = NAME_RULE
    elif is_name_taken(session, vm.project_id, name):
        problem = _("Meanwhile this project has another machine named “%(name)s”. Choose a new name.", name=name)
    if problem:
        raise ValidationError(problem, details={"name": problem})
    return name
