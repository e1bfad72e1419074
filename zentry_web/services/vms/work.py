"""Operations as people see them: their pages and lists, aborting one, trying one again."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import RIGHTS
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.kinds import KINDS
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES, Operation, OperationKind, OperationState
from zentry_web.domain.vms.state import state_words
from zentry_web.domain.vms.vm import VM, Rates
from zentry_web.domain.vms.work import OperationLine, OperationPage, operation_steps, words_said
from zentry_web.models import DbOperation, DbProject, DbProjectMember, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError
from zentry_web.services.shared.access import as_role, member_projects, require_admin, require_self
from zentry_web.services.shared.event_log import AN_ADMIN
from zentry_web.services.vms.actions import VMActions
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.operations import as_operation
from zentry_web.services.vms.queries import as_vm, vm_query
from zentry_web.services.vms.resizing import VMResizing

_ASKED_BY, _ABORTED_BY = aliased(DbUser), aliased(DbUser)


class VMWork(BaseService):
    """A part of VMService."""

    name = "vm_work"

    def __init__(self, core: Core, basis: VMBasis, actions: VMActions, resizing: VMResizing) -> None:
        super().__init__(core)
        self._billing, self._operations = basis.billing, basis.operations
        self._actions, self._resizing = actions, resizing

    # -- looking --------------------------------------------------------------------------------

    def get(self, operation_id: str, *, actor: Actor, to_act: bool = False) -> OperationPage:
        """The operation with its machine, for who belongs to its project, also when the machine is deleted. Three
        statements. Raises NotFoundError; ``to_act``: also PermissionDeniedError, for who may not abort or repeat it."""
        with self.reading() as session:
            row, who, aborted_by = self._read(session, operation_id)
            vm = self._vm(session, row.vm_id, actor)
            if to_act:
                _require_right(row, vm)
            operation = as_operation(row)
            newest = session.scalar(_NEWEST.where(DbOperation.vm_id == row.vm_id))
            sizes = row.details.get("from"), row.details.get("size")
            return OperationPage(
                operation=operation,
                vm=vm,
                who=_name_for(actor, operation.requested_by, who, operation.reason),
                aborted_by=_name_for(actor, operation.aborted_by or "", aborted_by),
                steps=operation_steps(operation),
                said=words_said(operation),
                sizes=(sizes[0], sizes[1]) if sizes[0] and sizes[1] else None,
                abort_problem=_abort_problem(operation, vm, actor),
                again_problem=_again_problem(operation, vm, is_newest=newest == row.id),
            )

    def list_of(
        self,
        user_id: str | None,
        *,
        actor: Actor,
        failed: bool = False,
        before: str = "",
        limit: int = 50,
    ) -> list[OperationLine]:
        """The operations in a person's projects (None: everywhere, for admins), the newest first; ``before`` is the id
        of the last one seen. One statement."""
        query = _LINES.order_by(DbOperation.id.desc()).limit(limit)
        if user_id is None:
            require_admin(actor)
        else:
            require_self(actor, user_id)
            query = query.where(DbVM.project_id.in_(member_projects(user_id)))
        if failed:
            query = query.where(DbOperation.state == OperationState.FAILED)
        if before:
            query = query.where(DbOperation.id < before)
        with self.looking() as session:
            return [_as_line(row, actor) for row in session.execute(query)]

    # -- doing ----------------------------------------------------------------------------------

    def abort(self, operation_id: str, *, actor: Actor) -> None:
        """Ask for it to end: the worker puts back what was done and records how the machine is then. Asked twice, it
        is asked once.

        Raises NotFoundError, PermissionDeniedError, ConflictError (it has come too far, or has ended).
        """
        with self.transaction() as session:
            row, _who, _aborted_by = self._read(session, operation_id)
            vm = self._vm(session, row.vm_id, actor)
            _require_right(row, vm)
            if row.aborted_by is not None and row.state in OPEN_OPERATION_STATES:
                return
            operation = as_operation(row)
            problem = _abort_problem(operation, vm, actor)
            if problem != "" or not self._operations.ask_abort(session, row, actor):
                raise ConflictError(problem or _too_late())
            about = {"operation": row.id, "kind": row.kind}
            self.audit("vm.abort", Subject.vm(vm), about, actor=actor)

    def again(self, operation_id: str, *, actor: Actor, shown: Rates | None = None) -> Operation:
        """Ask for the same once more, as it was asked for; at another price than was ``shown`` nothing is ordered.

        Raises NotFoundError, PermissionDeniedError, ConflictError (it has not failed, something else came after it, the
        machine's state), and what asking for it raises.
        """
        with self.transaction() as session:
            row, _who, _aborted_by = self._read(session, operation_id)
            vm = self._vm(session, row.vm_id, actor)
            _require_right(row, vm)
            self._billing.wallets.locked_vm(session, actor, vm.id, KINDS[OperationKind(row.kind)].right)
            newest = session.scalar(_NEWEST.where(DbOperation.vm_id == row.vm_id))
            problem = _again_problem(as_operation(row), vm, is_newest=newest == row.id)
            if problem != "":
                raise ConflictError(problem or _("There is nothing to try again."))
            return self._ask(KINDS[OperationKind(row.kind)].again or OperationKind(row.kind), row, actor, shown)

    def _ask(self, kind: OperationKind, row: DbOperation, actor: Actor, shown: Rates | None) -> Operation:
        """What trying again does, kind by kind; those without a line of their own need nothing but the machine."""
        special: dict[OperationKind, Callable[[], Operation]] = {
            OperationKind.RESIZE: lambda: self._resizing.request(
                row.vm_id, row.details["size_id"], actor=actor, shown=shown
            ),
        }
        plain = lambda: self._actions.request(kind, row.vm_id, actor=actor, shown=shown)  # noqa: E731
        return special.get(kind, plain)()

    # -- inside ---------------------------------------------------------------------------------

    def _read(self, session: Session, operation_id: str) -> tuple[DbOperation, str | None, str | None]:
        found = session.execute(_ONE.where(DbOperation.id == operation_id)).one_or_none()
        if found is None:
            raise NotFoundError(_("There is no such operation."))
        return found[0], found[1], found[2]

    def _vm(self, session: Session, vm_id: str, actor: Actor) -> VM:
        role = select(DbProjectMember.role).where(
            DbProjectMember.project_id == DbVM.project_id, DbProjectMember.user_id == actor.id
        )
        query = vm_query().add_columns(role.scalar_subquery().label("role")).where(DbVM.id == vm_id)
        row = session.execute(query).one()
        seen_as = as_role(actor, row.role)
        if seen_as is None:
            raise NotFoundError(_("There is no such operation."))
        return as_vm(row, rights=RIGHTS[seen_as])


def _require_right(row: DbOperation, vm: VM) -> None:
    if not vm.allows(KINDS[OperationKind(row.kind)].right):
        raise PermissionDeniedError(_may_not())


def _may_not() -> str:
    return _("Your role in this project does not allow it.")


def _too_late() -> str:
    return _("It has come too far to be aborted: what is being done now cannot be undone.")


def _abort_problem(operation: Operation, vm: VM, actor: Actor) -> str | None:
    if operation.state not in OPEN_OPERATION_STATES:
        return None
    if operation.aborted_by is not None:
        return _("It is being aborted: what was done is put back.")
    if operation.requested_by == SYSTEM.id:
        return _("Zentry itself asked for it.")
    if operation.reason == "admin" and not actor.is_admin:
        return _("An admin asked for it.")
    if not vm.allows(KINDS[operation.kind].right):
        return _may_not()
    return "" if operation.step in KINDS[operation.kind].abort_at else _too_late()


def _again_problem(operation: Operation, vm: VM, *, is_newest: bool) -> str | None:
    aborted = operation.state == OperationState.CANCELLED and operation.aborted_by is not None
    again = KINDS[operation.kind].again
    if again is None or not (aborted or operation.state == OperationState.FAILED):
        return None
    if vm.deleted_at is not None:
        return _("%(name)s has been deleted.", name=vm.name)
    if not is_newest:
        return _("Something else has been ordered since.")
    if not vm.allows(KINDS[operation.kind].right):
        return _may_not()
    if not vm.may(again):
        return _("%(name)s is %(state)s: that cannot be done now.", name=vm.name, state=state_words(vm.state))
    return ""


def _name_for(actor: Actor, user_id: str, name: str | None, reason: str = "") -> str:
    """As activity lists name people: to an owner it matters only that it was an admin."""
    if user_id == SYSTEM.id:
        return "Zentry"
    if reason == "admin" and not actor.is_admin and user_id != actor.id:
        return AN_ADMIN
    return name or ""


def _as_line(row: Any, actor: Actor) -> OperationLine:
    return OperationLine(
        id=row.id,
        kind=OperationKind(row.kind),
        state=OperationState(row.state),
        step=row.step,
        vm_id=row.vm_id,
        vm_name=row.vm_name,
        is_gone=row.deleted_at is not None,
        project_name=row.project_name,
        who=_name_for(actor, row.requested_by, row.who, row.reason),
        created_at=row.created_at,
        finished_at=row.finished_at,
        error=row.error,
    )


_ONE: Any = (
    select(DbOperation, _ASKED_BY.name, _ABORTED_BY.name)
    .outerjoin(_ASKED_BY, _ASKED_BY.id == DbOperation.requested_by)
    .outerjoin(_ABORTED_BY, _ABORTED_BY.id == DbOperation.aborted_by)
)
_NEWEST = select(DbOperation.id).order_by(DbOperation.id.desc()).limit(1)
_LINES: Any = (
    select(
        DbOperation.id, DbOperation.kind, DbOperation.state, DbOperation.step, DbOperation.vm_id, DbOperation.reason,
        DbOperation.requested_by, DbOperation.created_at, DbOperation.finished_at, DbOperation.error,
    )
    .add_columns(DbVM.name.label("vm_name"), DbVM.deleted_at)
    .add_columns(DbProject.name.label("project_name"), DbUser.name.label("who"))
    .join(DbVM, DbVM.id == DbOperation.vm_id)
    .join(DbProject, DbProject.id == DbVM.project_id)
    .outerjoin(DbUser, DbUser.id == DbOperation.requested_by)
)  # fmt: skip
