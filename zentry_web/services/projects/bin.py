"""Deleting projects: everything in them goes into the recycle bin with the click, and comes back with a restore.

Acceptance is one transaction: from its commit on the project and its machines are deleted for everybody, and charged up
to that second. Their last charges and an operation per machine follow in chunks (vm_bin_sets.py): the first by whoever
asked, the others by the worker, which goes on where a killed process was. So nothing has to be remembered but that: how
far the deletion has come is how many machines are off.
"""

from datetime import timedelta

from sqlalchemy import and_, delete, func, select, union, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.credits.budget import BudgetStatus
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, lazy
from zentry_web.domain.projects.project import Project, ProjectAction, ProjectRole
from zentry_web.domain.query_language import EVERYTHING, ListSearch
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vms.bin import BinnedProject, BinnedVM, GoingProject
from zentry_web.domain.vms.state import VMState
from zentry_web.domain.vms.vm import Rates
from zentry_web.models import DbProject, DbProjectMember, DbQuota, DbUser, DbVM
from zentry_web.models.vm import IS_LEAVING, IS_RETURNING
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError, HandedOverError, ValidationError
from zentry_web.services.projects.bin_queries import read_binned_projects
from zentry_web.services.projects.invitations import Invitations
from zentry_web.services.projects.rows import as_project, name_key, require_place, take_name
from zentry_web.services.shared.access import require_member, require_recent_proof, require_self, require_staying
from zentry_web.services.shared.bin_search import binned_conditions
from zentry_web.services.shared.rounds import each_alone, is_round_over
from zentry_web.services.vm_service import VMService

PROTECTED = lazy("This project is protected from deletion. Switch its protection off first.")


class ProjectBin(BaseService):
    """A part of ProjectService. What changes a project for good asks for a recent proof of who it is."""

    name = "project_bin"

    def __init__(self, core: Core, billing: BillingService, vms: VMService, invitations: Invitations) -> None:
        super().__init__(core)
        self._billing = billing
        self._vms = vms
        self._invitations = invitations

    @property
    def keeps_for(self) -> timedelta:
        """How long a deleted project can be restored."""
        return self._vms.bin.keeps_for

    # -- deleting -------------------------------------------------------------------------------

    def preview(self, project_id: str, *, actor: Actor) -> GoingProject:
        """Everything that goes with a project. The number of statements does not depend on how much there is.

        Raises NotFoundError, PermissionDeniedError.
        """
        with self.reading() as session:
            project = require_member(session, actor, project_id, ProjectAction.OWN)
            members = session.execute(
                select(DbUser.name, DbProjectMember.role)
                .join(DbUser, DbUser.id == DbProjectMember.user_id)
                .where(DbProjectMember.project_id == project_id, DbProjectMember.role != ProjectRole.OWNER)
                .order_by(DbUser.name, DbUser.id)
            ).all()
            budget: BudgetStatus | None = self._billing.budgets.get_status(project_id)
            return GoingProject(
                id=project.id,
                name=project.name,
                protected=project.protected,
                vms=tuple(self._vms.list_of_project(project_id)),
                members=tuple((name, ProjectRole(role)) for name, role in members),
                invitations=len(self._invitations.list_open(project_id)),
                binned_vms=_count(session, DbVM.project_id == project_id, DbVM.purge_at.is_not(None)),
                budget_micro=budget.budget.amount_micro if budget else None,
                month_micro=self._billing.reports.project_month_spend(project_id),
            )

    def delete(self, project_id: str, *, actor: Actor) -> None:
        """Accept deleting a project with everything in it; billing ends now.

        Raises NotFoundError, PermissionDeniedError, ProofRequiredError, ConflictError (protected).
        """
        with self.transaction() as session:
            project = self._billing.wallets.locked_project(session, actor, project_id)
            require_recent_proof(actor, self.now())
            if project.protected:
                raise ConflictError(PROTECTED)
            self._vms.bin.sets.mark_deleted(session, project, actor)
            self._vms.machine_images.drop_of_project(session, project, actor)
            self._log("project.delete", project, actor)
            now = self.now()
            kept = self.keeps_for
            self._invitations.end_all(project_id)  # before the project's row, in the order in which joining locks them
            project.deleted_at, project.deleted_by = now, actor.id
            project.purge_at = now + kept if kept else None
            if not kept:
                self._forget(session, project_id)
            self._core.checkpoint("bin.project_deleted")
        self._core.checkpoint("bin.marked")
        self._do_chunk(project_id, actor)

    def set_protection(self, project_id: str, protected: bool, *, actor: Actor) -> None:
        """Protect a project from being deleted, or no longer.

        Raises NotFoundError, PermissionDeniedError, ConflictError (its owner's account is about to be deleted).
        """
        with self.transaction() as session:
            project = self._billing.wallets.locked_project(session, actor, project_id)
            if protected:
                require_staying(session, actor, project.owner_id)
            if project.protected != protected:
                project.protected = protected
                self._log("project.protect" if protected else "project.unprotect", project, actor)

    # -- in the bin -----------------------------------------------------------------------------

    def list_binned(
        self, user_id: str, *, actor: Actor, search: ListSearch = EVERYTHING, before: str = "", limit: int = 50
    ) -> list[BinnedProject]:
        """The projects a person owned and can restore and that fit, newest first; ``before`` is the id of the last one
        seen. Four statements, five with that."""
        require_self(actor, user_id)
        with self.reading() as session:
            prices = self._vms.bin.prices()
            mine = and_(DbProject.owner_id == user_id, *binned_conditions(search, DbProject))
            return read_binned_projects(session, prices, self.now(), mine, before=before, limit=limit)

    def get_binned(
        self, project_id: str, *, actor: Actor, before: str = "", limit: int = 50
    ) -> tuple[BinnedProject, list[BinnedVM]]:
        """One project in the bin and how far its machines are, a page at a time; ``before`` is the id of the last one
        seen. Raises NotFoundError, PermissionDeniedError."""
        with self.reading() as session:
            require_member(session, actor, project_id, ProjectAction.OWN, binned=True)
            prices = self._vms.bin.prices()
            (project,) = read_binned_projects(session, prices, self.now(), DbProject.id == project_id)
            return project, self._vms.bin.list_of_project(project_id, prices, actor=actor, before=before, limit=limit)

    def restore(self, project_id: str, name: str, *, actor: Actor, shown: Rates | None = None) -> Project:
        """Bring a project back under ``name``, its machines stopped, its members as they were; their disks are paid for
        from now on.

        Raises ValidationError (``name``), ConflictError (not all off yet, being purged, too many projects),
        InsufficientCreditsError, BudgetExceededError, QuotaExceededError, PriceChangedError (another price
        for its disks than was ``shown``).
        """
        name = take_name({"name": name})
        with self._vms.payer.words(actor, project_id=project_id), self.transaction() as session:
            project = self._billing.wallets.locked_project(session, actor, project_id, binned=True)
            vms = self._vms.bin.sets.lock_gone(session, project_id)
            if project.purge_at is None or project.purge_at <= self.now():
                raise ConflictError(_("This project is being deleted for good."))
            leaving = _count(session, DbVM.project_id == project_id, IS_LEAVING)
            if leaving or any(vm.state != VMState.BINNED for vm in vms):
                raise ConflictError(_("Not all of its machines are off yet. Try again in a moment."))
            self._vms.payer.require_able(session, actor, project.owner_id)
            most = self._billing.settings.number(SettingKey.MAX_PROJECTS)
            require_place(session, project.owner_id, name, most)
            project.name, project.name_key = name, name_key(name)
            project.deleted_at = project.deleted_by = project.purge_at = None
            session.flush()
            self._log("project.restore", project, actor)
            self._vms.bin.require_affordable(session, vms, actor, shown)
            self._vms.bin.sets.mark_restored(session, project_id, actor)
            self._core.checkpoint("bin.project_restored")
            restored = as_project(project, ProjectRole.OWNER)
        self._core.checkpoint("bin.marked")
        self._do_chunk(project_id, actor)
        return restored

    def purge(self, project_id: str, confirm: str, *, actor: Actor) -> None:
        """Delete a project in the bin for good, now, with all its machines that are in the bin.

        Raises ValidationError (``confirm``), ProofRequiredError, NotFoundError, PermissionDeniedError.
        """
        with self.transaction() as session:
            project = self._billing.wallets.locked_project(session, actor, project_id, binned=True)
            if confirm.strip() != project.name:
                raise ValidationError(
                    _("The name does not match."), details={"confirm": _("This is not the project's name.")}
                )
            require_recent_proof(actor, self.now())
            self._log("project.purge", project, actor)
            self._is_over(session, project)

    # -- the worker's side ----------------------------------------------------------------------

    def go_on(self) -> int:
        """Go on with the machines of projects that were deleted or restored; how many were done with.

        Short transactions, from any number of workers: each machine has its turn once.
        """
        waiting = union(*(select(DbVM.project_id).where(which) for which in (IS_LEAVING, IS_RETURNING)))
        with self.reading() as session:
            project_ids = sorted(session.scalars(waiting))
        return sum(each_alone("bin project", project_ids, self._do_chunks))

    def purge_due(self) -> int:
        """Go on with projects whose time has come: their machines are purged, then the rest; how many ended.

        To be called again and again, from any number of workers.
        """
        with self.reading() as session:
            due = list(session.scalars(select(DbProject.id).where(DbProject.purge_at <= self.now())))
        return sum(each_alone("purge project", due, self._finish))

    def clear(self, user_id: str) -> None:
        """All projects of an account that is deleted go for good; it has no machines any more."""
        with self.reading() as session:
            there = DbProject.deleted_at.is_(None) | DbProject.purge_at.is_not(None)
            mine = list(session.scalars(select(DbProject.id).where(DbProject.owner_id == user_id, there)))
        for project_id in mine:
            with self.transaction() as session:
                project = self._billing.wallets.locked_project_row(session, project_id)
                if project.owner_id != user_id:
                    continue  # somebody took it over just now
                if project.deleted_at is None:
                    self._log("project.delete", project, SYSTEM)
                self._invitations.end_all(project_id)
                project.deleted_at = project.deleted_at or self.now()
                project.purge_at = self.now()
            self._finish(project_id)

    # -- inside ---------------------------------------------------------------------------------

    def _do_chunks(self, project_id: str) -> int:
        done = 0
        while not is_round_over() and (some := self._do_chunk(project_id)):
            done += some
            self.give_way()
        return done

    def _do_chunk(self, project_id: str, actor: Actor | None = None) -> int:
        """The next machines of a project that is deleted or restored; how many."""
        try:
            with self.transaction() as session:
                project = self._billing.wallets.locked_project_row(session, project_id)
                sets = self._vms.bin.sets
                done = sets.leave(session, project, actor) or sets.come_back(session, project, actor)
                self._core.checkpoint("bin.chunk")
        except HandedOverError:
            return 0  # in the next round
        self._core.checkpoint("bin.chunk_committed")
        return done

    def _finish(self, project_id: str) -> bool:
        with self.transaction() as session:
            project = self._billing.wallets.locked_project_row(session, project_id)
            if project.purge_at is None or project.purge_at > self.now():
                return False  # another worker was here
            self._is_over(session, project)
            if _count(session, DbVM.project_id == project_id, DbVM.state != VMState.DELETED):
                return False  # its machines first
            project.purge_at = None
            self._forget(session, project_id)
            self._core.checkpoint("bin.project_purged")
            return True

    def _is_over(self, session: Session, project: DbProject) -> None:
        """From now on it and its machines are due."""
        now = self.now()
        project.purge_at = min(project.purge_at or now, now)
        later = DbVM.project_id == project.id, DbVM.purge_at > now
        run(session, update(DbVM).where(*later).values(purge_at=now, version=DbVM.version + 1))

    def _forget(self, session: Session, project_id: str) -> None:
        """What nobody needs of a project that is gone. Its row stays: charges and events name it."""
        self._billing.budgets.forget(project_id)
        run(session, delete(DbQuota).where(DbQuota.holder_id == project_id))
        gone = DbProjectMember.project_id == project_id, DbProjectMember.role != ProjectRole.OWNER
        run(session, delete(DbProjectMember).where(*gone))

    def _log(self, action: str, project: DbProject, actor: Actor) -> None:
        self.audit(action, Subject.project(project), actor=actor, personal={"project": project.name})


def _count(session: Session, *which: object) -> int:
    query = select(func.count()).select_from(DbVM).where(*which)  # type: ignore[arg-type]
    return session.scalar(query) or 0
