"""Access is a loader: it returns the thing, or raises as if it did not exist.

What a role may do is the table in domain/projects/project.py. A stranger gets NotFoundError, a member who lacks the
right PermissionDeniedError. A call that names no action asks for the strictest one: what is forgotten stays closed.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, bindparam, select
from sqlalchemy.orm import Session

from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction, ProjectRole, may
from zentry_web.domain.user import Actor, Role
from zentry_web.models import DbProject, DbProjectMember, DbUser, DbVM
from zentry_web.services.errors import (
    AccountLeavingError,
    ConflictError,
    HandedOverError,
    NotFoundError,
    PermissionDeniedError,
    ProofRequiredError,
)

PROOF_LASTS = timedelta(minutes=5)


def require_admin(actor: Actor) -> None:
    """Raise PermissionDeniedError unless ``actor`` is an admin (or Zentry itself)."""
    if not actor.is_admin:
        raise PermissionDeniedError(_("Only an admin may do this."))


def is_proved(actor: Actor, now: datetime) -> bool:
    """Whether the person proved within the last five minutes who it is, by a log-in or on /account/confirm."""
    if actor.role == Role.SYSTEM:
        return True
    return actor.proved_at is not None and now - actor.proved_at < PROOF_LASTS


def require_recent_proof(actor: Actor, now: datetime) -> None:
    """Before what an unlocked screen or a stolen session must not be enough for. Raises ProofRequiredError.

    A web page then asks for password or factor and leads back; an Actor made of a token has no proof.
    """
    if not is_proved(actor, now):
        raise ProofRequiredError(_("Please confirm first that it is you."))


def require_self(actor: Actor, user_id: str) -> None:
    """Raise NotFoundError unless it is the actor's own account, or an admin asks."""
    if actor.id != user_id and not actor.is_admin:
        raise NotFoundError(_("There is no such account."))


def require_member(
    session: Session,
    actor: Actor,
    project_id: str,
    action: ProjectAction = ProjectAction.OWN,
    *,
    fresh: bool = False,
    binned: bool = False,
) -> DbProject:
    """The project, if ``actor`` may do ``action`` in it; a deleted one counts as gone. One statement.

    ``fresh`` reads it again: for the look after a lock was waited for. ``binned``: one in the recycle bin, no other.
    Raises NotFoundError, PermissionDeniedError.
    """
    asked = {"id": project_id, "actor": actor.id}
    found = session.execute(_PROJECTS[binned], asked, execution_options={"populate_existing": fresh}).one_or_none()
    if found is None:
        raise NotFoundError(_("There is no such project."))
    require_right(as_role(actor, found[1]), action, _("There is no such project."))
    return found[0]


def require_open(session: Session, project_id: str) -> None:
    """Before anything begins in a project, under its owner's wallet lock. Raises ConflictError when it is archived."""
    refuse_archived(session.scalar(select(DbProject.archived_at).where(DbProject.id == project_id)))


def refuse_archived(archived_at: datetime | None) -> None:
    """The same for a project read under that lock just now. Raises ConflictError."""
    if archived_at is not None:
        raise ConflictError(
            _("This project is archived: nothing new begins in it. Take it out of the archive in its settings first.")
        )


def require_vm(
    session: Session,
    actor: Actor,
    vm_id: str,
    action: ProjectAction = ProjectAction.OWN,
    *,
    lock: bool = False,
    binned: bool = False,
) -> DbVM:
    """The VM, if ``actor`` may do ``action`` in its project; a deleted one counts as gone. One statement.

    ``lock`` takes a row lock on PostgreSQL; lock the owner's wallet before (the order everywhere). ``binned``: one in
    the recycle bin, and no other. Raises NotFoundError, PermissionDeniedError.
    """
    asked = {"id": vm_id, "actor": actor.id}
    query = _VMS[binned].with_for_update(of=DbVM) if lock else _VMS[binned]
    found = session.execute(query, asked, execution_options={"populate_existing": lock}).one_or_none()
    if found is None:
        raise NotFoundError(_("There is no such virtual machine."))
    require_right(as_role(actor, found[1]), action, _("There is no such virtual machine."))
    return found[0]


def find_vm_owners(session: Session, vm_ids: Collection[str]) -> dict[str, str]:
    """Who pays for each of these VMs; deleted and unknown ones are left out. One statement, for Zentry itself."""
    query = select(DbVM.id, DbVM.owner_id).where(DbVM.id.in_(vm_ids), DbVM.deleted_at.is_(None))
    return {row.id: row.owner_id for row in session.execute(query)}


def require_payer(owner_id: str, locked_id: str) -> None:
    """After waiting for the lock on ``locked_id``'s wallet: that they are the owner still. Raises HandedOverError."""
    if owner_id != locked_id:
        raise HandedOverError(_("The project was handed over at this moment. Please try again."))


def require_staying(session: Session, actor: Actor, owner_id: str) -> None:
    """Nothing new begins, and nothing is protected, in an account whose deletion was asked for.

    Raises AccountLeavingError.
    """
    leaving_at = session.scalars(
        select(DbUser.deletion_at).where(DbUser.id == owner_id).with_for_update(read=True)
    ).one_or_none()
    if leaving_at is None:
        return
    own = actor.id == owner_id
    raise AccountLeavingError(
        _("Your account is about to be deleted. Call that off first.")
        if own
        else _("The account that owns this is about to be deleted. Call that off first."),
        details={"own": own},
    )


def as_role(actor: Actor, role: str | None) -> ProjectRole | None:
    """As what ``actor`` acts in a project in which they have ``role``: Zentry's admins act as owners."""
    if actor.is_admin:
        return ProjectRole.OWNER
    return ProjectRole(role) if role is not None else None


def find_role(session: Session, actor: Actor, project_id: str) -> ProjectRole | None:
    """As what ``actor`` acts in a project; None for a stranger. One statement, none for admins."""
    return find_roles(session, actor, [project_id]).get(project_id)


def find_roles(session: Session, actor: Actor, project_ids: Collection[str]) -> dict[str, ProjectRole]:
    """As what ``actor`` acts in each of these projects; strangers' are left out. One statement, none for admins."""
    if actor.is_admin:
        return dict.fromkeys(project_ids, ProjectRole.OWNER)
    query = select(DbProjectMember.project_id, DbProjectMember.role).where(
        DbProjectMember.user_id == actor.id, DbProjectMember.project_id.in_(project_ids)
    )
    return {project_id: ProjectRole(role) for project_id, role in session.execute(query)}


def read_audience(session: Session, project_ids: Collection[str]) -> dict[str, frozenset[str]]:
    """The members of each of these projects. One statement, none for none."""
    found: dict[str, set[str]] = {}
    if project_ids:
        query = select(DbProjectMember.project_id, DbProjectMember.user_id)
        for project_id, user_id in session.execute(query.where(DbProjectMember.project_id.in_(project_ids))):
            found.setdefault(project_id, set()).add(user_id)
    return {project_id: frozenset(members) for project_id, members in found.items()}


def member_projects(user_id: Any) -> Select[str]:
    """The ids of the projects that a person (or a parameter of the statement) is a member of, for ``column.in_(…)``."""
    return select(DbProjectMember.project_id).where(DbProjectMember.user_id == user_id)


def _with_role(table: Any, project_id: Any, binned: bool) -> Any:
    """The row with that ``id``, and the role of ``actor`` in its project, if any."""
    membership = and_(DbProjectMember.project_id == project_id, DbProjectMember.user_id == bindparam("actor"))
    there = table.purge_at.is_not(None) if binned else table.deleted_at.is_(None)
    rows = select(table, DbProjectMember.role).outerjoin(DbProjectMember, membership)
    return rows.where(table.id == bindparam("id"), there)


# Built once, by whether the thing is in the recycle bin: nearly every request asks one of them.
_PROJECTS: dict[bool, Select[DbProject, str | None]] = {
    binned: _with_role(DbProject, DbProject.id, binned) for binned in (False, True)
}
_VMS: dict[bool, Select[DbVM, str | None]] = {
    binned: _with_role(DbVM, DbVM.project_id, binned) for binned in (False, True)
}


def require_right(role: ProjectRole | None, action: ProjectAction, gone: str) -> ProjectRole:
    """The role, if it may do that. Raises NotFoundError (``gone``) for a stranger, PermissionDeniedError."""
    if role is None:
        raise NotFoundError(gone)
    if not may(role, action):
        raise PermissionDeniedError(
            _(
                "Your role in this project is “%(role)s”: this needs more. Its owner or an admin can change that.",
                role=role,
            )
        )
    return role
