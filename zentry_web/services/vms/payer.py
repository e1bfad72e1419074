"""Who pays for a project's machines, as those see it who spend: the owner's wallet, told only to whom it concerns."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, replace
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.credits.billing import LaunchQuote
from zentry_web.domain.credits.budget import CapReached
from zentry_web.domain.language import _, lazy
from zentry_web.domain.projects.project import ProjectAction, may
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.catalogue import Image, Size
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.vm import VM, Rates
from zentry_web.models import DbProject, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import InsufficientCreditsError, PermissionDeniedError, PriceChangedError
from zentry_web.services.shared.access import find_role, refuse_archived, require_member
from zentry_web.services.vms.quotas import Quotas, size_amounts

NOT_ENOUGH = lazy("The owner of this project has not enough credits for that.")


class Payer(BaseService):
    """The owner's wallet behind a project; a part of VMService."""

    name = "vm_payer"

    def __init__(self, core: Core, billing: BillingService, quotas: Quotas) -> None:
        super().__init__(core)
        self._billing = billing
        self._quotas = quotas

    def quote(
        self, project_id: str, size: Size, image: Image | None = None, count: int = 1, *, actor: Actor
    ) -> LaunchQuote:
        """What launching ``count`` of that size with that image would cost the project's owner, for those who may
        launch there.

        Raises NotFoundError, PermissionDeniedError.
        """
        with self.reading() as session:
            owner_id = require_member(session, actor, project_id, ProjectAction.LAUNCH).owner_id
            name = session.scalars(select(DbUser.name).where(DbUser.id == owner_id)).one()
            room = self._quotas.get_room(project_id, size_amounts(size).times(count), actor=actor)
        # Outside: with few credits it reckons a plan, which nothing may be open for.
        quote = self._billing.quote(owner_id, size, image, count)
        refusal = self._billing.budgets.find_refusal(project_id, quote.rates.running, actor=actor)
        cap = CapReached(refusal.message, bool(refusal.details["may_change"])) if refusal else None
        return LaunchQuote(quote, name, owner_id == actor.id, room, cap)

    def lock(self, session: Session, actor: Actor, project_id: str, action: ProjectAction) -> DbProject:
        """``locked_project`` for what is to cost its owner something: not when that account is disabled, nor in an
        archived project. Raises what that does, PermissionDeniedError, ConflictError."""
        project = self._billing.wallets.locked_project(session, actor, project_id, action)
        self.require_able(session, actor, project.owner_id)
        refuse_archived(project.archived_at)
        return project

    def require_able(self, session: Session, actor: Actor, owner_id: str) -> None:
        """Nobody but Zentry's admins spends from a disabled account. Raises PermissionDeniedError."""
        disabled = session.scalars(select(DbUser.disabled_at).where(DbUser.id == owner_id)).one()
        if disabled is not None and not actor.is_admin:
            raise PermissionDeniedError(_("The account that pays for this project is disabled."))

    def with_funds(self, vm: VM) -> VM:
        """The machine, as the actor sees it, with whether there are too few credits to start it. One statement, two
        where some credit is promotional; none where nobody could start it anyway."""
        if not (vm.allows(ProjectAction.OPERATE) and vm.may(OperationKind.START)):
            return vm
        needed = self._first_hold(vm.running_micro_per_hour)
        return replace(vm, lacks_credits=self._billing.get_balance(vm.owner_id).available_micro < needed)

    def require_holds(self, owner_id: str, rate_micro_per_hour: int, count: int) -> None:
        """Refuse to start several at that rate unless the wallet, which is locked, can set aside what all of them need.
        Raises InsufficientCreditsError."""
        if count == 1:
            return  # its own hold says so
        window = self._billing.hold_window
        needed = self._first_hold(rate_micro_per_hour) * count
        available = self._billing.get_balance(owner_id).available_micro
        if available < needed:
            minutes = window // timedelta(minutes=1)
            message = _(
                "There are not enough credits to run %(count)s of these for %(minutes)s minutes in advance.",
                count=count,
                minutes=minutes,
            )
            raise InsufficientCreditsError(message, details={"needed": needed, "available": available})

    def _first_hold(self, rate_micro_per_hour: int) -> int:
        return self._billing.calculate_cost(rate_micro_per_hour, self._billing.hold_window // timedelta(seconds=1))

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


def require_shown(shown: Rates | None, now: Rates, message: str) -> None:
    """Refuse with ``message`` what was ordered at another price than the person saw; None: none was shown.

    Raises PriceChangedError.
    """
    if shown is not None and shown != now:
        raise PriceChangedError(message, details={"shown": astuple(shown), "now": astuple(now)})
