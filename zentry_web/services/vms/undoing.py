"""Undo: putting back what was before a change, once, for ten minutes, by services that decide as for anything else.

What is still under way is undone when it has ended: then the worker goes on with it (``go_on``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session, aliased

from zentry_web.adapters.database import run
from zentry_web.domain.event import Outcome, Subject
from zentry_web.domain.label import written
from zentry_web.domain.language import _, find
from zentry_web.domain.user import Actor, Role
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.state import VMState, state_words
from zentry_web.domain.vms.undo import UNDOABLE, Undo
from zentry_web.domain.vms.vm import Rates
from zentry_web.models import DbOperation, DbUndo, DbUser, DbVM, DbVMLabel
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError, ServiceError, ValidationError
from zentry_web.services.shared.access import member_projects
from zentry_web.services.shared.labels import VMLabels, read_labels
from zentry_web.services.shared.one_by_one import Became, EachOutcome, EachResult, do_each
from zentry_web.services.shared.rounds import each_alone
from zentry_web.services.vms.actions import VMActions
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.bin import VMBin
from zentry_web.services.vms.moving import VMMoving
from zentry_web.services.vms.rebuilding import VMRebuilding
from zentry_web.services.vms.renaming import VMRenaming
from zentry_web.services.vms.snapshots import VMSnapshots

_FORGOTTEN_AFTER = timedelta(days=1)
_USER = aliased(DbUser)


@dataclass(frozen=True, slots=True)
class Undoing:
    """One undo while it is done: ``vm`` is locked."""

    session: Session
    vm: DbVM
    row: DbUndo
    actor: Actor

    @property
    def was(self) -> dict[str, Any]:
        return self.row.put_back


class VMUndo(BaseService):
    """A part of VMService."""

    name = "vm_undo"

    def __init__(
        self,
        core: Core,
        basis: VMBasis,
        actions: VMActions,
        binned: VMBin,
        moving: VMMoving,
        rebuilding: VMRebuilding,
        snapshots: VMSnapshots,
    ) -> None:
        super().__init__(core)
        self._billing, self._operations = basis.billing, basis.operations
        self._actions, self._bin, self._moving = actions, binned, moving
        self._labels, self._renaming, self._rebuilding = VMLabels(core), VMRenaming(core), rebuilding
        self._snapshots = snapshots
        # How each is put back; raises what the services called do.
        self._ways: dict[str, Callable[[Undoing], None]] = {
            "vm.stop": self._start,
            "vm.force_off": self._start,
            "vm.suspend": self._resume,
            "vm.bin": self._restore,
            "vm.rebuild": self._bring_back,
            "vm.recover": self._bring_back,
            "vm.revert": self._unrevert,
            "vm.rename": self._rename,
            "vm.move": self._move_back,
            "vm.labels": self._relabel,
            "vm.protect": lambda it: self._protect(it, False),
            "vm.unprotect": lambda it: self._protect(it, True),
        }

    # -- looking --------------------------------------------------------------------------------

    def list_of(self, undo_id: str, *, actor: Actor) -> list[Undo]:
        """What that id undoes: one change of one machine, or those that were made together, by name of the machine.
        One statement. Raises NotFoundError."""
        with self.reading() as session:
            query = _UNDOS.where(or_(DbUndo.id == undo_id, DbUndo.together == undo_id)).order_by(DbVM.name, DbVM.id)
            if not actor.is_admin:
                query = query.where(DbVM.project_id.in_(member_projects(actor.id)))
            rows = session.execute(query).all()
        if not rows:
            raise NotFoundError(_("There is nothing to undo: it is too long ago."))
        return [_as_undo(row) for row in rows]

    def find_offer(self, vm_id: str, *, actor: Actor) -> str:
        """The id of the undo of what the actor did last to that machine, if it can be undone; else ''. For the toast
        that tells of it. One statement."""
        query = select(DbUndo.id, DbUndo.used_at, DbUndo.until, DbUndo.made_by).where(DbUndo.vm_id == vm_id)
        with self.looking() as session:
            found = session.execute(query.order_by(DbUndo.id.desc()).limit(1)).one_or_none()
        if found is None or found.used_at or found.until <= self.now() or found.made_by != actor.id:
            return ""
        return str(found.id)

    def find_together(self, together: str) -> str:
        """That id, if there is anything that it undoes; else ''. One statement."""
        with self.looking() as session:
            return together if session.scalar(select(DbUndo.id).where(DbUndo.together == together).limit(1)) else ""

    def find_deletion(self, vm_id: str) -> str:
        """The id of the undo of a machine's deletion, if it can still be undone; else ''; callers have checked who
        asks. One statement."""
        query = select(DbUndo.id).where(DbUndo.vm_id == vm_id, DbUndo.action == "vm.bin", DbUndo.used_at.is_(None))
        with self.looking() as session:
            found = session.scalar(query.where(DbUndo.until > self.now()).order_by(DbUndo.id.desc()).limit(1))
        return found or ""

    # -- doing ----------------------------------------------------------------------------------

    def undo(self, undo_id: str, *, actor: Actor) -> list[Became[Undo]]:
        """Put back what was; of several machines each by itself. What is still under way is undone when it has ended
        (EachOutcome.WAITS); what was undone before stays so (UNCHANGED). Refusals: too late, something else came after
        it, and what the services refuse (rights, credits, quotas, a name that is taken).

        Raises NotFoundError.
        """
        undos = self.list_of(undo_id, actor=actor)
        return do_each(undos, lambda undo: self._one(undo.id, undo.vm_id, actor), self.give_way)

    def _one(self, undo_id: str, vm_id: str, actor: Actor) -> EachResult:
        with self.transaction() as session:
            row = session.get_one(DbUndo, undo_id)
            right = UNDOABLE[row.action].right
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, right, binned=row.action == "vm.bin")
            if not self._take(session, row, actor):
                return EachOutcome.UNCHANGED, _("It has been undone already.")
            it = Undoing(session, vm, row, actor)
            outcome = EachOutcome.DONE
            under_way = self._under_way(it)
            if under_way is None:
                self._put_back(it)
            elif self._operations.ask_abort(session, under_way, actor):  # nothing has been done yet
                row.done_at = self.now()
            else:
                outcome = EachOutcome.WAITS
            about = {"of": row.action, "undo": row.id}
            self.audit("vm.undo", Subject.vm(vm), about, actor=actor)
            self.after_commit(self._core.bell.ring)
            return outcome, ""

    def _take(self, session: Session, row: DbUndo, actor: Actor) -> bool:
        """Whether nobody came before. Raises ConflictError when it is too late."""
        now = self.now()
        free = update(DbUndo).where(DbUndo.id == row.id, DbUndo.used_at.is_(None), DbUndo.until > now)
        is_first = run(session, free.values(used_at=now, used_by=actor.id)) == 1
        session.refresh(row)
        if row.used_at is None:
            raise ConflictError(find(row.problem) or _("It is too long ago to be undone."))
        return is_first

    def _under_way(self, it: Undoing) -> DbOperation | None:
        """The operation that is to be undone, while it has not ended. Raises ConflictError when another came after."""
        if "operation" not in it.was:
            return None
        newest = self._operations.find_last(it.session, it.vm.id)
        if newest is None or newest.id != it.was["operation"]:
            raise ConflictError(_("Something else has been ordered since."))
        return self._operations.find_open(it.session, it.vm.id)

    def _put_back(self, it: Undoing) -> None:
        try:
            self._ways[it.row.action](it)
        except ValidationError as error:  # there is no form whose fields could say it
            raise ConflictError(next(iter(error.details.values()), error.message)) from error
        it.row.done_at = self.now()
        self._core.checkpoint("undo.put_back")

    # -- the worker's side ----------------------------------------------------------------------

    def go_on(self) -> int:
        """Put back what waited for an operation to end; how many. One statement while nothing waits."""
        with self.looking() as session:
            waiting = list(session.execute(_WAITING))
        return sum(each_alone("undo", waiting, lambda each: self._go_on(each.id, each.vm_id)))

    def _go_on(self, undo_id: str, vm_id: str) -> bool:
        try:
            with self.transaction() as session:
                vm = self._billing.wallets.locked_vm_row(session, vm_id)
                row = session.get_one(DbUndo, undo_id, populate_existing=True)
                if row.done_at is not None or self._operations.find_open(session, vm_id) is not None:
                    return False
                role = session.scalar(select(DbUser.role).where(DbUser.id == row.used_by))
                actor = Actor(row.used_by or "", Role(role or Role.USER))
                it = Undoing(session, vm, row, actor)
                self._under_way(it)
                self._put_back(it)
        except ServiceError as error:
            self._tell_failed(undo_id, vm_id, error)
        return True

    def _tell_failed(self, undo_id: str, vm_id: str, error: ServiceError) -> None:
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm_row(session, vm_id)
            row = session.get_one(DbUndo, undo_id, populate_existing=True)
            row.done_at, row.problem = self.now(), error.message
            vm.state_reason = vm.state_reason or error.message
            about = {"of": row.action, "undo": row.id}
            user = session.scalar(select(DbUser.role).where(DbUser.id == row.used_by))
            actor = Actor(row.used_by or "", Role(user or Role.USER))
            self.audit("vm.undo", Subject.vm(vm), about, actor=actor, outcome=Outcome.FAILED)

    def forget_old(self) -> int:
        """Remove what could last be undone a day ago; how many."""
        is_old = DbUndo.until < self.now() - _FORGOTTEN_AFTER
        with self.looking() as session:
            if session.scalar(select(DbUndo.id).where(is_old).limit(1)) is None:
                return 0
        with self.transaction() as session:
            return run(session, delete(DbUndo).where(is_old))

    # -- the ways back --------------------------------------------------------------------------

    def _start(self, it: Undoing) -> None:
        _require_state(it.vm, VMState.STOPPED)
        self._actions.request(OperationKind.START, it.vm.id, actor=it.actor, undoes=it.row.id)

    def _resume(self, it: Undoing) -> None:
        _require_state(it.vm, VMState.PAUSED)
        self._actions.request(OperationKind.RESUME, it.vm.id, actor=it.actor, undoes=it.row.id)

    def _restore(self, it: Undoing) -> None:
        self._bin.restore(it.vm.id, it.was["name"], actor=it.actor, shown=Rates(stopped=it.was["stopped"]))
        it.session.refresh(it.vm)
        if it.was["ran"] and it.vm.made:
            self._actions.request(OperationKind.START, it.vm.id, actor=it.actor, undoes=it.row.id)

    def _bring_back(self, it: Undoing) -> None:
        self._rebuilding.request_back(it.vm.id, actor=it.actor)

    def _unrevert(self, it: Undoing) -> None:
        self._snapshots.request_back(it.vm.id, actor=it.actor)

    def _rename(self, it: Undoing) -> None:
        _require_unchanged(it.vm.name, it.was["then"])
        self._renaming.rename(it.vm.id, it.was["name"], actor=it.actor, together=None)

    def _move_back(self, it: Undoing) -> None:
        _require_unchanged(it.vm.project_id, it.was["then"])
        self._moving.move(it.vm.id, it.was["project_id"], actor=it.actor, together=None)

    def _relabel(self, it: Undoing) -> None:
        now = read_labels(it.session, DbVMLabel, [it.vm.id]).get(it.vm.id, ())
        _require_unchanged(written(now), it.was["then"])
        self._labels.set(it.vm.id, it.was["labels"], actor=it.actor, together=None)

    def _protect(self, it: Undoing, protected: bool) -> None:
        _require_unchanged(it.vm.protected, not protected)
        self._bin.set_protection(it.vm.id, protected, actor=it.actor, together=None)


def _require_state(vm: DbVM, state: VMState) -> None:
    if vm.state != state:
        raise ConflictError(
            _("%(name)s is %(state)s: there is nothing to undo.", name=vm.name, state=state_words(vm.state))
        )


def _require_unchanged(now: object, then: object) -> None:
    if now != then:
        raise ConflictError(_("It has been changed again since."))


def _as_undo(row: Any) -> Undo:
    undo = row.DbUndo
    return Undo(
        id=undo.id,
        action=undo.action,
        vm_id=undo.vm_id,
        vm_name=row.vm_name,
        made_at=undo.made_at,
        until=undo.until,
        used_at=undo.used_at,
        used_by=row.used_name or "",
        is_waiting=undo.used_at is not None and undo.done_at is None,
        problem=undo.problem,
    )


_UNDOS: Any = (
    select(DbUndo, DbVM.name.label("vm_name"), _USER.name.label("used_name"))
    .join(DbVM, DbVM.id == DbUndo.vm_id)
    .outerjoin(_USER, _USER.id == DbUndo.used_by)
)
_WAITING: Any = (
    select(DbUndo.id, DbUndo.vm_id).where(DbUndo.used_at.is_not(None), DbUndo.done_at.is_(None)).order_by(DbUndo.id)
)
