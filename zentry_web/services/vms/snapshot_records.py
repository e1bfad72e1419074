"""Recording what came of snapshots. Every method is one short transaction; False: the claim was overtaken."""

from datetime import datetime

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.compute.base import Machine
from zentry_web.adapters.compute.snapshots import MachineSnapshot
from zentry_web.domain.credits.storage import NewStored, StoredKind
from zentry_web.domain.event import Subject
from zentry_web.domain.language import kept
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES, OperationKind
from zentry_web.domain.vms.snapshot import SnapshotState
from zentry_web.models import DbOperation, DbRevertAside, DbSnapshot, DbVM
from zentry_web.services.vms import reverts
from zentry_web.services.vms.runs import Runs, as_before

REVERTED_OFF = kept("It was reverted to a snapshot of it while it was stopped.")


class SnapshotRecords(Runs):
    """Used by the worker."""

    name = "snapshot_records"

    def made(self, claim: Claim, found: MachineSnapshot) -> bool:
        """It is there: from now on it is paid for."""

        def record(session: Session, vm: DbVM, event_id: str) -> None:
            row = session.get_one(DbSnapshot, _id(claim))
            row.state, row.has_memory = SnapshotState.READY, found.has_memory
            size = found.size_bytes or 0
            thing = NewStored(row.id, StoredKind.SNAPSHOT, vm.id, vm.owner_id, vm.project_id, row.name, size)
            self._billing.storage.begin(session, thing, event_id)
            vm.snapshot_id = row.id
            as_before(vm)

        return self.end(claim, record)

    def reverted(self, claim: Claim, machine: Machine, at: datetime) -> bool:
        """The machine is what it was then, or before it was reverted: on in another run, or off since ``at``."""

        is_back = claim.kind == OperationKind.UNREVERT

        def record(session: Session, vm: DbVM, event_id: str) -> None:
            was_on = vm.run_id is not None
            if machine.is_on:
                self.run_begins(vm, machine, self.now(), event_id, has_minimum=not (was_on or is_back))
            elif was_on:
                self.run_ends(vm, at, event_id, REVERTED_OFF)
            else:
                self._billing.release_hold(vm.id)
                as_before(vm)
            if is_back:
                vm.snapshot_id = session.get_one(DbRevertAside, claim.details["aside"]).snapshot_id
                reverts.let_go(session, vm.id, self.now())
            else:
                vm.snapshot_id = _id(claim)
                reverts.keep(session, claim.operation_id, self.now())

        return self.end(claim, record)

    def forgotten(self, claim: Claim) -> bool:
        """It is gone: nobody pays for it any more, and what stood on it stands on what that stood on."""

        def record(session: Session, vm: DbVM, event_id: str) -> None:
            self._drop(session, vm, _id(claim), event_id)
            as_before(vm)

        return self.end(claim, record)

    def never_made(self, claim: Claim) -> None:
        """A snapshot that failed leaves nothing."""
        with self.locked(claim.vm_id) as (session, _vm):
            session.execute(delete(DbSnapshot).where(DbSnapshot.id == _id(claim), DbSnapshot.state == "making"))

    def still_there(self, claim: Claim) -> None:
        """It could not be deleted."""
        with self.locked(claim.vm_id) as (session, _vm):
            mine = update(DbSnapshot).where(DbSnapshot.id == _id(claim), DbSnapshot.state == SnapshotState.DELETING)
            session.execute(mine.values(state=SnapshotState.READY))

    def list_left(self) -> list[tuple[str, str]]:
        """Those whose operation was overtaken, or failed while the host did not answer: their machine, and their name.
        One statement."""
        busy = or_(DbOperation.state.in_(OPEN_OPERATION_STATES), DbOperation.lease_until > self.now())
        is_busy = select(DbOperation.id).where(DbOperation.vm_id == DbSnapshot.vm_id, busy).exists()
        query = select(DbSnapshot.vm_id, DbSnapshot.id).where(DbSnapshot.state != SnapshotState.READY, ~is_busy)
        with self.looking() as session:
            return [(row.vm_id, row.id) for row in session.execute(query.order_by(DbSnapshot.id))]

    def drop_left(self, vm_id: str, snapshot_id: str) -> None:
        """One of those is gone from the host."""
        with self.locked(vm_id) as (session, vm):
            row = session.get(DbSnapshot, snapshot_id)
            if row is not None and row.state != SnapshotState.READY:
                self._drop(session, vm, row.id, self.audit("vm.discard", Subject.vm(vm), {"snapshot": row.id}))

    def drop_all(self, session: Session, vm: DbVM, event_id: str) -> None:
        """The machine is gone for good, and all its snapshots with it; in the caller's transaction."""
        for snapshot_id in session.scalars(select(DbSnapshot.id).where(DbSnapshot.vm_id == vm.id)).all():
            self._drop(session, vm, snapshot_id, event_id)

    def _drop(self, session: Session, vm: DbVM, snapshot_id: str, event_id: str) -> None:
        row = session.get(DbSnapshot, snapshot_id)
        if row is None:
            return
        self._billing.storage.end(session, [row.id], event_id)
        below = update(DbSnapshot).where(DbSnapshot.parent_id == row.id)
        session.execute(below.values(parent_id=row.parent_id))
        kept = update(DbRevertAside).where(DbRevertAside.snapshot_id == row.id)
        session.execute(kept.values(snapshot_id=row.parent_id))
        if vm.snapshot_id == row.id:
            vm.snapshot_id = row.parent_id
        session.delete(row)


def _id(claim: Claim) -> str:
    return str(claim.details["snapshot"])
