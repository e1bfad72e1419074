"""The queue of operations on VMs: one open per VM, claimed under a lease, fenced, retried with back-off."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, insert, or_, select, tuple_, update
from sqlalchemy.orm import Session, aliased

from zentry_web.adapters.database import run
from zentry_web.domain.back_off import back_off
from zentry_web.domain.event import Outcome, Subject
from zentry_web.domain.language import kept
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.claim import Claim
from zentry_web.domain.vms.kinds import KINDS
from zentry_web.domain.vms.operation import (
    OPEN_OPERATION_STATES,
    STATE_WHEN_ACCEPTED,
    Operation,
    OperationKind,
    OperationState,
)
from zentry_web.models import DbOperation, DbVM
from zentry_web.services.base_service import BaseService

LEASE = timedelta(seconds=30)
FIRST_RETRY = timedelta(seconds=1)
LONGEST_RETRY = timedelta(seconds=60)
_TEN_MINUTES = (
    *(OperationKind.CREATE, OperationKind.START, OperationKind.RESIZE, OperationKind.SNAPSHOT, OperationKind.REVERT),
    *(OperationKind.UNREVERT, OperationKind.REBUILD, OperationKind.BRING_BACK, OperationKind.RESCUE),
    OperationKind.UNRESCUE,
)
_TWO_MINUTES = (OperationKind.RESET, OperationKind.SUSPEND, OperationKind.RESUME, OperationKind.PASSWORD)
PATIENCE = {  # how long an operation may be tried before it is given up
    **dict.fromkeys(_TEN_MINUTES, timedelta(minutes=10)),
    OperationKind.STOP: timedelta(minutes=30),
    OperationKind.FORCE_OFF: timedelta(days=30),
    OperationKind.REBOOT: timedelta(minutes=5),
    **dict.fromkeys(_TWO_MINUTES, timedelta(minutes=2)),
    OperationKind.DISCARD: timedelta(minutes=30),
    **dict.fromkeys((OperationKind.BACKUP, OperationKind.RECOVER, OperationKind.IMAGE), timedelta(hours=12)),
    OperationKind.BIN: timedelta(days=365),
    OperationKind.DELETE: timedelta(days=365),
}
_OVERTAKEN = kept("overtaken by a later request")
_MANY = 400  # claims named in one statement
_MOST_LOGGED = 40  # steps reached and words said
_WANTED = DbOperation.aborted_by.is_(None)
# Stops that credits ask for, and of what runs unpaid: they must not wait for anything else.
_URGENT = and_(
    DbOperation.kind.in_((OperationKind.STOP, OperationKind.FORCE_OFF)), DbOperation.reason.in_(("credit", "unpaid"))
)


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
            run_at=now,
            give_up_at=now + PATIENCE[kind],
            attempts=0,
            error="",
            created_at=now,
        )
        session.add(row)
        session.flush()
        self.after_commit(self._core.bell.ring)
        return row

    def accept(
        self,
        session: Session,
        vm: DbVM,
        kind: OperationKind,
        reason: str,
        details: dict[str, Any] | None = None,
        *,
        actor: Actor,
    ) -> tuple[str, DbOperation]:
        """Accept an operation on a VM that is locked and has none: its state, the operation and the event, whose id
        comes first; in the caller's transaction."""
        vm.state, vm.state_reason = STATE_WHEN_ACCEPTED[kind], ""
        row = self.enqueue(session, kind, vm.id, actor=actor, reason=reason, details=details)
        about = {"reason": reason} | (details or {})
        event_id = self.audit(f"vm.{kind}", Subject.vm(vm, row.id), about, actor=actor, outcome=Outcome.ACCEPTED)
        return event_id, row

    def enqueue_all(
        self, session: Session, kinds: Mapping[str, OperationKind], reason: str, *, actor: Actor
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
                "reason": reason,
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
            self.after_commit(self._core.bell.ring)
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
            .values(state=OperationState.CANCELLED, finished_at=self.now(), secret="", error=_OVERTAKEN)
        )

    def ask_abort(self, session: Session, operation: DbOperation, actor: Actor) -> bool:
        """Have an open operation aborted, in the caller's transaction. False: it has come too far, or somebody asked
        already. Decided in one statement: the worker may be a step further than what was read."""
        asked = update(DbOperation).where(
            DbOperation.id == operation.id,
            DbOperation.state.in_(OPEN_OPERATION_STATES),
            DbOperation.step.in_(KINDS[OperationKind(operation.kind)].abort_at),
            _WANTED,
        )
        self.after_commit(self._core.bell.ring)
        return run(session, asked.values(aborted_by=actor.id, run_at=self.now())) == 1

    def list_due(self) -> list[tuple[str, bool]]:
        """Whose operations could be claimed now, and whether they are urgent (stops for lack of credit); who has
        waited longest comes first."""
        with self.looking() as session:
            return [(owner_id, bool(urgent)) for owner_id, urgent in session.execute(_DUE, {"now": self.now()})]

    def claim(self, worker: str, *, owner_id: str | None = None, urgent: bool | None = None) -> Claim | None:
        """Take the next operation that is due (or whose lease ran out), for 30 s at a time; None if there is none.

        ``owner_id``: only one of this payer; ``urgent``: only a stop for lack of credit, or only another one.
        """
        now = self.now()
        conditions = _due(now)
        if owner_id is not None:
            conditions.append(select(DbVM.id).where(DbVM.id == DbOperation.vm_id, DbVM.owner_id == owner_id).exists())
        if urgent is not None:
            conditions.append(_URGENT if urgent else ~_URGENT)
        due = select(DbOperation.id).where(*conditions).order_by(DbOperation.run_at).limit(1)
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
            payer = session.scalars(select(DbVM.owner_id).where(DbVM.id == row.vm_id)).one()
            return _as_claim(row, worker, payer)

    def reach(self, claim: Claim, step: str, **notes: str | int) -> bool:
        """Record the step reached, with its time, and extend the lease. False: overtaken, aborted or claimed anew, let
        go.

        ``notes`` go into the details, for whoever goes on if this worker is killed.
        """
        values: dict[str, Any] = {"lease_until": self.now() + LEASE, "step": step}
        if step != _last_step(claim.log):
            claim.log[:] = _shortened([*claim.log, {"at": self.now().isoformat(), "step": step}])
            values["log"] = claim.log
        if notes:
            claim.details.update(notes)
            values["details"] = claim.details
        held = update(DbOperation).where(*_fence(claim), DbOperation.state == OperationState.RUNNING, _WANTED)
        with self.transaction() as session:
            return run(session, held.values(**values)) == 1

    def keep(self, claims: Sequence[Claim]) -> None:
        """Extend the leases of these, also of one that was overtaken while a slow call is under way: until its worker
        lets go, nobody else may touch the machine."""
        for some in _fences(claims):
            with self.transaction() as session:
                session.execute(
                    update(DbOperation)
                    .where(*some, DbOperation.lease_until.is_not(None))
                    .values(lease_until=self.now() + LEASE)
                )

    def list_lost(self, claims: Sequence[Claim]) -> list[Claim]:
        """Those of these that stand no more: overtaken, aborted, or claimed anew. Only reads."""
        held: set[str] = set()
        with self.reading() as session:
            for some in _fences(claims):
                query = select(DbOperation.id).where(*some, DbOperation.state == OperationState.RUNNING, _WANTED)
                held.update(session.scalars(query))
        return [claim for claim in claims if claim.operation_id not in held]

    def is_held(self, claim: Claim) -> bool:
        """Whether the claim still stands: not overtaken, not aborted, not claimed anew. Only reads."""
        with self.reading() as session:
            held = select(DbOperation.id).where(*_fence(claim), DbOperation.state == OperationState.RUNNING, _WANTED)
            return session.scalar(held) is not None

    def finish(self, session: Session, claim: Claim, state: OperationState, error: str = "") -> bool:
        """End it, in the caller's transaction. False: the fence is broken, or it is to be aborted and not to succeed,
        and the caller must record nothing."""
        held = update(DbOperation).where(*_fence(claim), DbOperation.state == OperationState.RUNNING)
        if state == OperationState.SUCCEEDED:
            held = held.where(_WANTED)
        ended = held.values(state=state, error=error, secret="", finished_at=self.now(), lease_until=None)
        return run(session, ended) == 1

    def retry_later(self, claim: Claim, error: str) -> None:
        """Put it back with exponential back-off (1 s doubling to 60 s) and the reason so far."""
        wait = back_off(claim.attempt, FIRST_RETRY, LONGEST_RETRY)
        log = _shortened([*claim.log, {"at": self.now().isoformat(), "said": error}])
        with self.transaction() as session:
            session.execute(
                update(DbOperation)
                .where(*_fence(claim), DbOperation.state == OperationState.RUNNING)
                .values(state=OperationState.QUEUED, error=error, run_at=self.now() + wait, lease_until=None, log=log)
            )

    def hurry(self) -> int:
        """The hypervisor answers again: what was put back is due now, whatever its back-off; returns how many."""
        now = self.now()
        put_back = DbOperation.state == OperationState.QUEUED, DbOperation.attempts > 0, DbOperation.run_at > now
        with self.reading() as session:
            if session.scalar(select(DbOperation.id).where(*put_back).limit(1)) is None:
                return 0
        with self.transaction() as session:
            self.after_commit(self._core.bell.ring)
            return run(session, update(DbOperation).where(*put_back).values(run_at=now))

    def let_go(self, *claims: Claim) -> None:
        """Drop the leases of operations that were overtaken, so that the next on the VM may begin; or of those that
        another worker shall go on with."""
        for some in _fences(claims):
            with self.transaction() as session:
                session.execute(update(DbOperation).where(*some).values(lease_until=None))

    def release_worker(self, worker: str) -> None:
        """Drop all leases of a worker that is known to be dead, so that nobody waits for them to run out."""
        with self.transaction() as session:
            session.execute(
                update(DbOperation)
                .where(DbOperation.worker == worker, DbOperation.lease_until.is_not(None))
                .values(lease_until=None)
            )


def reason_of(vm: DbVM, actor: Actor) -> str:
    """Why it is done, as the operation says it: 'admin', or 'owner' for the owner or a member in their place."""
    return "admin" if actor.is_admin and actor.id != vm.owner_id else "owner"


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
        percent=row.details.get("percent"),
        log=tuple(row.log),
        aborted_by=row.aborted_by,
    )


def _as_claim(row: DbOperation, worker: str, owner_id: str) -> Claim:
    return Claim(
        operation_id=row.id,
        owner_id=owner_id,
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
        log=list(row.log),
        aborted_by=row.aborted_by,
    )


def _last_step(log: Sequence[Mapping[str, str]]) -> str:
    return next((entry["step"] for entry in reversed(log) if "step" in entry), "queued")


def _shortened(log: list[dict[str, str]]) -> list[dict[str, str]]:
    """What is tried for a year does not fill the row: the beginning stays, and the end."""
    return log if len(log) <= _MOST_LOGGED else [*log[: _MOST_LOGGED // 2], *log[-_MOST_LOGGED // 2 :]]


def _fence(claim: Claim) -> tuple[Any, ...]:
    return (
        DbOperation.id == claim.operation_id,
        DbOperation.worker == claim.worker,
        DbOperation.attempts == claim.attempt,
    )


def _fences(claims: Sequence[Claim]) -> Iterator[tuple[ColumnElement[bool], ...]]:
    """As ``_fence``, for many of one worker, in conditions that are not too long."""
    for start in range(0, len(claims), _MANY):
        some = claims[start : start + _MANY]
        keys = [(claim.operation_id, claim.attempt) for claim in some]
        yield DbOperation.worker == some[0].worker, tuple_(DbOperation.id, DbOperation.attempts).in_(keys)


def _due(now: Any) -> list[ColumnElement[bool]]:
    """What tells operations that can be claimed: open, their time has come, and nobody is at them or at the VM.
    ``now`` may be a parameter of the statement."""
    other = aliased(DbOperation)
    busy = (
        select(other.id)
        .where(other.vm_id == DbOperation.vm_id, other.id != DbOperation.id, other.lease_until > now)
        .exists()
    )
    return [
        DbOperation.state.in_(OPEN_OPERATION_STATES),
        DbOperation.run_at <= now,
        or_(DbOperation.lease_until.is_(None), DbOperation.lease_until <= now),
        ~busy,
    ]


# Built once: the worker asks it every other second.
_DUE = (
    select(DbVM.owner_id, _URGENT.label("urgent"))
    .join(DbVM, DbVM.id == DbOperation.vm_id)
    .where(*_due(bindparam("now")))
    .group_by(DbVM.owner_id, "urgent")
    .order_by(func.min(DbOperation.run_at), DbVM.owner_id)
)
