"""Projects by a few letters: for the command palette."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, or_, select

from zentry_web.domain.projects.project import Project
from zentry_web.domain.search import fit
from zentry_web.domain.user import Actor
from zentry_web.models import DbProject, DbProjectMember, DbUser
from zentry_web.services.base_service import BaseService
from zentry_web.services.projects.rows import as_project
from zentry_web.services.shared.access import as_role
from zentry_web.services.shared.finding import CANDIDATES, in_order, nearness


class ProjectFinder(BaseService):
    """A part of ProjectService."""

    name = "project_finder"

    def find(self, words: Sequence[str], limit: int, *, actor: Actor) -> list[Project]:
        """The projects whose names fit best: those the actor belongs to; for admins all, their own first. One
        statement."""
        fits = (or_(in_order(DbProject.name_key, word), DbProject.id == word) for word in words)
        own_first = DbProjectMember.role.is_(None), *nearness(DbProject.name_key, words), DbProject.id
        found = self._read(*fits, order=own_first, actor=actor)
        ordered = sorted(found, key=lambda each: (not each[1], fit(words, each[0].name, each[0].id) or 10**6))
        return [project for project, _ in ordered][:limit]

    def list_these(self, project_ids: Sequence[str], *, actor: Actor) -> list[Project]:
        """Those of these projects that ``actor`` sees, in the order of their ids here. One statement."""
        there = DbProject.id.in_(project_ids)
        found = {project.id: project for project, _ in self._read(there, order=(DbProject.id,), actor=actor)}
        return [found[each] for each in project_ids if each in found]

    def _read(self, *conditions: ColumnElement[bool], order: Sequence[Any], actor: Actor) -> list[tuple[Project, bool]]:
        """The projects, and whether ``actor`` is a member."""
        mine = (DbProjectMember.project_id == DbProject.id) & (DbProjectMember.user_id == actor.id)
        query: Any = select(DbProject, DbProjectMember.role, DbUser.name)
        query = query.join(DbUser, DbUser.id == DbProject.owner_id).outerjoin(DbProjectMember, mine)
        query = query.where(*conditions, DbProject.deleted_at.is_(None))
        if not actor.is_admin:
            query = query.where(DbProjectMember.role.is_not(None))
        with self.reading() as session:
            rows = session.execute(query.order_by(*order).limit(CANDIDATES)).all()
            return [(as_project(row, as_role(actor, role), owner), role is not None) for row, role, owner in rows]
