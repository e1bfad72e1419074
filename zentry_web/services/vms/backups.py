"""Backups of machines: making and deleting them, as they are asked for (ADR 0041).

worker/operations/backups.py and worker/backups.py do it, backup_records.py writes down what came of it; restoring one
is in recovering.py.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.storage import StoredKind
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.monitoring import BackupRoom
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.stored_texts import said
from zentry_web.domain.text import clean_name, clean_text
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.backup import MOST_BACKUPS, MOST_NAME, MOST_NOTE, Backup, BackupState
from zentry_web.domain.vms.launch_source import SourceKind
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, Operation, OperationKind
from zentry_web.domain.vms.proof import Proof, ProofOutcome
from zentry_web.domain.vms.state import VMState, state_words
from zentry_web.domain.vms.vm import VM
from zentry_web.models import DbBackup, DbImage, DbSize, DbStored, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_open, require_vm
from zentry_web.services.shared.fields import Fields
from zentry_web.services.vms import storing
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.launch_sources import list_being_launched
from zentry_web.services.vms.operations import as_operation, reason_of

_KIND = StoredKind.BACKUP


class VMBackups(BaseService):
    """A part of VMService. Making and deleting them needs the right to change a machine's size."""

    name = "vm_backups"
    kind, operation, table, ready = _KIND, OperationKind.BACKUP, DbBackup, BackupState.READY

    def __init__(self, core: Core, basis: VMBasis) -> None:
        super().__init__(core)
        self._basis, self._billing, self._monitoring = basis, basis.billing, basis.monitoring
        self._payer, self._operations = basis.payer, basis.operations

    # -- looking --------------------------------------------------------------------------------

    def list(self, vm_id: str, *, actor: Actor) -> list[Backup]:
        """Those of a machine, the newest first. Raises NotFoundError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.VIEW)
            return read_backups(session, vm_id)[::-1]

    def get(self, vm_id: str, backup_id: str, *, actor: Actor, action: ProjectAction = ProjectAction.RESIZE) -> Backup:
        """One, for who may delete it (or ``action``). Raises NotFoundError, PermissionDeniedError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, action)
            return find_backup(session, vm_id, backup_id)

    def price(self, vm: VM) -> tuple[int, int]:
        """The most GiB that a backup made now would have, and what those cost per hour. One statement."""
        return storing.price_of(self._billing, _KIND, storing.disk_bytes(vm.disk_gib))

    def find_place(self) -> BackupRoom:
        """The place for backups as the worker last saw it."""
        return self._monitoring.processes.get_compute().backups or BackupRoom("")

    # -- asking ---------------------------------------------------------------------------------

    def take(self, vm_id: str, data: Mapping[str, object], *, actor: Actor, is_scheduled: bool = False) -> Operation:
        """Accept a backup (``name``, ``note``) of a machine that runs or is stopped.

        Raises ValidationError, ConflictError (the state, too many, there is no place for them), QuotaExceededError,
        BudgetExceededError, InsufficientCreditsError (for a hold window, at the most that it can take up),
        NotFoundError, PermissionDeniedError.
        """
        fields = Fields(data)
        name = fields.take("name", partial(clean_name, longest=MOST_NAME), "")
        note = fields.take("note", partial(clean_text, longest=MOST_NOTE), "")
        fields.check()
        with self._payer.words(actor, vm_id=vm_id), self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.RESIZE)
            self._require_state(session, vm)
            require_open(session, vm.project_id)
            if trouble := self.find_place().trouble:
                raise ConflictError(said(trouble))
            self._payer.require_able(session, actor, vm.owner_id)
            self._require_room(session, vm, actor)
            row = DbBackup(
                id=self.new_id("bak"),
                vm_id=vm.id,
                name=name,
                note=note,
                state=BackupState.MAKING,
                error="",
                is_scheduled=is_scheduled,
                size_name=session.scalars(select(DbSize.name).where(DbSize.id == vm.size_id)).one(),
                image_id=vm.image_id,
                image_version_id=vm.image_version_id,
                image_price_version_id=vm.image_price_version_id,
                disk_gib=vm.disk_gib,
                was_on=vm.run_id is not None,
                is_frozen=False,
                size_bytes=0,
                sha256="",
                created_by=actor.id,
                created_at=self.now(),
            )
            session.add(row)
            session.flush()
            reason = "owner" if actor is SYSTEM else reason_of(vm, actor)
            details = {"backup": row.id}
            accepted = self._operations.accept(session, vm, OperationKind.BACKUP, reason, details, actor=actor)
            return as_operation(accepted[1])

    def delete(self, vm_id: str, thing_id: str, *, actor: Actor) -> None:
        """Have one removed; nobody pays for it from now on. What the machine does goes on.

        Raises ConflictError (it is being made, restored, or launched from), NotFoundError, PermissionDeniedError.
        """
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.RESIZE)
            row = session.get(DbBackup, thing_id)
            if row is None or row.vm_id != vm_id or row.state == BackupState.DELETING:
                raise NotFoundError(no_such_backup())
            under_way = self._operations.find_open(session, vm.id)
            if row.state == BackupState.MAKING or (under_way and under_way.details.get("backup") == row.id):
                raise ConflictError(_("This backup is needed by what is under way with the machine."))
            if row.id in list_being_launched(session, SourceKind.BACKUP):
                raise ConflictError(_("A machine is being made from this backup. Wait until that is done."))
            event_id = self.audit("vm.backup_delete", Subject.vm(vm), actor=actor)
            remove(session, self._billing, [row], event_id)

    # -- by schedule ----------------------------------------------------------------------------

    def read(self, session: Session, vm_id: str) -> Sequence[Backup]:
        """All of a machine."""
        return read_backups(session, vm_id)

    # -- inside ---------------------------------------------------------------------------------

    def _require_state(self, session: Session, vm: DbVM) -> None:
        state = VMState(vm.state)
        if OperationKind.BACKUP not in ALLOWED_ACTIONS[state] or self._operations.find_open(session, vm.id) is not None:
            words = state_words(state)
            raise ConflictError(_("%(name)s is %(state)s: it cannot be backed up now.", name=vm.name, state=words))

    def _require_room(self, session: Session, vm: DbVM, actor: Actor) -> None:
        count = session.scalar(select(func.count()).select_from(DbBackup).where(DbBackup.vm_id == vm.id)) or 0
        if count >= MOST_BACKUPS:
            raise ConflictError(
                _("A machine may have %(most)s backups. Delete one that you no longer need.", most=MOST_BACKUPS)
            )
        storing.require_room(self._basis, vm, _KIND, storing.disk_bytes(vm.disk_gib), actor)


def no_such_backup() -> str:
    """Also of somebody else's."""
    return _("There is no such backup.")


def remove(session: Session, billing: BillingService, rows: Sequence[DbBackup], event_id: str) -> None:
    """These are stored no longer; the worker removes them, and then their rows. In the caller's transaction."""
    billing.storage.end(session, [row.id for row in rows], event_id)
    for row in rows:
        row.state = BackupState.DELETING


def find_backup(session: Session, vm_id: str, backup_id: str) -> Backup:
    """One of that machine's. Raises NotFoundError."""
    found = next((each for each in read_backups(session, vm_id) if each.id == backup_id), None)
    if found is None:
        raise NotFoundError(no_such_backup())
    return found


def read_backups(session: Session, vm_id: str) -> list[Backup]:
    """The backups of a machine, the oldest first; not those that are being removed. One statement."""
    query = (
        select(DbBackup, DbStored, DbImage.name)
        .outerjoin(DbStored, DbStored.id == DbBackup.id)
        .outerjoin(DbImage, DbImage.id == DbBackup.image_id)
        .where(DbBackup.vm_id == vm_id, DbBackup.state != BackupState.DELETING)
        .order_by(DbBackup.id)
    )
    return [_as_backup(*row) for row in session.execute(query)]


def _as_backup(row: DbBackup, stored: DbStored | None, image_name: str | None) -> Backup:
    return Backup(
        id=row.id,
        vm_id=row.vm_id,
        name=row.name,
        note=row.note,
        state=BackupState(row.state),
        error=row.error,
        is_scheduled=row.is_scheduled,
        size_name=row.size_name,
        image_id=row.image_id,
        image_name=image_name or "",
        disk_gib=row.disk_gib,
        was_on=row.was_on,
        is_frozen=row.is_frozen,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        created_at=row.created_at,
        made_at=row.made_at,
        gib=stored.gib if stored else None,
        rate_micro_per_hour=stored.rate_micro_per_hour if stored else None,
        kept_until=stored.kept_until if stored else None,
        is_being_proved=row.proof_asked_at is not None,
        proof=_as_proof(row),
    )


def _as_proof(row: DbBackup) -> Proof | None:
    if row.proved_at is None:
        return None
    return Proof(ProofOutcome(row.proof), row.proved_at, row.proof_seconds, row.proof_text)
