"""Giving a machine the disk of one of its backups (ADR 0041). The worker does it (worker/operations/backups.py)."""

from sqlalchemy.orm import Session

from zentry_web.domain.language import _
from zentry_web.domain.monitoring import BackupRoom
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.stored_texts import said
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.backup import Backup, recovered, recovery_facts
from zentry_web.domain.vms.operation import Operation, OperationKind
from zentry_web.domain.vms.plan import Facts
from zentry_web.domain.vms.state import state_words
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbBackup, DbDiskAside, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError
from zentry_web.services.shared.access import require_open, require_staying, require_vm
from zentry_web.services.shared.undo_book import UndoBook
from zentry_web.services.vms import asides
from zentry_web.services.vms.backups import find_backup
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.bin import require_name, require_unprotected
from zentry_web.services.vms.operations import as_operation, reason_of
from zentry_web.services.vms.planning import require_plan
from zentry_web.services.vms.queries import read_vm
from zentry_web.services.vms.rebuilding import VMRebuilding
from zentry_web.services.vms.snapshots import count_snapshots


class VMRecovering(BaseService):
    """A part of VMService. It takes the right to delete, for the disk is lost as it is then."""

    name = "vm_recovering"

    def __init__(self, core: Core, basis: VMBasis, rebuilding: VMRebuilding) -> None:
        super().__init__(core)
        self._billing, self._operations, self._catalogue = basis.billing, basis.operations, basis.catalogue
        self._payer, self._monitoring, self._rebuilding = basis.payer, basis.monitoring, rebuilding

    def get(self, vm_id: str, backup_id: str, *, actor: Actor) -> tuple[Backup, VM]:
        """A backup of the machine's, and what that would be with its disk. Raises NotFoundError,
        PermissionDeniedError."""
        with self.reading() as session:
            vm = require_vm(session, actor, vm_id, ProjectAction.DELETE_VM)
            backup = find_backup(session, vm_id, backup_id)
            row = session.get_one(DbBackup, backup_id)
            return backup, recovered(read_vm(session, vm_id), backup, self._running_price(session, vm, row))

    def problem(self, vm: VM, backup: Backup) -> str:
        """Why the machine cannot get that disk now, in words; '' when it can. One statement."""
        if not vm.may(OperationKind.RECOVER):
            state = state_words(vm.state)
            return _("%(name)s is %(state)s: it cannot be restored now.", name=vm.name, state=state)
        if not backup.is_ready:
            return _("This backup is not ready.")
        if trouble := (self._monitoring.processes.get_compute().backups or BackupRoom("")).trouble:
            return str(said(trouble))
        if vm.rescued_at is not None:
            return _("%(name)s is in rescue. Leave that first.", name=vm.name)
        with self.reading() as session:
            if count_snapshots(session, vm.id):
                return _("%(name)s has snapshots, which lie on its disk of now. Delete them first.", name=vm.name)
        return ""

    def request(
        self, vm_id: str, backup_id: str, confirm_name: str, *, actor: Actor, plan: Facts | None = None
    ) -> Operation:
        """Accept a restore in place: one that runs is stopped for it and started again. The disk that it has is kept
        aside for an hour.

        Raises ValidationError (``confirm_name``), ConflictError (the state, its protection, snapshots, a backup that is
        not ready), NotFoundError, PermissionDeniedError, InsufficientCreditsError, BudgetExceededError,
        PlanChangedError (another ``plan`` was shown).
        """
        with self._payer.words(actor, vm_id=vm_id), self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.DELETE_VM)
            require_name(vm.name, confirm_name)
            require_open(session, vm.project_id)
            require_unprotected(vm)
            require_staying(session, actor, vm.owner_id)
            seen, backup = read_vm(session, vm_id), find_backup(session, vm.id, backup_id)
            if problem := self.problem(seen, backup):
                raise ConflictError(problem)
            row = session.get_one(DbBackup, backup_id)
            becomes = recovered(seen, backup, self._running_price(session, vm, row))
            require_plan(plan, recovery_facts(seen, backup, becomes))
            self._rebuilding.require_funds(session, vm, becomes.rates, actor)
            return self._accept(session, vm, row, actor)

    def _accept(self, session: Session, vm: DbVM, row: DbBackup, actor: Actor) -> Operation:
        vm.credit_stopped_at = None  # its owner has decided since
        details = {"backup": row.id, "run_id": vm.run_id}
        kind, reason = OperationKind.RECOVER, reason_of(vm, actor)
        event_id, operation = self._operations.accept(session, vm, kind, reason, details, actor=actor)
        UndoBook(self._core).keep("vm.recover", vm.id, event_id, {"operation": operation.id}, actor=actor)
        session.add(
            DbDiskAside(
                operation_id=operation.id,
                vm_id=vm.id,
                image_id=row.image_id,
                image_version_id=row.image_version_id,
                image_price_version_id=self._price(session, vm, row),
                ssh_key=vm.ssh_key,
                user_data=vm.user_data,
            )
        )
        return as_operation(operation)

    def _running_price(self, session: Session, vm: DbVM, row: DbBackup) -> int:
        return asides.running_price(session, vm, self._price(session, vm, row))

    def _price(self, session: Session, vm: DbVM, row: DbBackup) -> str | None:
        """The version of the price of the backup's image: the machine's own, or that of today."""
        if row.image_id == vm.image_id:
            return vm.image_price_version_id
        image = self._catalogue.find_image(session, row.image_id)
        return image.price_version_id if image else row.image_price_version_id
