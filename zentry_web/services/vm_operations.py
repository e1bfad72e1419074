"""The queue of operations on VMs: one open per VM, claimed under a lease, fenced, retried with back-off."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.user import Actor
from zentry_web.domain.vm import OPEN_OPERATION_STATES, Operation, OperationKind, OperationState
from zentry_web.models import DbOperation
from zentry_web.services.base_service import BaseService

LEASE = timedelta(seconds=30)
FIRST_RETRY = timedelta(seconds=1)
LONGEST_RETRY = timedelta(seconds=60)
PATIENCE = {  # how long an operation may be tried before it is given up
    OperationKind.CREATE: timedelta(minutes=10),
    OperationKind.START: timedelta(minutes=10),
    OperationKind.STOP: timedelta(minutes=30),
    OperationKind.FORCE_OFF: timedelta(days=30),
    OperationKind.REBOOT: timedelta(minutes=5),
    OperationKind.RESIZE: timedelta(minutes=10),
    OperationKind.BIN: timedelta(days=365),
    OperationKind.DELETE: timedelta(days=365),
}


@dataclass(frozen=True, slots=True)
class Claim:
    """An operation that a worker holds. ``attempt`` is the fence: an older claim can record nothing."""

    operation_id: str
    kind: OperationKind
    vm_id: str
    reason: str
    requested_by: str
    worker: str
    step: str  # how far an attempt before this one came
    attempt: int
    created_at: datetime
    give_up_at: datetime
    details: dict[str, Any]


class OperationQueue(BaseService):
    """Operations as rows. Called by VMService (to ask) and by the worker (to do)."""

    name = "operations"

    def enqueue(
        self,
        session: Session,
        kind: OperationKind,
        vm_id: str,
        *,
        actor: Actor,
        reason: str,
        run_at: datetime | None = None,
        details: dict[str, Any] | None = None,
    ) -> DbOperation:
        """Add an operation in the caller's transaction. A second open one for the VM breaks a unique index."""
        now = self.now()
        row = DbOperation(
            id=self.new_id("op"),
            kind=kind,
            vm_id=vm_id,
            state=OperationState.QUEUED,
            step="queued",
            reason=reason,
            requested_by=actor.id,
            details=details or {},
            run_at=run_at or now,
            give_up_at=now + PATIENCE[kind],
            attempts=0,
            error="",
            created_at=now,
        )
        session.add(row)
        session.flush()
        return row

    def enqueue_all(
        self, session: Session, kinds: Mapping[str, OperationKind], reasons: Mapping[str, str], *, actor: Actor
    ) -> dict[str, str]:
        """One operation for each of these VMs, overtaking what is under way; VM id to operation id. Two statements."""
        self.cancel_open(session, *kinds)
        now = self.now()
        ids = {vm_id: self.new_id("op") for vm_id in kinds}
        rows = [
            {
                "id": ids[vm_id],
                "kind": kind,
                "vm_id": vm_id,
                "state": OperationState.QUEUED,
                "step": "queued",
                "reason": reasons[vm_id],
                "requested_by": actor.id,
                "details": {},
                "run_at": now,
                "give_up_at": now + PATIENCE[kind],
                "attempts": 0,
                "error": "",
                "created_at": now,
            }
            for vm_id, kind in kinds.items()
        ]
        if rows:
            session.execute(insert(DbOperation), rows)
        return ids

    def find_open(self, session: Session, vm_id: str) -> DbOperation | None:
        """The VM's operation that is queued or running, if any."""
        return session.scalar(
            select(DbOperation).where(DbOperation.vm_id == vm_id, DbOperation.state.in_(OPEN_OPERATION_STATES))
        )

    def find_last(self, session: Session, vm_id: str) -> DbOperation | None:
        """The VM's newest operation, whatever its state."""
        return session.scalar(
            select(DbOperation).where(DbOperation.vm_id == vm_id).order_by(DbOperation.id.desc()).limit(1)
        )

    def cancel_open(self, session: Session, *vm_ids: str) -> None:
        """Overtake the open operations of these VMs. A lease stays until its worker lets go, so that nobody
        else touches the machine before."""
        session.execute(
            update(DbOperation)
            .where(DbOperation.vm_id.in_(vm_ids), DbOperation.state.in_(OPEN_OPERATION_STATES))
            .values(state=OperationState.CANCELLED, finished_at=self.now(), error="overtaken by a later request")
        )

    def claim(self, worker: str) -> Claim | None:
        """Take the next operation that is due (or whose lease ran out), for 30 s at a time; None if there is none."""
        now = self.now()
        other = aliased(DbOperation)
        busy = (
            select(other.id)
            .where(other.vm_id == DbOperation.vm_id, other.id != DbOperation.id, other.lease_until > now)
            .exists()
        )
        due = (
            select(DbOperation.id)
            .where(
                DbOperation.state.in_(OPEN_OPERATION_STATES),
                DbOperation.run_at <= now,
                or_(DbOperation.lease_until.is_(None), DbOperation.lease_until <= now),
                ~busy,
            )
            .order_by(DbOperation.run_at)
            .limit(1)
        )
        with self.reading() as session:  # looking costs no write lock; most looks find nothing
            if session.scalar(due) is None:
                return None
        with self.transaction() as session:
            operation_id = session.scalar(due.with_for_update(skip_locked=True))
            if operation_id is None:
                return None
            row = session.get(DbOperation, operation_id, populate_existing=True)
            if row is None:
                return None
            row.state = OperationState.RUNNING
            row.worker = worker
            row.attempts += 1
            row.lease_until = now + LEASE
            session.flush()
            return _claim(row, worker)

    def reach(self, claim: Claim, step: str) -> bool:
        """Record the step reached and extend the lease. False: overtaken or claimed anew, let go."""
        values = {"lease_until": self.now() + LEASE, "step": step}
        with self.transaction() as session:
            result = session.execute(
                update(DbOperation).where(*_fence(claim), DbOperation.state == OperationState.RUNNING).values(**values)
            )
            return _changed(result)

    def keep(self, claim: Claim) -> None:
        """Extend the lease while a slow call is under way, also of an operation that was overtaken: until its worker
        lets go, nobody else may touch the machine."""
        with self.transaction() as session:
            session.execute(
                update(DbOperation)
                .where(*_fence(claim), DbOperation.lease_until.is_not(None))
                .values(lease_until=self.now() + LEASE)
            )

    def is_held(self, claim: Claim) -> bool:
        """Whether the claim still stands: not overtaken, not claimed anew. Only reads."""
        with self.reading() as session:
            held = select(DbOperation.id).where(*_fence(claim), DbOperation.state == OperationState.RUNNING)
            return session.scalar(held) is not None

    def finish(self, session: Session, claim: Claim, state: OperationState, error: str = "") -> bool:
        """End it, in the caller's transaction. False: the fence is broken and the caller must record nothing."""
        result = session.execute(
            update(DbOperation)
            .where(*_fence(claim), DbOperation.state == OperationState.RUNNING)
            .values(state=state, error=error, finished_at=self.now(), lease_until=None)
        )
        return _changed(result)

    def retry_later(self, claim: Claim, error: str) -> None:
        """Put it back with exponential back-off (1 s doubling to 60 s) and the reason so far."""
        wait = min(FIRST_RETRY * 2 ** min(claim.attempt - 1, 10), LONGEST_RETRY)
        with self.transaction() as session:
            session.execute(
                update(DbOperation)
                .where(*_fence(claim), DbOperation.state == OperationState.RUNNING)
                .values(state=OperationState.QUEUED, error=error, run_at=self.now() + wait, lease_until=None)
            )

    def let_go(self, claim: Claim) -> None:
        """Drop the lease of an operation that was overtaken, so that the next on the VM may begin."""
        with self.transaction() as session:
            session.execute(update(DbOperation).where(*_fence(claim)).values(lease_until=None))

    def release_worker(self, worker: str) -> None:
        """Drop all leases of a worker that is known to be dead, so that nobody waits for them to run out."""
        with self.transaction() as session:
            session.execute(
                update(DbOperation)
                .where(DbOperation.worker == worker, DbOperation.lease_until.is_not(None))
                .values(lease_until=None)
            )


def as_operation(row: DbOperation) -> Operation:
    """The row as pages see it."""
    return Operation(
        id=row.id,
        kind=OperationKind(row.kind),
        vm_id=row.vm_id,
        state=OperationState(row.state),
        step=row.step,
        attempts=row.attempts,
        requested_by=row.requested_by,
        reason=row.reason,
        created_at=row.created_at,
        finished_at=row.finished_at,
        error=row.error,
        restarts=row.details.get("run_id") is not None,
    )


def _claim(row: DbOperation, worker: str) -> Claim:
    return Claim(
        operation_id=row.id,
        kind=OperationKind(row.kind),
        vm_id=row.vm_id,
        reason=row.reason,
        requested_by=row.requested_by,
        worker=worker,
        step=row.step,
        attempt=row.attempts,
        created_at=row.created_at,
        give_up_at=row.give_up_at,
        details=dict(row.details),
    )


def _fence(claim: Claim) -> tuple[Any, ...]:
    return (
        DbOperation.id == claim.operation_id,
        DbOperation.worker == claim.worker,
        DbOperation.attempts == claim.attempt,
    )


def _changed(result: Any) -> bool:
    return bool(result.rowcount == 1)
