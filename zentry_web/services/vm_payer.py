"""Who pays for a project's machines, as those see it who spend: the owner's wallet, told only to whom it concerns."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.billing import Quote
from zentry_web.domain.project import ProjectAction, may
from zentry_web.domain.quota import Room
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vm import Image, Size
from zentry_web.models import DbProject, DbUser, DbVM
from zentry_web.services.access import find_role, refuse_archived, require_member
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError, InsufficientCreditsError, PermissionDeniedError
from zentry_web.services.quotas import Quotas, size_amounts

NOT_ENOUGH = "The owner of this project has not enough credits for that."


@dataclass(frozen=True, slots=True)
class LaunchQuote:
    """What a launch would cost whom. ``quote`` holds the payer's funds."""

    quote: Quote
    payer_name: str
    is_own: bool
    room: Room  # what quotas leave there


class Payer(BaseService):
    """The owner's wallet behind a project; a part of VMService."""

    name = "vm_payer"

    def __init__(self, core: Core, billing: BillingService, quotas: Quotas) -> None:
        super().__init__(core)
        self._billing = billing
        self._quotas = quotas

    def quote(self, project_id: str, size: Size, image: Image | None = None, *, actor: Actor) -> LaunchQuote:
        """What launching that size with that image would cost the project's owner, for those who may launch there.

        Raises NotFoundError, PermissionDeniedError.
        """
        with self.reading() as session:
            owner_id = require_member(session, actor, project_id, ProjectAction.LAUNCH).owner_id
            name = session.scalars(select(DbUser.name).where(DbUser.id == owner_id)).one()
            room = self._quotas.get_room(project_id, size_amounts(size), actor=actor)
            return LaunchQuote(self._billing.quote(owner_id, size, image), name, owner_id == actor.id, room)

    def lock(self, session: Session, actor: Actor, project_id: str, action: ProjectAction) -> DbProject:
        """Lock the wallet that pays for a project, in the caller's transaction, and read the project under the lock:
        it may have been deleted or handed over meanwhile. Raises what ``require_member`` does, ConflictError."""
        owner_id = require_member(session, actor, project_id, action).owner_id
        self._billing.lock_wallet(owner_id)
        project = require_member(session, actor, project_id, action, fresh=True)
        if project.owner_id != owner_id:
            raise ConflictError("The project was handed over at this moment. Please try again.")
        self.require_able(session, actor, owner_id)
        refuse_archived(project.archived_at)
        return project

    def require_able(self, session: Session, actor: Actor, owner_id: str) -> None:
        """Nobody but Zentry's admins spends from a disabled account. Raises PermissionDeniedError."""
        disabled = session.scalars(select(DbUser.disabled_at).where(DbUser.id == owner_id)).one()
        if disabled is not None and not actor.is_admin:
            raise PermissionDeniedError("The account that pays for this project is disabled.")

    @contextmanager
    def words(self, actor: Actor, *, project_id: str = "", vm_id: str = "") -> Iterator[None]:
        """Around a transaction: a lack of credits is told in the payer's name, amounts only to whom they concern."""
        try:
            yield
        except InsufficientCreditsError as error:
            raise self._worded(error, actor, project_id, vm_id) from error

    def _worded(
        self, error: InsufficientCreditsError, actor: Actor, project_id: str, vm_id: str
    ) -> InsufficientCreditsError:
        query = select(DbProject.id, DbUser.id, DbUser.name).join(DbUser, DbUser.id == DbProject.owner_id)
        if vm_id:
            query = query.join(DbVM, DbVM.project_id == DbProject.id).where(DbVM.id == vm_id)
        else:
            query = query.where(DbProject.id == project_id)
        with self.reading() as session:
            project_id, payer_id, payer = session.execute(query).one()
            knows = may(find_role(session, actor, project_id), ProjectAction.FUNDS)
        if actor.id in (payer_id, SYSTEM.id):
            return error
        amounts = error.details if knows else {}
        return InsufficientCreditsError(NOT_ENOUGH, details=amounts | {"payer": payer})
