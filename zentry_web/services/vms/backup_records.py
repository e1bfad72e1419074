"""Recording what came of backups. Every method is one short transaction; False: the claim was overtaken."""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from zentry_web.adapters.compute.backups import BackupProgress
from zentry_web.domain.credits.storage import NewStored, StoredKind
from zentry_web.domain.language import kept
from zentry_web.domain.vms.backup import BackupLeft, BackupState
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.launch_source import SourceKind
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES
from zentry_web.models import DbBackup, DbOperation, DbVM
from zentry_web.services.vms.backups import remove
from zentry_web.services.vms.launch_sources import list_being_launched
from zentry_web.services.vms.runs import Runs, as_before

OVERTAKEN = kept("Something else was ordered before it was whole.")


class BackupRecords(Runs):
    """Used by the worker."""

    name = "backup_records"

    def made(self, claim: Claim, found: BackupProgress) -> bool:
        """It is whole: from now on it is paid for. Why those before it came to nothing need not be known any more."""

        def record(session: Session, vm: DbVM, event_id: str) -> None:
            row = session.get_one(DbBackup, _id(claim))
            row.state, row.made_at, row.is_frozen = BackupState.READY, self.now(), found.frozen
            row.size_bytes, row.sha256 = found.size_bytes, found.sha256
            thing = NewStored(row.id, StoredKind.BACKUP, vm.id, vm.owner_id, vm.project_id, row.name, found.size_bytes)
            self._billing.storage.begin(session, thing, event_id)
            session.execute(delete(DbBackup).where(DbBackup.vm_id == vm.id, DbBackup.state == BackupState.FAILED))
            as_before(vm)

        return self.end(claim, record)

    def failed(self, session: Session, claim: Claim, reason: str, *, removed: bool) -> None:
        """One that failed says why; of one that was aborted nothing is left. In the caller's transaction. ``removed``:
        what there was of its copy is gone; else it still has to be removed."""
        row = session.get(DbBackup, _id(claim))
        if row is None or row.state != BackupState.MAKING:
            return
        row.error = reason
        if claim.aborted_by and removed:
            session.delete(row)
        elif claim.aborted_by:
            row.state = BackupState.DELETING
        elif removed:
            row.state = BackupState.FAILED

    def list_left(self) -> list[BackupLeft]:
        """Backups whose copies are to be removed: deleted ones, and those that something else has overtaken. One that a
        machine is being launched from waits until that is done."""
        is_open = (
            select(DbOperation.id)
            .where(DbOperation.vm_id == DbBackup.vm_id, DbOperation.state.in_(OPEN_OPERATION_STATES))
            .where(DbOperation.kind == "backup")
            .exists()
        )
        half = (DbBackup.state == BackupState.MAKING) & ~is_open
        query = select(DbBackup).where((DbBackup.state == BackupState.DELETING) | half).order_by(DbBackup.id)
        with self.reading() as session:
            left = [BackupLeft(row.id, row.vm_id, row.state == BackupState.MAKING) for row in session.scalars(query)]
            needed = list_being_launched(session, SourceKind.BACKUP) if left else set()
            return [each for each in left if each.id not in needed]

    def removed(self, left: BackupLeft) -> None:
        """Its copy is gone. Of one that was never whole the reason stays, unless its machine is gone as well."""
        with self.locked(left.vm_id) as (session, vm):
            row = session.get(DbBackup, left.id)
            if row is None:
                return
            if left.is_half and vm.deleted_at is None:
                row.state, row.error = BackupState.FAILED, row.error or OVERTAKEN
            else:
                session.delete(row)

    def drop_all(self, session: Session, vm: DbVM, event_id: str) -> None:
        """The machine is gone for good: its backups go, too; in the caller's transaction."""
        rows = session.scalars(select(DbBackup).where(DbBackup.vm_id == vm.id)).all()
        remove(session, self._billing, rows, event_id)


def _id(claim: Claim) -> str:
    return str(claim.details["backup"])
