"""Snapshots of machines: taking, reverting to and deleting them, as they are asked for (ADR 0036).

worker/operations/snapshots.py does it, snapshot_records.py writes down what came of it.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.storage import GIB, StoredKind
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.text import clean_name, clean_text
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.launch_source import SourceKind
from zentry_web.domain.vms.operation import ALLOWED_ACTIONS, Operation, OperationKind
from zentry_web.domain.vms.plan import Facts, revert_facts
from zentry_web.domain.vms.snapshot import (
    MOST_NAME,
    MOST_NOTE,
    MOST_SNAPSHOTS,
    Snapshot,
    SnapshotState,
    as_tree,
    aside_name,
)
from zentry_web.domain.vms.state import VMState, state_words
from zentry_web.domain.vms.vm import VM, Rates
from zentry_web.models import DbOperation, DbRevertAside, DbSize, DbSnapshot, DbStored, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_open, require_vm
from zentry_web.services.shared.fields import Fields
from zentry_web.services.shared.rounds import each_alone
from zentry_web.services.shared.undo_book import UndoBook
from zentry_web.services.vms import reverts, storing
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.launch_sources import list_being_launched
from zentry_web.services.vms.operations import as_operation, reason_of
from zentry_web.services.vms.payer import require_shown
from zentry_web.services.vms.planning import require_plan
from zentry_web.services.vms.queries import read_vm

_KIND = StoredKind.SNAPSHOT
_MIB = 1 << 20


class VMSnapshots(BaseService):
    """A part of VMService. Taking and deleting needs the right to change a machine's size; so does reverting."""

    name = "vm_snapshots"
    kind, operation, table, ready = _KIND, OperationKind.SNAPSHOT, DbSnapshot, SnapshotState.READY

    def __init__(self, core: Core, basis: VMBasis) -> None:
        super().__init__(core)
        self._basis, self._billing = basis, basis.billing
        self._payer, self._operations = basis.payer, basis.operations

    # -- looking --------------------------------------------------------------------------------

    def list(self, vm_id: str, *, actor: Actor) -> list[Snapshot]:
        """Those of a machine, each below the one it goes on from. Raises NotFoundError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.VIEW)
            found = read_snapshots(session, vm_id)
        return [replace(each, level=level) for each, level in as_tree(found)]

    def get(self, vm_id: str, snapshot_id: str, *, actor: Actor) -> Snapshot:
        """One, for who may revert to it or delete it. Raises NotFoundError, PermissionDeniedError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.RESIZE)
            return _find(read_snapshots(session, vm_id), snapshot_id)

    def price(self, vm: VM) -> tuple[int, int]:
        """The most GiB that a snapshot taken now would have, and what those cost per hour. One statement."""
        return storing.price_of(self._billing, _KIND, _most_bytes(vm))

    # -- asking ---------------------------------------------------------------------------------

    def take(self, vm_id: str, data: Mapping[str, object], *, actor: Actor, is_scheduled: bool = False) -> Operation:
        """Accept a snapshot (``name``, ``note``) of a machine that runs, with its memory, or is stopped.

        Raises ValidationError, ConflictError (the state, too many), QuotaExceededError, BudgetExceededError,
        InsufficientCreditsError (for a hold window, at the most that it can take up), NotFoundError,
        PermissionDeniedError.
        """
        fields = Fields(data)
        name = fields.take("name", partial(clean_name, longest=MOST_NAME), "")
        note = fields.take("note", partial(clean_text, longest=MOST_NOTE), "")
        fields.check()
        with self._payer.words(actor, vm_id=vm_id), self.transaction() as session:
            vm = self._lock(session, vm_id, OperationKind.SNAPSHOT, actor)
            require_open(session, vm.project_id)
            self._payer.require_able(session, actor, vm.owner_id)
            self._require_room(session, vm, actor)
            size_name = session.scalars(select(DbSize.name).where(DbSize.id == vm.size_id)).one()
            row = DbSnapshot(
                id=self.new_id("snap"),
                vm_id=vm.id,
                name=name,
                note=note,
                state=SnapshotState.MAKING,
                parent_id=vm.snapshot_id,
                has_memory=vm.run_id is not None,
                size_name=size_name,
                is_scheduled=is_scheduled,
                created_by=actor.id,
                created_at=self.now(),
            )
            session.add(row)
            session.flush()
            return self._accept(session, vm, OperationKind.SNAPSHOT, row, actor)

    def find_aside(self, vm_id: str, *, actor: Actor) -> datetime | None:
        """Until when what the machine was before its last revert can be had back; None: it cannot. Raises
        NotFoundError."""
        with self.reading() as session:
            require_vm(session, actor, vm_id, ProjectAction.VIEW)
            row = reverts.find_last(session, vm_id, self.now())
            return row.until if row else None

    def revert(
        self,
        vm_id: str,
        snapshot_id: str,
        *,
        actor: Actor,
        shown: Rates | None = None,
        plan: Facts | None = None,
        keeps: bool = True,
    ) -> Operation:
        """Accept making a machine what it was then; what it is now is kept aside for an hour if it ``keeps`` that, else
        lost. One that is off and comes back running holds its first hour, as a start does.

        Raises ConflictError (the state), PlanChangedError (another ``plan`` was shown), NotFoundError,
        PermissionDeniedError, and what a start raises.
        """
        with self._payer.words(actor, vm_id=vm_id), self.transaction() as session:
            vm = self._lock(session, vm_id, OperationKind.REVERT, actor)
            row = self._row(session, vm_id, snapshot_id)
            require_plan(plan, revert_facts(read_vm(session, vm_id), _as_snapshot(row, None, None)))
            comes_up = self._comes_up(session, vm, row.has_memory, shown, actor)
            details = {"snapshot": row.id, "was_on": vm.run_id is not None, "keeps": keeps}
            event_id, operation = self._order(session, vm, OperationKind.REVERT, details, comes_up, actor)
            if keeps:
                was = DbRevertAside(operation_id=operation.id, vm_id=vm.id, snapshot_id=vm.snapshot_id)
                was.has_memory = vm.run_id is not None
                session.add(was)
                UndoBook(self._core).keep("vm.revert", vm.id, event_id, {"operation": operation.id}, actor=actor)
            return as_operation(operation)

    def request_back(self, vm_id: str, *, actor: Actor) -> Operation:
        """Accept making a machine what it was before its last revert; what was written since is lost.

        Raises ConflictError (the state, it is not kept any more), NotFoundError, PermissionDeniedError, and what a
        start raises.
        """
        with self._payer.words(actor, vm_id=vm_id), self.transaction() as session:
            vm = self._lock(session, vm_id, OperationKind.UNREVERT, actor)
            aside = reverts.find_last(session, vm.id, self.now())
            if aside is None:
                raise ConflictError(_("What it was before the revert is not kept any more."))
            comes_up = self._comes_up(session, vm, aside.has_memory, None, actor)
            kept = aside_name(aside.operation_id)
            details = {"snapshot": kept, "aside": aside.operation_id, "was_on": vm.run_id is not None}
            return as_operation(self._order(session, vm, OperationKind.UNREVERT, details, comes_up, actor)[1])

    def delete(self, vm_id: str, thing_id: str, *, actor: Actor) -> Operation:
        """Accept forgetting one; the machine and the other snapshots stay. Raises ConflictError (the state),
        NotFoundError, PermissionDeniedError."""
        with self.transaction() as session:
            vm = self._lock(session, vm_id, OperationKind.DISCARD, actor)
            row = self._row(session, vm_id, thing_id)
            if row.id in list_being_launched(session, SourceKind.SNAPSHOT):
                raise ConflictError(_("A machine is being made from this snapshot. Wait until that is done."))
            row.state = SnapshotState.DELETING
            return self._accept(session, vm, OperationKind.DISCARD, row, actor)

    # -- by schedule ----------------------------------------------------------------------------

    def read(self, session: Session, vm_id: str) -> Sequence[Snapshot]:
        """All of a machine."""
        return read_snapshots(session, vm_id)

    def tidy(self) -> None:
        """Delete what operations that were overtaken left half-done; later, while a machine is busy."""
        left = select(DbSnapshot.vm_id).where(DbSnapshot.state != SnapshotState.READY).distinct()
        with self.reading() as session:
            found = list(session.scalars(left))
        each_alone("tidy snapshots", found, self._tidy)

    def _tidy(self, vm_id: str) -> None:
        with self.transaction() as session:
            vm = session.get(DbVM, vm_id)
            if vm is None or vm.deleted_at is not None or self._operations.find_open(session, vm_id) is not None:
                return
            half = select(DbSnapshot).where(DbSnapshot.vm_id == vm_id, DbSnapshot.state != SnapshotState.READY)
            row = session.scalars(half.with_for_update()).first()
            if row is None:
                return
            row.state, snapshot_id = SnapshotState.READY, row.id
        with contextlib.suppress(ConflictError):
            self.delete(vm_id, snapshot_id, actor=SYSTEM)

    # -- inside ---------------------------------------------------------------------------------

    def _lock(self, session: Session, vm_id: str, kind: OperationKind, actor: Actor) -> DbVM:
        vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.RESIZE)
        state = VMState(vm.state)
        if kind not in ALLOWED_ACTIONS[state] or self._operations.find_open(session, vm.id) is not None:
            raise ConflictError(
                _(
                    "%(name)s is %(state)s: nothing can be done with its snapshots now.",
                    name=vm.name,
                    state=state_words(state),
                )
            )
        return vm

    def _comes_up(self, session: Session, vm: DbVM, has_memory: bool, shown: Rates | None, actor: Actor) -> bool:
        """Whether a machine that is off comes back running, which must be payable, and is held for, as a start."""
        require_open(session, vm.project_id)
        self._payer.require_able(session, actor, vm.owner_id)
        if not has_memory or vm.run_id is not None:
            return False
        rates = Rates(vm.running_micro_per_hour, vm.stopped_micro_per_hour)
        words = _("%(name)s would run at another price than this page showed: nothing was done.", name=vm.name)
        require_shown(shown, rates, words)
        self._billing.budgets.require_room(vm, vm.running_micro_per_hour, actor=actor)
        self._billing.place_hold(vm.id, vm.owner_id, vm.running_micro_per_hour)
        return True

    def _order(
        self, session: Session, vm: DbVM, kind: OperationKind, details: dict[str, Any], comes_up: bool, actor: Actor
    ) -> tuple[str, DbOperation]:
        event_id, operation = self._operations.accept(session, vm, kind, reason_of(vm, actor), details, actor=actor)
        if comes_up:
            self._billing.landing.leave_grace(session, vm, operation.id)
        vm.credit_stopped_at = None  # its owner has decided since
        return event_id, operation

    def _row(self, session: Session, vm_id: str, snapshot_id: str) -> DbSnapshot:
        row = session.get(DbSnapshot, snapshot_id)
        if row is None or row.vm_id != vm_id:
            raise NotFoundError(_("There is no such snapshot."))
        if row.state != SnapshotState.READY:
            raise ConflictError(_("This snapshot is not ready."))
        return row

    def _require_room(self, session: Session, vm: DbVM, actor: Actor) -> None:
        if (count_snapshots(session, vm.id)) >= MOST_SNAPSHOTS:
            raise ConflictError(
                _("A machine may have %(most)s snapshots. Delete one that you no longer need.", most=MOST_SNAPSHOTS)
            )
        storing.require_room(self._basis, vm, _KIND, _most_bytes(vm), actor)

    def _accept(self, session: Session, vm: DbVM, kind: OperationKind, row: DbSnapshot, actor: Actor) -> Operation:
        reason = "owner" if actor is SYSTEM else reason_of(vm, actor)
        details = {"snapshot": row.id, "was_on": vm.run_id is not None}
        return as_operation(self._operations.accept(session, vm, kind, reason, details, actor=actor)[1])


def read_snapshots(session: Session, vm_id: str) -> list[Snapshot]:
    """The snapshots of a machine, the oldest first. One statement."""
    query = (
        select(DbSnapshot, DbStored, DbVM.snapshot_id)
        .join(DbVM, DbVM.id == DbSnapshot.vm_id)
        .outerjoin(DbStored, DbStored.id == DbSnapshot.id)
        .where(DbSnapshot.vm_id == vm_id)
        .order_by(DbSnapshot.id)
    )
    return [_as_snapshot(*row) for row in session.execute(query)]


def count_snapshots(session: Session, vm_id: str) -> int:
    """How many a machine has, also those under way."""
    return session.scalar(select(func.count()).select_from(DbSnapshot).where(DbSnapshot.vm_id == vm_id)) or 0


def _as_snapshot(row: DbSnapshot, stored: DbStored | None, current_id: str | None) -> Snapshot:
    return Snapshot(
        id=row.id,
        vm_id=row.vm_id,
        name=row.name,
        note=row.note,
        state=SnapshotState(row.state),
        parent_id=row.parent_id,
        has_memory=row.has_memory,
        size_name=row.size_name,
        is_scheduled=row.is_scheduled,
        created_at=row.created_at,
        gib=stored.gib if stored else None,
        rate_micro_per_hour=stored.rate_micro_per_hour if stored else None,
        kept_until=stored.kept_until if stored else None,
        is_current=row.id == current_id,
    )


def _find(snapshots: list[Snapshot], snapshot_id: str) -> Snapshot:
    found = next((each for each in snapshots if each.id == snapshot_id), None)
    if found is None:
        raise NotFoundError(_("There is no such snapshot."))
    return found


def _most_bytes(vm: VM | DbVM) -> int:
    """A full disk, and the memory of one that runs."""
    is_on = vm.is_on if isinstance(vm, VM) else vm.run_id is not None
    return vm.disk_gib * GIB + (vm.memory_mib * _MIB if is_on else 0)
