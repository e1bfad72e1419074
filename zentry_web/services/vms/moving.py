"""Moving a machine into another project of the same owner (ADR 0017): who pays stays the same, what it costs too."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.usage import BilledVM
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import Project, ProjectAction, may
from zentry_web.domain.projects.quota import Amounts
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.plan import Facts, facts_of
from zentry_web.domain.vms.state import MOVABLE, VMState, state_words
from zentry_web.models import DbProject, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError
from zentry_web.services.shared.access import find_roles, require_member, require_open, require_vm
from zentry_web.services.shared.fields import invalid
from zentry_web.services.shared.undo_book import UndoBook
from zentry_web.services.vms.basis import VMBasis
from zentry_web.services.vms.bin_sets import confirmed_end
from zentry_web.services.vms.planning import require_plan
from zentry_web.services.vms.queries import is_name_taken, read_vm


class VMMoving(BaseService):
    """A part of VMService. Taking a machine out needs the right to delete it, putting it in that to launch."""

    name = "vm_moving"

    def __init__(self, core: Core, basis: VMBasis) -> None:
        super().__init__(core)
        self._billing, self._monitoring, self._operations = basis.billing, basis.monitoring, basis.operations
        self._quotas, self._undo = basis.quotas, UndoBook(core)

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

    def move(
        self,
        vm_id: str,
        project_id: str,
        *,
        actor: Actor = SYSTEM,
        together: str | None = "",
        plan: Facts | None = None,
    ) -> None:
        """Move a machine that runs or is off, at once; nothing when it is there already. It can be undone
        (``together``: see UndoBook.keep). ``plan``: what was shown (``facts_of``); see PlanChangedError.

        Raises ValidationError (``project_id``: nothing chosen, another owner's, a machine of that name there),
        NotFoundError, PermissionDeniedError, ConflictError (something is under way, an archived project),
        QuotaExceededError and BudgetExceededError of the project it would come into.
        """
        if not project_id:
            raise invalid({"project_id": _("Choose a project.")})
        with self.transaction() as session:
            vm = self._billing.wallets.locked_vm(session, actor, vm_id, ProjectAction.DELETE_VM)
            target = require_member(session, actor, project_id, ProjectAction.LAUNCH, fresh=True)
            if target.id == vm.project_id:
                return
            source = session.get_one(DbProject, vm.project_id)
            self._check(session, vm, target)
            if plan is not None:
                require_plan(plan, facts_of(read_vm(session, vm.id)))
            left = {"project": source.name}
            self.audit("vm.move_out", Subject.vm(vm), {"to": target.id}, actor=actor, personal=left)
            vm.project_id = target.id
            session.flush()
            rate = self._billing.open_rate(vm.id)
            if rate:
                self._billing.budgets.require_room(vm, rate)
            new = {"project": target.name}
            event_id = self.audit("vm.move", Subject.vm(vm), {"from": source.id}, actor=actor, personal=new)
            at = confirmed_end(vm, self._monitoring.get_compute_status(), self.now())
            self._billing.move_interval(BilledVM.of(vm), at, event_id=event_id)
            was = {"project_id": source.id, "then": target.id}
            self._undo.keep("vm.move", vm.id, event_id, was, actor=actor, together=together)

    def _check(self, session: Session, vm: DbVM, target: DbProject) -> None:
        if target.owner_id != vm.owner_id:
            raise invalid({"project_id": _("That project belongs to somebody else, whose credits would pay for it.")})
        require_open(session, vm.project_id)
        require_open(session, target.id)
        if VMState(vm.state) not in MOVABLE or self._operations.find_open(session, vm.id) is not None:
            raise ConflictError(
                _(
                    "%(name)s is %(state)s: it can be moved when that is done.",
                    name=vm.name,
                    state=state_words(vm.state),
                )
            )
        if is_name_taken(session, target.id, vm.name):
            raise invalid({"project_id": _("That project already has a machine named “%(name)s”.", name=vm.name)})
        more = Amounts(1, vm.vcpus, vm.memory_mib, vm.disk_gib)
        self._quotas.require_room(target.id, vm.owner_id, more, field="project_id", moves_in=True)
