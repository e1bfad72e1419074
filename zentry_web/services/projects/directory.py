"""The projects and invitations of everybody, for admins: searched, filtered, paged by key, and as rows of a file."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, not_, or_, select
from sqlalchemy.orm import Session

from zentry_web.domain.event import Subject
from zentry_web.domain.list_keys import count_bounds, date_bounds, terms_of
from zentry_web.domain.projects.project import ProjectRole
from zentry_web.domain.projects.project_directory import (
    InvitationFilter,
    InvitationRow,
    InvitationState,
    ProjectRow,
    ProjectSort,
    ProjectState,
)
from zentry_web.domain.query_language import ListSearch, Term
from zentry_web.domain.text import folded
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbProject, DbProjectInvitation, DbProjectMember, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.projects.rows import as_project
from zentry_web.services.shared.access import require_admin
from zentry_web.services.shared.comparing import conditions_of, inclusive, within
from zentry_web.services.shared.fields import email_part, storable
from zentry_web.services.shared.labels import project_labelled, with_project_labels
from zentry_web.services.shared.paging import CHUNK, beyond, in_chunks, in_order, page_of
from zentry_web.services.shared.rate_limits import RateLimiter

_ID = DbProject.id.expression
_SORTS: dict[ProjectSort, tuple[ColumnElement[Any], bool]] = {
    ProjectSort.NEWEST: (_ID, True),
    ProjectSort.OLDEST: (_ID, False),
    ProjectSort.NAME: (DbProject.name_key.expression, False),
    ProjectSort.NAME_DOWN: (DbProject.name_key.expression, True),
    ProjectSort.OWNER: (DbUser.email_key.expression, False),
    ProjectSort.OWNER_DOWN: (DbUser.email_key.expression, True),
}


class ProjectDirectory(BaseService):
    """A part of ProjectService. Amounts are micro-credits."""

    name = "project_directory"

    def __init__(self, core: Core, billing: BillingService) -> None:
        super().__init__(core)
        self._billing = billing

    def list_all(
        self,
        wanted: ListSearch,
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
                seen = session.execute(_query(key).where(DbProject.id == before)).first()
                if seen is not None:
                    query = query.where(beyond(key, seen[0], _ID, before, largest_first=largest_first))
            query = query.order_by(*in_order(key, _ID, largest_first=largest_first))
            return self._rows(session, list(session.execute(query.limit(limit))))

    def export(
        self, wanted: ListSearch, *, actor: Actor = SYSTEM, sort: ProjectSort = ProjectSort.NEWEST
    ) -> Iterator[ProjectRow]:
        """Every project that fits, for a file; admins only. That it was taken is audited. Read in chunks, none of
        which holds a transaction open for the others. Raises RateLimitedError."""
        require_admin(actor)
        RateLimiter(self._core).check_actor("file", actor)
        details = {"searched": bool(wanted)}
        self.audit("project.list_export", Subject("project_list", "all"), details, actor=actor)

        def read(before: str | None) -> tuple[Sequence[ProjectRow], str | None]:
            rows = self.list_all(wanted, actor=actor, sort=sort, before=before, limit=CHUNK)
            return page_of(rows, CHUNK, lambda row: row.project.id)

        return in_chunks(read)

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
            query = query.where(table.id < before)
        with self.reading() as session:
            return [_as_invitation(row) for row in session.execute(query.order_by(table.id.desc()).limit(limit))]

    # -- inside ---------------------------------------------------------------------------------

    def _rows(self, session: Session, rows: list[Row[DbProject, str, str]]) -> list[ProjectRow]:
        """With what the list shows of each; four statements, none for none."""
        if not rows:
            return []
        ids = [project.id for project, _, _ in rows]
        vms = select(DbVM.project_id, DbVM.state, func.count()).where(
            DbVM.project_id.in_(ids), DbVM.deleted_at.is_(None)
        )
        counts: dict[str, dict[str, int]] = {}
        for project_id, state, count in session.execute(vms.group_by(DbVM.project_id, DbVM.state)):
            counts.setdefault(project_id, {})[state] = count
        people = select(DbProjectMember.project_id, func.count()).where(DbProjectMember.project_id.in_(ids))
        members = {row[0]: row[1] for row in session.execute(people.group_by(DbProjectMember.project_id))}
        spend = self._billing.reports.spend_by_project(
            {project.id: (project.owner_id, zone) for project, _, zone in rows}
        )
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


def _query(*columns: Any) -> Select[Any]:
    return select(*columns).select_from(DbProject).join(DbUser, DbUser.id == DbProject.owner_id)


def _conditions(wanted: ListSearch) -> list[ColumnElement[bool]]:
    """Deleted ones are found only where their state is asked for."""

    def condition(term: Term) -> ColumnElement[bool]:
        value = storable(term.value)
        if term.key == "created":
            return within(DbProject.created_at, *date_bounds(value, wanted.zone))
        return _CONDITIONS[term.key](value)

    found = conditions_of(wanted, condition)
    if not terms_of(wanted.terms, "state"):
        found.append(DbProject.deleted_at.is_(None))
    return found


def _state(value: str) -> ColumnElement[bool]:
    if value == ProjectState.DELETED:
        return DbProject.deleted_at.is_not(None)
    archived = DbProject.archived_at.is_not(None)
    return and_(DbProject.deleted_at.is_(None), archived if value == ProjectState.ARCHIVED else not_(archived))


def _name(value: str) -> ColumnElement[bool]:
    return DbProject.name_key.contains(folded(value), autoescape=True)


def _machines(value: str) -> ColumnElement[bool]:
    theirs = (DbVM.project_id == DbProject.id) & DbVM.deleted_at.is_(None)
    return within(
        select(func.count()).select_from(DbVM).where(theirs).scalar_subquery(), *inclusive(count_bounds(value))
    )


_CONDITIONS: dict[str, Callable[[str], ColumnElement[bool]]] = {
    "": lambda value: or_(_name(value), DbProject.id == value),
    "name": _name,
    "state": _state,
    "owner": lambda value: or_(DbUser.email_key.contains(email_part(value), autoescape=True), DbUser.id == value),
    "machines": _machines,
    "label": lambda value: and_(*project_labelled(value)),
}


def _invitation_conditions(wanted: InvitationFilter, now: datetime) -> list[ColumnElement[bool]]:
    table, found = DbProjectInvitation, list[ColumnElement[bool]]()
    if search := storable(wanted.search).strip():
        text = folded(search)
        found.append(
            or_(
                table.email_key.contains(email_part(search), autoescape=True),
                DbUser.email_key.contains(email_part(search), autoescape=True),
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


def _as_invitation(found: Row[DbProjectInvitation, str, str]) -> InvitationRow:
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
