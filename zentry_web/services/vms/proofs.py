"""Having backups proved: asked for, called off, and what came of it (ADR 0045). worker/proofs.py does it."""

from sqlalchemy import select

from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, later
from zentry_web.domain.notice_texts import say
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.stored_texts import said
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.backup import BackupState
from zentry_web.domain.vms.proof import LEAST_MEMORY_MIB, MOST_TEXT, Proof, ProofOutcome, WantedProof
from zentry_web.models import DbBackup, DbImage, DbImageVersion
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError
from zentry_web.services.shared.access import require_open
from zentry_web.services.vms.backups import VMBackups, find_backup
from zentry_web.services.vms.basis import VMBasis


class VMProofs(BaseService):
    """A part of VMService. It takes the right to make backups; nothing is paid for a proof, and no quota knows it."""

    name = "vm_proofs"

    def __init__(self, core: Core, basis: VMBasis, backups: VMBackups) -> None:
        super().__init__(core)
        self._billing, self._backups = basis.billing, backups

    def request(self, vm_id: str, backup_id: str, *, actor: Actor) -> None:
        """Have a backup booted, once those that were asked for before are done. Its machine has no part in that.

        Raises ConflictError (not ready, asked for already, no place for backups), NotFoundError, PermissionDeniedError.
        """
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.RESIZE)
            require_open(session, vm.project_id)
            backup = find_backup(session, vm_id, backup_id)
            if not backup.is_ready:
                raise ConflictError(_("This backup is not ready."))
            if backup.is_being_proved:
                raise ConflictError(_("This backup is being proved already."))
            if trouble := self._backups.find_place().trouble:
                raise ConflictError(said(trouble))
            session.get_one(DbBackup, backup_id).proof_asked_at = self.now()
            self.audit("vm.backup_prove", Subject.vm(vm), actor=actor)
            self.after_commit(self._core.bell.ring)

    def abort(self, vm_id: str, backup_id: str, *, actor: Actor) -> None:
        """Call it off; the worker removes what there is of it. Success if it is over.

        Raises NotFoundError, PermissionDeniedError.
        """
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.RESIZE)
            if find_backup(session, vm_id, backup_id).is_being_proved:
                _write(session.get_one(DbBackup, backup_id), Proof(ProofOutcome.ABORTED, self.now(), 0, ""))
                self.audit("vm.backup_proof_abort", Subject.vm(vm), actor=actor)
                self.after_commit(self._core.bell.ring)

    # -- the worker's side ----------------------------------------------------------------------

    def find_wanted(self) -> WantedProof | None:
        """The one whose turn it is: who has waited longest."""
        query = (
            select(DbBackup, DbImage, DbImageVersion.driver_name)
            .join(DbImage, DbImage.id == DbBackup.image_id)
            .outerjoin(DbImageVersion, DbImageVersion.id == DbBackup.image_version_id)
            .where(DbBackup.proof_asked_at.is_not(None), DbBackup.state == BackupState.READY)
            .order_by(DbBackup.proof_asked_at, DbBackup.id)
            .limit(1)
        )
        with self.reading() as session:
            found = session.execute(query).one_or_none()
        if found is None or (asked_at := found[0].proof_asked_at) is None:
            return None
        row, image, driver_name = found
        memory = max(LEAST_MEMORY_MIB, image.min_memory_mib)
        return WantedProof(row.id, row.vm_id, asked_at, driver_name or image.driver_name, memory)

    def record(self, wanted: WantedProof, outcome: ProofOutcome, seconds: float = 0, text: str = "") -> None:
        """What came of it; the owner is told of one that did not boot. Nothing is written of one that was called off
        meanwhile, or asked for anew."""
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm_row(session, wanted.vm_id)
            row = session.get(DbBackup, wanted.backup_id)
            if row is None or row.state != BackupState.READY or row.proof_asked_at != wanted.asked_at:
                return
            proof = Proof(outcome, self.now(), round(seconds), text)
            _write(row, proof)
            booted = outcome == ProofOutcome.BOOTED
            self.audit("vm.backup_booted" if booted else "vm.backup_unproved", Subject.vm(vm))
            if not booted:
                words = say("unproved", backup=row.name, vm=vm.name, why=later(lambda: proof.words))
                key, target = f"{row.id} {wanted.asked_at.isoformat()}", Target(Place.BACKUPS, vm.id)
                self._billing.notices.tell(vm.owner_id, "failed", key, *words, target=target)


def _write(row: DbBackup, proof: Proof) -> None:
    row.proof_asked_at, row.proved_at = None, proof.at
    row.proof, row.proof_seconds, row.proof_text = proof.outcome, proof.seconds, proof.text[-MOST_TEXT:]
