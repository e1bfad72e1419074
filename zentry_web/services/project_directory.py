"""The projects and invitations of everybody, for admins: searched, filtered, paged by key, and as rows of a file."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, or_, select
from sqlalchemy.orm import Session

from zentry_web.domain.project import ProjectRole
from zentry_web.domain.project_directory import (
    InvitationFilter,
    InvitationRow,
    InvitationState,
    ProjectFilter,
    ProjectRow,
    ProjectSort,
    ProjectState,
)
from zentry_web.domain.text import folded
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vm import VMState
from zentry_web.models import DbProject, DbProjectInvitation, DbProjectMember, DbUser, DbVM
from zentry_web.services.access import require_admin
from zentry_web.services.base_service import BaseService
from zentry_web.services.fields import storable
from zentry_web.services.key_paging import beyond
from zentry_web.services.labels import with_project_labels
from zentry_web.services.project_rows import as_project
from zentry_web.services.rate_limit import RateLimiter
from zentry_web.services.usage_reports import spend_by_project

CHUNK = 500  # rows of a file that are read at once
_SORTS: dict[ProjectSort, tuple[ColumnElement[Any], bool]] = {
    ProjectSort.NEWEST: (DbProject.id.expression, True),
    ProjectSort.OLDEST: (DbProject.id.expression, False),
    ProjectSort.NAME: (DbProject.name_key.expression, False),
    ProjectSort.OWNER: (DbUser.email_key.expression, False),
}


class ProjectDirectory(BaseService):
    """A part of ProjectService. Amounts are micro-credits."""

    name = "project_directory"

    def list_all(
        self,
        wanted: ProjectFilter,
        *,
        actor: Actor = SYSTEM,
        sort: ProjectSort = ProjectSort.NEWEST,
        before: str | None = None,
        limit: int = 50,
    ) -> list[ProjectRow]:
        """Projects that fit with owner, machines, members and cost; admins only. ``before``: the id of the last one
        seen, in the same order. Five statements at most, whatever the number."""
        require_admin(actor)
        key, largest_first = _SORTS[sort]
        query: Any = _query(DbProject, DbUser.email, DbUser.time_zone).where(*_conditions(wanted))
        with self.reading() as session:
            if before is not None:
                before = storable(before)
                seen = session.execute(_query(key).where(DbProject.id == before)).first()
                if seen is not None:
                    query = query.where(
                        beyond(key, seen[0], DbProject.id.expression, before, largest_first=largest_first)
                    )
            order = (key.desc(), DbProject.id.desc()) if largest_first else (key.asc(), DbProject.id.asc())
            return _rows(session, list(session.execute(query.order_by(*order).limit(limit))), self.now())

    def export(
        self, wanted: ProjectFilter, *, actor: Actor = SYSTEM, sort: ProjectSort = ProjectSort.NEWEST
    ) -> Iterator[ProjectRow]:
        """Every project that fits, for a file; admins only. That it was taken is audited. Read in chunks, none of
        which holds a transaction open for the others. Raises RateLimitedError."""
        require_admin(actor)
        RateLimiter(self._core).check_actor("file", actor)
        details = {"state": wanted.state, "searched": bool(wanted)}
        self.log_audit_event(actor.id, "project.list_export", "project_list", "all", details, actor=actor)
        return self._chunks(wanted, actor, sort)

    def list_invitations(
        self, wanted: InvitationFilter, *, actor: Actor = SYSTEM, before: str | None = None, limit: int = 50
    ) -> list[InvitationRow]:
        """Invitations of all projects, newest first, without their secrets; admins only. One statement."""
        require_admin(actor)
        table = DbProjectInvitation
        query = (
            select(table, DbProject.name, DbUser.email)
            .join(DbProject, DbProject.id == table.project_id)
            .join(DbUser, DbUser.id == table.invited_by)
            .where(*_invitation_conditions(wanted, self.now()))
        )
        if before is not None:
            query = query.where(table.id < storable(before))
        with self.reading() as session:
            return [_invitation(row) for row in session.execute(query.order_by(table.id.desc()).limit(limit))]

    # -- inside ---------------------------------------------------------------------------------

    def _chunks(self, wanted: ProjectFilter, actor: Actor, sort: ProjectSort) -> Iterator[ProjectRow]:
        before: str | None = None
        while True:
            rows = self.list_all(wanted, actor=actor, sort=sort, before=before, limit=CHUNK)
            yield from rows
            if len(rows) < CHUNK:
                return
            before = rows[-1].project.id


def _query(*columns: Any) -> Select[Any]:
    return select(*columns).select_from(DbProject).join(DbUser, DbUser.id == DbProject.owner_id)


def _conditions(wanted: ProjectFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if search := storable(wanted.search).strip():
        found.append(or_(DbProject.name_key.contains(folded(search), autoescape=True), DbProject.id == search))
    if owner := storable(wanted.owner).strip():
        found.append(or_(DbUser.email_key.contains(folded(owner), autoescape=True), DbUser.id == owner))
    is_deleted = DbProject.deleted_at.is_not(None)
    found.append(is_deleted if wanted.state == ProjectState.DELETED else ~is_deleted)
    if wanted.state == ProjectState.OPEN:
        found.append(DbProject.archived_at.is_(None))
    if wanted.state == ProjectState.ARCHIVED:
        found.append(DbProject.archived_at.is_not(None))
    return found


def _rows(session: Session, rows: list[Row[DbProject, str, str]], now: datetime) -> list[ProjectRow]:
    """With what the list shows of each; four statements, none for none."""
    if not rows:
        return []
    ids = [project.id for project, _, _ in rows]
    vms = select(DbVM.project_id, DbVM.state, func.count()).where(DbVM.project_id.in_(ids), DbVM.deleted_at.is_(None))
    counts: dict[str, dict[str, int]] = {}
    for project_id, state, count in session.execute(vms.group_by(DbVM.project_id, DbVM.state)):
        counts.setdefault(project_id, {})[state] = count
    people = select(DbProjectMember.project_id, func.count()).where(DbProjectMember.project_id.in_(ids))
    members = {row[0]: row[1] for row in session.execute(people.group_by(DbProjectMember.project_id))}
    spend = spend_by_project(session, {project.id: (project.owner_id, zone) for project, _, zone in rows}, now)
    seen = {each.id: each for each in with_project_labels(session, [as_project(project) for project, _, _ in rows])}
    return [
        ProjectRow(
            project=seen[project.id],
            owner_email=email,
            deleted_at=project.deleted_at,
            vm_count=sum(counts.get(project.id, {}).values()),
            running_count=counts.get(project.id, {}).get(VMState.RUNNING, 0),
            member_count=members.get(project.id, 0),
            month_micro=spend.get(project.id, 0),
        )
        for project, email, _ in rows
    ]


def _invitation_conditions(wanted: InvitationFilter, now: datetime) -> list[ColumnElement[bool]]:
    table, found = DbProjectInvitation, list[ColumnElement[bool]]()
    if search := storable(wanted.search).strip():
        text = folded(search)
        found.append(
            or_(
                table.email_key.contains(text, autoescape=True),
                DbUser.email_key.contains(text, autoescape=True),
                DbProject.name_key.contains(text, autoescape=True),
                table.id == search,
                DbProject.id == search,
            )
        )
    if wanted.state == InvitationState.OPEN:
        found += [table.ended_at.is_(None), table.expires_at > now]
    elif wanted.state == InvitationState.EXPIRED:
        found += [table.ended_at.is_(None), table.expires_at <= now]
    elif wanted.state == InvitationState.ACCEPTED:
        found.append(table.outcome == "accepted")
    elif wanted.state == InvitationState.ENDED:
        found += [table.ended_at.is_not(None), table.outcome != "accepted"]
    return found


def _invitation(found: Row[DbProjectInvitation, str, str]) -> InvitationRow:
    row, project_name, inviter_email = found
    return InvitationRow(
        id=row.id,
        email=row.email,
        role=ProjectRole(row.role),
        project_id=row.project_id,
        project_name=project_name,
        inviter_id=row.invited_by,
        inviter_email=inviter_email,
        created_at=row.created_at,
        expires_at=row.expires_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
    )
