"""Moving a machine into another project of the same owner (ADR 0017): who pays stays the same, what it costs too."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.project import Project, ProjectAction, may
from zentry_web.domain.quota import Amounts
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vm import MOVABLE, VMState
from zentry_web.models import DbProject, DbVM
from zentry_web.services.access import find_roles, require_member, require_open, require_payer, require_vm
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError
from zentry_web.services.fields import invalid, storable
from zentry_web.services.quotas import Quotas
from zentry_web.services.vm_operations import OperationQueue
from zentry_web.services.vm_records import billed_vm


class VMMoving(BaseService):
    """A part of VMService. Taking a machine out needs the right to delete it, putting it in that to launch."""

    name = "vm_moving"

    def __init__(
        self,
        core: Core,
        billing: BillingService,
        quotas: Quotas,
        operations: OperationQueue,
        confirmed_end: Callable[[DbVM], datetime],
    ) -> None:
        super().__init__(core)
        self._billing = billing
        self._quotas = quotas
        self._operations = operations
        self._confirmed_end = confirmed_end

    def list_targets(self, vm_id: str, *, actor: Actor = SYSTEM) -> list[Project]:
        """The projects that the machine can be moved into, by name: of its owner, not archived, where the actor may
        launch. Three statements. Raises NotFoundError, PermissionDeniedError."""
        with self.reading() as session:
            vm = require_vm(session, actor, vm_id, ProjectAction.DELETE_VM)
            query = select(DbProject).where(
                DbProject.owner_id == vm.owner_id, DbProject.id != vm.project_id, DbProject.deleted_at.is_(None)
            )
            rows = session.scalars(query.where(DbProject.archived_at.is_(None)).order_by(DbProject.name_key)).all()
            roles = find_roles(session, actor, [row.id for row in rows])
            may_launch = [row for row in rows if may(roles.get(row.id), ProjectAction.LAUNCH)]
            return [Project(row.id, row.owner_id, row.name, row.created_at, roles[row.id]) for row in may_launch]

    def move(self, vm_id: str, project_id: str, *, actor: Actor = SYSTEM) -> None:
        """Move a machine that runs or is off, at once; nothing when it is there already.

        Raises ValidationError (``project_id``: nothing chosen, another owner's, a machine of that name there),
        NotFoundError, PermissionDeniedError, ConflictError (something is under way, an archived project),
        QuotaExceededError and BudgetExceededError of the project it would come into.
        """
        project_id = storable(project_id)
        if not project_id:
            raise invalid({"project_id": "Choose a project."})
        with self.transaction() as session:
            owner_id = require_vm(session, actor, vm_id, ProjectAction.DELETE_VM).owner_id
            self._billing.lock_wallet(owner_id)
            vm = require_vm(session, actor, vm_id, ProjectAction.DELETE_VM, lock=True)
            target = require_member(session, actor, project_id, ProjectAction.LAUNCH, fresh=True)
            if target.id == vm.project_id:
                return
            source = session.get_one(DbProject, vm.project_id)
            self._check(session, vm, target, owner_id)
            self._log("vm.move_out", vm, actor, {"to": target.id}, source)
            vm.project_id = target.id
            session.flush()
            rate = self._billing.open_rate(vm.id)
            if rate:
                self._billing.budgets.require_room(vm, rate)
            event_id = self._log("vm.move", vm, actor, {"from": source.id}, target)
            self._billing.move_interval(billed_vm(vm), self._confirmed_end(vm), event_id=event_id)

    def _check(self, session: Session, vm: DbVM, target: DbProject, owner_id: str) -> None:
        require_payer(vm, owner_id)
        if target.owner_id != owner_id:
            raise invalid({"project_id": "That project belongs to somebody else, whose credits would pay for it."})
        require_open(session, vm.project_id)
        require_open(session, target.id)
        if VMState(vm.state) not in MOVABLE or self._operations.find_open(session, vm.id) is not None:
            raise ConflictError(f"{vm.name} is {vm.state}: it can be moved when that is done.")
        taken = select(DbVM.id).where(
            DbVM.project_id == target.id, DbVM.name == vm.name, DbVM.deleted_at.is_(None)
        )  # fmt: skip
        if session.scalar(taken):
            raise invalid({"project_id": f"That project already has a machine named “{vm.name}”."})
        more = Amounts(1, vm.vcpus, vm.memory_mib, vm.disk_gib)
        self._quotas.require_room(target.id, owner_id, more, field="project_id", moves_in=True)

    def _log(self, action: str, vm: DbVM, actor: Actor, details: dict[str, str], project: DbProject) -> str:
        return self.log_audit_event(
            actor.id, action, "vm", vm.id, details, actor=actor, owner_id=vm.owner_id, project_id=project.id,
            vm_id=vm.id, personal={"project": project.name},
        )  # fmt: skip
