"""The order in which everybody locks: first the wallet that pays, then the machine or project that it pays for."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.user import Actor
from zentry_web.models import DbProject, DbVM
from zentry_web.services.base_service import BaseService
from zentry_web.services.billing.ledger.posting import lock_accounts
from zentry_web.services.shared.access import require_member, require_payer, require_vm

Row = TypeVar("Row", DbProject, DbVM)


class Wallets(BaseService):
    """Locks for the rest of the caller's transaction. What is loaded was read under them, and its owner pays for it:
    all of these raise HandedOverError when that changed while the lock was waited for."""

    name = "wallets"

    def lock(self, *owner_ids: str) -> None:
        """Lock only wallets, in the one order in which everybody does. Raises NotFoundError (no such account)."""
        with self.transaction() as session:
            lock_accounts(session, owner_ids)

    def locked_vm(
        self, session: Session, actor: Actor, vm_id: str, action: ProjectAction, *, binned: bool = False
    ) -> DbVM:
        """The VM, if the actor may do ``action`` to it. Raises what ``require_vm`` does."""
        owner_id = require_vm(session, actor, vm_id, action, binned=binned).owner_id
        return _load(session, owner_id, lambda: require_vm(session, actor, vm_id, action, lock=True, binned=binned))

    def locked_project(
        self,
        session: Session,
        actor: Actor,
        project_id: str,
        action: ProjectAction = ProjectAction.OWN,
        *,
        binned: bool = False,
    ) -> DbProject:
        """The project, if the actor may do ``action`` in it: nothing begins or stops to cost there meanwhile. Raises
        what ``require_member`` does."""
        owner_id = require_member(session, actor, project_id, action, binned=binned).owner_id
        return _load(
            session, owner_id, lambda: require_member(session, actor, project_id, action, fresh=True, binned=binned)
        )

    def locked_vm_row(self, session: Session, vm_id: str) -> DbVM:
        """The VM for Zentry itself, whatever has become of it; it must exist."""
        owner_id = session.scalars(select(DbVM.owner_id).where(DbVM.id == vm_id)).one()
        query = select(DbVM).where(DbVM.id == vm_id).with_for_update().execution_options(populate_existing=True)
        return _load(session, owner_id, lambda: session.scalars(query).one())

    def locked_project_row(self, session: Session, project_id: str) -> DbProject:
        """The project for Zentry itself, whatever has become of it; it must exist."""
        owner_id = session.scalars(select(DbProject.owner_id).where(DbProject.id == project_id)).one()
        return _load(session, owner_id, lambda: session.get_one(DbProject, project_id, populate_existing=True))


def _load(session: Session, owner_id: str, load: Callable[[], Row]) -> Row:
    lock_accounts(session, [owner_id])
    row = load()
    require_payer(row.owner_id, owner_id)
    return row
