"""ProjectService: what VMs are organised in, and what they add up to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Row, bindparam, func, select
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.event import Event, Subject
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import (
    Project,
    ProjectAction,
    ProjectRole,
    ProjectStatistics,
    ProjectSummary,
    may,
)
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.user import SYSTEM, Actor, User
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbEvent, DbProject, DbProjectMember, DbUsageInterval, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import NotFoundError
from zentry_web.services.monitoring_service import MonitoringService
from zentry_web.services.projects.bin import ProjectBin
from zentry_web.services.projects.directory import ProjectDirectory
from zentry_web.services.projects.figures import read_statistics
from zentry_web.services.projects.finding import ProjectFinder
from zentry_web.services.projects.invitations import Invitations
from zentry_web.services.projects.members import Members
from zentry_web.services.projects.ownership import Ownership
from zentry_web.services.projects.rows import PROJECT_COLUMNS, as_project, name_key, require_place, take_name
from zentry_web.services.projects.settings import ProjectSettings
from zentry_web.services.shared.access import find_role, member_projects, require_member, require_self, require_staying
from zentry_web.services.shared.event_log import for_viewer, read_events
from zentry_web.services.shared.labels import with_project_labels
from zentry_web.services.vm_service import VMService


class ProjectService(BaseService):
    """The projects of all accounts. A deleted project's row stays: its charges and events name it."""

    name = "project"

    def __init__(
        self,
        core: Core,
        billing: BillingService,
        vms: VMService,
        monitoring: MonitoringService,
    ) -> None:
        super().__init__(core)
        self._billing = billing
        self._monitoring = monitoring
        self.directory = ProjectDirectory(core, billing)
        self.finder = ProjectFinder(core)
        self.members = Members(core, billing.notices)
        self.invitations = Invitations(core, billing.notices, billing.settings)
        self.settings = ProjectSettings(core, billing)
        self.bin = ProjectBin(core, billing, vms, self.invitations)
        self.ownership = Ownership(core, billing, vms)

    # -- changes --------------------------------------------------------------------------------

    def create_project(
        self, project_data: Mapping[str, object], current_user: User, *, actor: Actor = SYSTEM
    ) -> Project:
        """Make a project of ``current_user`` from ``name``.

        Raises ValidationError (``name``: missing, too long, or taken), ConflictError (too many projects),
        AccountLeavingError.
        """
        require_self(actor, current_user.id)
        name = take_name(project_data)
        with self.transaction() as session:
            require_staying(session, actor, current_user.id)
            require_place(session, current_user.id, name, self._billing.settings.number(SettingKey.MAX_PROJECTS))
            row = DbProject(
                id=self.new_id("prj"),
                owner_id=current_user.id,
                name=name,
                name_key=name_key(name),
                created_at=self.now(),
                deleted_at=None,
            )
            session.add(row)
            session.flush()
            by = current_user.id if actor is SYSTEM else actor.id
            owner = ProjectRole.OWNER
            session.add(
                DbProjectMember(project_id=row.id, user_id=row.owner_id, role=owner, since=self.now(), added_by=by)
            )
            self.audit("project.create", Subject.project(row), actor=replace(actor, id=by), personal={"project": name})
            return as_project(row, owner)

    def rename_project(self, project_id: str, name: str, *, actor: Actor = SYSTEM) -> Project:
        """Give a project another name. Raises ValidationError (``name``), NotFoundError."""
        return self.settings.rename(project_id, name, actor=actor)

    def delete_project(self, project_id: str, *, actor: Actor = SYSTEM) -> None:
        """Accept deleting a project with all that is in it: into the recycle bin, or for good where there is none.

        See ``bin.delete`` for what it raises.
        """
        self.bin.delete(project_id, actor=actor)

    # -- looking --------------------------------------------------------------------------------

    def get_project(
        self, project_id: str, *, actor: Actor = SYSTEM, action: ProjectAction = ProjectAction.VIEW
    ) -> Project:
        """The project, if the actor may do ``action`` in it. Raises NotFoundError (also when deleted),
        PermissionDeniedError."""
        with self.reading() as session:
            row = require_member(session, actor, project_id, action)
            return _seen(session, actor, row)

    def list_choices(
        self, user_id: str, *, actor: Actor = SYSTEM, action: ProjectAction = ProjectAction.VIEW
    ) -> list[Project]:
        """The projects in which a person may do ``action``, by name, without figures: for forms and filters.

        Nothing is launched in archived ones. One statement.
        """
        require_self(actor, user_id)
        with self.reading() as session:
            found = [as_project(row, ProjectRole(role), owner) for row, role, owner, _ in _joined(session, user_id)]
        is_open = [each for each in found if action != ProjectAction.LAUNCH or not each.is_archived]
        return [project for project in is_open if may(project.role, action)]

    def list_with_zones(self, user_id: str) -> tuple[str, list[tuple[Project, str]], dict[VMState, int]]:
        """An account's time zone, the projects it belongs to, by name, with its role in each and the zone of its owner,
        and how many VMs are in each state in them. One statement. Raises NotFoundError."""
        with self.reading() as session:
            rows = session.execute(_WITH_ZONES, {"user": user_id}).all()
        if not rows:
            raise NotFoundError(_("There is no such account."))
        found: dict[str, tuple[Project, str]] = {}
        counts: dict[VMState, int] = {}
        for row in rows:
            if row.id is not None and row.id not in found:
                found[row.id] = as_project(row, ProjectRole(row.member_role), row.owner_name), row.owner_zone
            if row.state is not None:
                counts[VMState(row.state)] = counts.get(VMState(row.state), 0) + row.vms
        return rows[0].zone, list(found.values()), counts

    def list_projects(
        self, user_id: str, *, actor: Actor = SYSTEM, archived: bool | None = False
    ) -> list[ProjectSummary]:
        """The projects a person belongs to with their figures, by name: those in use, or the ``archived`` ones (None:
        all). The number of statements does not depend on how many there are."""
        require_self(actor, user_id)
        with self.reading() as session:
            rows = _joined(session, user_id)
            counts = _count_vms(session, *_living(DbVM.project_id.in_(member_projects(user_id))))
            rates = _rates(session, {row.owner_id for row, *_ in rows})
            spend = self._billing.reports.month_spend_by_project(user_id)
            shared = {row.id: (row.owner_id, zone) for row, _, _, zone in rows if row.owner_id != user_id}
            spend |= self._billing.reports.spend_by_project(shared)
            seen = [as_project(row, ProjectRole(role), owner) for row, role, owner, _ in rows]
            wanted = [each for each in seen if archived is None or each.is_archived == archived]
            wanted = with_project_labels(session, wanted)
            return [_summary(each, counts.get(each.id, {}), rates, spend.get(each.id, 0)) for each in wanted]

    def get_project_summary(
        self, project_id: str, *, actor: Actor = SYSTEM, action: ProjectAction = ProjectAction.VIEW
    ) -> ProjectSummary:
        """One project with its figures, if the actor may do ``action`` in it. Raises as ``get_project``."""
        with self.reading() as session:
            row = require_member(session, actor, project_id, action)
            project = _seen(session, actor, row)
            counts = _count_vms(session, *_living(DbVM.project_id == project_id))
            rates = _rates(session, [row.owner_id], DbUsageInterval.project_id == project_id)
            spend = self._billing.reports.project_month_spend(project_id)
            return _summary(project, counts.get(project_id, {}), rates, spend)

    def get_project_statistics(self, project_id: str, *, actor: Actor = SYSTEM) -> ProjectStatistics:
        """VMs by state, what they take up, what they cost today, this month and to its end, and the busiest ones.

        The number of statements does not depend on how many VMs there are. Raises NotFoundError.
        """
        with self.reading() as session:
            row = require_member(session, actor, project_id, ProjectAction.VIEW)
            return read_statistics(session, row, self._billing, self._monitoring)

    def list_activity(
        self, project_id: str, *, actor: Actor = SYSTEM, before: int | None = None, limit: int = 50
    ) -> list[Event]:
        """What was done in the project, newest first; ``before`` is the ``seq`` of the last row seen. Raises
        NotFoundError."""
        with self.reading() as session:
            require_member(session, actor, project_id, ProjectAction.VIEW)
            events = read_events(session, DbEvent.project_id == project_id, before=before, limit=limit, endings=False)
        return for_viewer(events, actor)


def _read_with_zones() -> Any:
    user: Any = bindparam("user")
    owner, here = aliased(DbUser), _living(DbVM.project_id.in_(member_projects(user)))
    states = select(DbVM.project_id, DbVM.state, func.count().label("vms")).where(*here)
    counted = states.group_by(DbVM.project_id, DbVM.state).subquery()
    return (
        select(DbUser.time_zone.label("zone"), *PROJECT_COLUMNS, counted.c.state, counted.c.vms)
        .add_columns(owner.time_zone.label("owner_zone"), owner.name.label("owner_name"))
        .add_columns(DbProjectMember.role.label("member_role"))
        .outerjoin(DbProjectMember, DbProjectMember.user_id == DbUser.id)
        .outerjoin(DbProject, (DbProject.id == DbProjectMember.project_id) & DbProject.deleted_at.is_(None))
        .outerjoin(owner, owner.id == DbProject.owner_id)
        .outerjoin(counted, counted.c.project_id == DbProject.id)
        .where(DbUser.id == user)
        .order_by(DbProject.name_key, DbProject.id)
    )


def _joined(session: Session, user_id: str) -> Sequence[Row[DbProject, str, str, str]]:
    """The projects a person belongs to: with their role, and the owner's name and time zone."""
    query = (
        select(DbProject, DbProjectMember.role, DbUser.name, DbUser.time_zone)
        .join(DbProjectMember, DbProjectMember.project_id == DbProject.id)
        .join(DbUser, DbUser.id == DbProject.owner_id)
        .where(DbProjectMember.user_id == user_id, DbProject.deleted_at.is_(None))
    )
    return session.execute(query.order_by(DbProject.name_key, DbProject.id)).all()


def _seen(session: Session, actor: Actor, row: DbProject) -> Project:
    owner_name = session.scalars(select(DbUser.name).where(DbUser.id == row.owner_id)).one()
    return with_project_labels(session, [as_project(row, find_role(session, actor, row.id), owner_name)])[0]


def _living(condition: ColumnElement[bool]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return condition, DbVM.deleted_at.is_(None)


def _count_vms(session: Session, *conditions: ColumnElement[bool]) -> dict[str, dict[VMState, int]]:
    """Project id to VMs by state."""
    query = select(DbVM.project_id, DbVM.state, func.count()).where(*conditions)
    found: dict[str, dict[VMState, int]] = {}
    for project_id, state, count in session.execute(query.group_by(DbVM.project_id, DbVM.state)):
        found.setdefault(project_id, {})[VMState(state)] = count
    return found


def _rates(session: Session, owner_ids: Collection[str], *conditions: ColumnElement[bool]) -> dict[str, int]:
    """Project id to what its open usage intervals cost: micro-credits per hour, now."""
    query = (
        select(DbUsageInterval.project_id, func.sum(DbUsageInterval.rate_micro_per_hour))
        .where(
            DbUsageInterval.owner_id.in_(owner_ids),
            ~DbUsageInterval.settled,  # always so for open ones; names the index that leads to them
            DbUsageInterval.end_at.is_(None),
            *conditions,
        )
        .group_by(DbUsageInterval.project_id)
    )
    return {project_id: int(rate) for project_id, rate in session.execute(query)}


def _summary(project: Project, counts: dict[VMState, int], rates: dict[str, int], month_micro: int) -> ProjectSummary:
    return ProjectSummary(
        project=project,
        vm_count=sum(counts.values()),
        running_count=counts.get(VMState.RUNNING, 0),
        rate_micro_per_hour=rates.get(project.id, 0),
        month_micro=month_micro,
    )


_WITH_ZONES = _read_with_zones()  # built once: the overview asks it
