"""ProjectService: what VMs are organised in, and what they add up to."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from zentry_web.domain.project import MAX_PROJECT_NAME, MAX_PROJECTS, Project, ProjectStatistics, ProjectSummary
from zentry_web.domain.text import clean_name, folded
from zentry_web.domain.user import SYSTEM, Actor, User
from zentry_web.domain.vm import VMState
from zentry_web.models import DbProject, DbUsageInterval, DbVM
from zentry_web.services.access import require_project, require_self
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError
from zentry_web.services.fields import Fields, invalid


class ProjectService(BaseService):
    """The projects of all accounts. A deleted project's row stays: its charges and events name it."""

    name = "project"

    def __init__(self, core: Core, billing: BillingService) -> None:
        super().__init__(core)
        self._billing = billing

    # -- changes --------------------------------------------------------------------------------

    def create_project(
        self, project_data: Mapping[str, object], current_user: User, *, actor: Actor = SYSTEM
    ) -> Project:
        """Make a project of ``current_user`` from ``name``.

        Raises ValidationError (``name``: missing, too long, or taken), ConflictError (too many projects).
        """
        require_self(actor, current_user.id)
        name = _take_name(project_data)
        with self.transaction() as session:
            owned = DbProject.owner_id == current_user.id, DbProject.deleted_at.is_(None)
            count = session.scalar(select(func.count()).select_from(DbProject).where(*owned)) or 0
            if count >= MAX_PROJECTS:
                raise ConflictError(f"An account can have at most {MAX_PROJECTS} projects.")
            _refuse_taken(session, current_user.id, name)
            row = DbProject(
                id=self.new_id("prj"),
                owner_id=current_user.id,
                name=name,
                name_key=_name_key(name),
                created_at=self.now(),
                deleted_at=None,
            )
            session.add(row)
            session.flush()
            by = current_user.id if actor is SYSTEM else actor.id
            self._log("project.create", row, actor, {"project": name}, by=by)
            return as_project(row)

    def rename_project(self, project_id: str, name: str, *, actor: Actor = SYSTEM) -> Project:
        """Give a project another name. Raises ValidationError (``name``), NotFoundError."""
        name = _take_name({"name": name})
        with self.transaction() as session:
            row = require_project(session, actor, project_id)
            if row.name == name:
                return as_project(row)
            _refuse_taken(session, row.owner_id, name, but_not=project_id)
            before, row.name, row.name_key = row.name, name, _name_key(name)
            session.flush()
            self._log("project.rename", row, actor, {"project": name, "project_before": before})
            return as_project(row)

    def delete_project(self, project_id: str, *, actor: Actor = SYSTEM) -> None:
        """Delete an empty project. Raises ConflictError while it has VMs that are not deleted, NotFoundError."""
        with self.transaction() as session:
            owner_id = require_project(session, actor, project_id).owner_id
            self._billing.lock_wallet(owner_id)  # no VM is launched into it meanwhile
            row = require_project(session, actor, project_id, fresh=True)
            living = select(func.count()).select_from(DbVM).where(*_living(DbVM.project_id == project_id))
            if count := session.scalar(living):
                machines = "a virtual machine" if count == 1 else f"{count} virtual machines"
                raise ConflictError(f"This project still has {machines}. Delete them first.", details={"vms": count})
            self._billing.budgets.remove_budget(project_id, actor=actor)
            row.deleted_at = self.now()
            self._log("project.delete", row, actor, {"project": row.name})

    # -- looking --------------------------------------------------------------------------------

    def get_project(self, project_id: str, *, actor: Actor = SYSTEM) -> Project:
        """The project, if the actor may see it. Raises NotFoundError (also when deleted)."""
        with self.reading() as session:
            return as_project(require_project(session, actor, project_id))

    def list_choices(self, user_id: str, *, actor: Actor = SYSTEM) -> list[Project]:
        """A person's projects by name, without figures: for forms and filters. One statement."""
        require_self(actor, user_id)
        with self.reading() as session:
            return [as_project(row) for row in _owned(session, user_id)]

    def list_projects(self, user_id: str, *, actor: Actor = SYSTEM) -> list[ProjectSummary]:
        """A person's projects with their figures, by name. The number of statements does not depend on how many."""
        require_self(actor, user_id)
        with self.reading() as session:
            rows = _owned(session, user_id)
            counts = _count_vms(session, *_living(DbVM.owner_id == user_id))
            rates = _rates(session, user_id)
            spend = self._billing.month_spend_by_project(user_id)
            return [_summary(row, counts.get(row.id, {}), rates, spend.get(row.id, 0)) for row in rows]

    def get_project_summary(self, project_id: str, *, actor: Actor = SYSTEM) -> ProjectSummary:
        """One project with its figures. Raises NotFoundError."""
        with self.reading() as session:
            row = require_project(session, actor, project_id)
            counts = _count_vms(session, *_living(DbVM.project_id == project_id))
            rates = _rates(session, row.owner_id, DbUsageInterval.project_id == project_id)
            spend = self._billing.project_month_spend(project_id)
            return _summary(row, counts.get(project_id, {}), rates, spend)

    def get_project_statistics(self, project_id: str, *, actor: Actor = SYSTEM) -> ProjectStatistics:
        """VMs by state, what they take up, and what they cost. Raises NotFoundError."""
        with self.reading() as session:
            row = require_project(session, actor, project_id)
            sums = session.execute(
                select(
                    DbVM.state, func.count(), func.sum(DbVM.vcpus), func.sum(DbVM.memory_mib), func.sum(DbVM.disk_gib)
                )
                .where(*_living(DbVM.project_id == project_id))
                .group_by(DbVM.state)
            ).all()
            rates = _rates(session, row.owner_id, DbUsageInterval.project_id == project_id)
            return ProjectStatistics(
                project_id=project_id,
                vms_by_state={VMState(each[0]): int(each[1]) for each in sums},
                vcpus=sum(int(each[2]) for each in sums),
                memory_mib=sum(int(each[3]) for each in sums),
                disk_gib=sum(int(each[4]) for each in sums),
                rate_micro_per_hour=rates.get(project_id, 0),
                month_micro=self._billing.project_month_spend(project_id),
            )

    # -- inside ---------------------------------------------------------------------------------

    def _log(self, action: str, row: DbProject, actor: Actor, names: dict[str, str], *, by: str | None = None) -> None:
        # What somebody calls a project may be personal: it goes into the table that can be erased.
        self.log_audit_event(
            by or actor.id,
            action,
            "project",
            row.id,
            actor=actor,
            owner_id=row.owner_id,
            project_id=row.id,
            personal=names,
        )


def _owned(session: Session, user_id: str) -> Sequence[DbProject]:
    query = select(DbProject).where(DbProject.owner_id == user_id, DbProject.deleted_at.is_(None))
    return session.scalars(query.order_by(DbProject.name_key)).all()


def as_project(row: DbProject) -> Project:
    """The row as pages see it."""
    return Project(id=row.id, owner_id=row.owner_id, name=row.name, created_at=row.created_at)


def _take_name(data: Mapping[str, object]) -> str:
    fields = Fields(data)
    name = fields.take("name", lambda value: clean_name(value, longest=MAX_PROJECT_NAME), "")
    fields.check()
    return name


def _name_key(name: str) -> str:
    # Folding can make a text longer; two names that differ only behind this point count as the same.
    return folded(name)[:MAX_PROJECT_NAME]


def _refuse_taken(session: Session, owner_id: str, name: str, *, but_not: str = "") -> None:
    taken = select(DbProject.id).where(
        DbProject.owner_id == owner_id,
        DbProject.name_key == _name_key(name),
        DbProject.deleted_at.is_(None),
        DbProject.id != but_not,
    )
    if session.scalar(taken):
        raise invalid({"name": "You already have a project with this name."})


def _living(condition: ColumnElement[bool]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return condition, DbVM.deleted_at.is_(None)


def _count_vms(session: Session, *conditions: ColumnElement[bool]) -> dict[str, dict[VMState, int]]:
    """Project id to VMs by state."""
    query = select(DbVM.project_id, DbVM.state, func.count()).where(*conditions)
    found: dict[str, dict[VMState, int]] = {}
    for project_id, state, count in session.execute(query.group_by(DbVM.project_id, DbVM.state)):
        found.setdefault(project_id, {})[VMState(state)] = count
    return found


def _rates(session: Session, owner_id: str, *conditions: ColumnElement[bool]) -> dict[str, int]:
    """Project id to what its open usage intervals cost: micro-credits per hour, now."""
    query = (
        select(DbUsageInterval.project_id, func.sum(DbUsageInterval.rate_micro_per_hour))
        .where(
            DbUsageInterval.owner_id == owner_id,
            ~DbUsageInterval.settled,  # always so for open ones; names the index that leads to them
            DbUsageInterval.end_at.is_(None),
            *conditions,
        )
        .group_by(DbUsageInterval.project_id)
    )
    return {project_id: int(rate) for project_id, rate in session.execute(query)}


def _summary(row: DbProject, counts: dict[VMState, int], rates: dict[str, int], month_micro: int) -> ProjectSummary:
    return ProjectSummary(
        project=as_project(row),
        vm_count=sum(counts.values()),
        running_count=counts.get(VMState.RUNNING, 0),
        rate_micro_per_hour=rates.get(row.id, 0),
        month_micro=month_micro,
    )
