"""Access is a loader: it returns the thing, or raises as if it did not exist."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.user import Actor, Role
from zentry_web.models import DbProject, DbVM
from zentry_web.services.errors import NotFoundError, PermissionDeniedError, ProofRequiredError

PROOF_LASTS = timedelta(minutes=5)


def require_admin(actor: Actor) -> None:
    """Raise PermissionDeniedError unless ``actor`` is an admin (or Zentry itself)."""
    if not actor.is_admin:
        raise PermissionDeniedError("Only an admin may do this.")


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
        raise ProofRequiredError("Please confirm first that it is you.")


def require_self(actor: Actor, user_id: str) -> None:
    """Raise NotFoundError unless it is the actor's own account, or an admin asks."""
    if actor.id != user_id and not actor.is_admin:
        raise NotFoundError("There is no such account.")


def require_project(session: Session, actor: Actor, project_id: str, *, fresh: bool = False) -> DbProject:
    """The project, if ``actor`` owns it or is an admin; a deleted one counts as gone. Raises NotFoundError.

    ``fresh`` reads it again: for the look after a lock was waited for.
    """
    project = session.get(DbProject, project_id, populate_existing=fresh)
    if project is None or project.deleted_at is not None or not (actor.is_admin or project.owner_id == actor.id):
        raise NotFoundError("There is no such project.")
    return project


def require_vm(session: Session, actor: Actor, vm_id: str, *, lock: bool = False) -> DbVM:
    """The VM, if ``actor`` owns it or is an admin; a deleted one counts as gone. Raises NotFoundError.

    ``lock`` takes a row lock on PostgreSQL; lock the owner's wallet before (the order everywhere).
    """
    query = select(DbVM).where(DbVM.id == vm_id, DbVM.deleted_at.is_(None))
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    vm = session.scalar(query)
    if vm is None or not (actor.is_admin or vm.owner_id == actor.id):
        raise NotFoundError("There is no such virtual machine.")
    return vm
