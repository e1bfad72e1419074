"""Rows of projects: as pages see them, and what their names must be."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.language import _
from zentry_web.domain.projects.project import MAX_PROJECT_NAME, Project, ProjectColour, ProjectRole
from zentry_web.domain.text import clean_name, folded
from zentry_web.models import DbProject
from zentry_web.services.errors import ConflictError
from zentry_web.services.shared.fields import Fields, invalid

# What pages see of the row: plain columns, for a list has many.
PROJECT_COLUMNS = (
    DbProject.id, DbProject.owner_id, DbProject.name, DbProject.created_at, DbProject.description, DbProject.colour,
    DbProject.archived_at, DbProject.protected,
)  # fmt: skip


def as_project(row: Any, role: ProjectRole | None = None, owner_name: str = "") -> Project:
    """The row, or its PROJECT_COLUMNS, as pages see it; ``role`` is that of the one who looks."""
    return Project(
        id=row.id,
        owner_id=row.owner_id,
        name=row.name,
        created_at=row.created_at,
        role=role,
        owner_name=owner_name,
        description=row.description,
        colour=ProjectColour(row.colour) if row.colour else None,
        archived_at=row.archived_at,
        protected=row.protected,
    )


def parse_name(value: object) -> str:
    """A project's name. Raises ValueError."""
    return clean_name(value, longest=MAX_PROJECT_NAME)


def take_name(data: Mapping[str, object]) -> str:
    """The name in ``data``. Raises ValidationError."""
    fields = Fields(data)
    name = fields.take("name", parse_name, "")
    fields.check()
    return name


def name_key(name: str) -> str:
    """What decides whether two names are the same."""
    # Folding can make a text longer; two names that differ only behind this point count as the same.
    return folded(name)[:MAX_PROJECT_NAME]


def refuse_taken(session: Session, owner_id: str, name: str, *, but_not: str = "") -> None:
    """Raise ValidationError when the owner has another project of that name."""
    taken = select(DbProject.id).where(
        DbProject.owner_id == owner_id,
        DbProject.name_key == name_key(name),
        DbProject.deleted_at.is_(None),
        DbProject.id != but_not,
    )
    if session.scalar(taken):
        raise invalid({"name": _("You already have a project with this name.")})


def require_place(session: Session, owner_id: str, name: str, most: int) -> None:
    """Refuse another project of that name for this owner, and one too many. Raises ValidationError, ConflictError."""
    mine = DbProject.owner_id == owner_id, DbProject.deleted_at.is_(None)
    if (session.scalar(select(func.count()).select_from(DbProject).where(*mine)) or 0) >= most:
        raise ConflictError(_("An account can have at most %(most)s projects.", most=most))
    refuse_taken(session, owner_id, name)
