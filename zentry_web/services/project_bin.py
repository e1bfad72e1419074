"""Deleting projects: everything in them goes into the recycle bin with the click, and comes back with a restore.

Acceptance is one transaction: from its commit on the project and its machines are deleted for everybody, and charged up
to that second. Their last charges and an operation per machine follow in chunks (vm_bin_sets.py): the first by whoever
asked, the others by the worker, which goes on where a killed process was. So nothing has to be remembered but that: how
far the deletion has come is how many machines are off.
"""

from datetime import timedelta
from typing import cast

from sqlalchemy import Table, delete, func, select, union, update
from sqlalchemy.orm import Session

from zentry_web.domain.bin import BinnedProject, BinnedVM, GoingProject
from zentry_web.domain.budget import BudgetStatus
from zentry_web.domain.project import Project, ProjectAction, ProjectRole
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.domain.vm import VMState
from zentry_web.models import DbProject, DbProjectMember, DbQuota, DbUser, DbVM
from zentry_web.models.vm import IS_LEAVING, IS_RETURNING
from zentry_web.services.access import require_member, require_recent_proof, require_self, require_staying
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.bin_queries import read_binned_projects, read_binned_vms
from zentry_web.services.errors import ConflictError, ValidationError
from zentry_web.services.invitations import Invitations
from zentry_web.services.project_rows import as_project, name_key, refuse_taken, take_name
from zentry_web.services.usage import BUDGET
from zentry_web.services.vm_bin import RESTORE_FACTS
from zentry_web.services.vm_bin_sets import went_with
from zentry_web.services.vm_queries import as_vm, vm_query
from zentry_web.services.vm_service import VMService

PROTECTED = "This project is protected from deletion. Switch its protection off first."
HANDED_OVER = "The project was handed over at this moment. Please try again."
_QUOTA = cast(Table, DbQuota.__table__)


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
            here = DbVM.project_id == project_id, DbVM.deleted_at.is_(None)
            vms = [as_vm(row) for row in session.execute(vm_query().where(*here).order_by(DbVM.name, DbVM.id))]
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
                vms=tuple(vms),
                members=tuple((name, ProjectRole(role)) for name, role in members),
                invitations=len(self._invitations.list_open(project_id)),
                binned_vms=_count(session, DbVM.project_id == project_id, DbVM.purge_at.is_not(None)),
                budget_micro=budget.budget.amount_micro if budget else None,
                month_micro=self._billing.project_month_spend(project_id),
            )

    def delete(self, project_id: str, *, actor: Actor) -> None:
        """Accept deleting a project with everything in it; billing ends now.

        Raises NotFoundError, PermissionDeniedError, ProofRequiredError, ConflictError (protected).
        """
        with self.transaction() as session:
            project = self._lock(session, actor, project_id)
            require_recent_proof(actor, self.now())
            if project.protected:
                raise ConflictError(PROTECTED)
            self._vms.bin.sets.mark_deleted(session, project, actor)
            self._log("project.delete", project, actor)
            now = self.now()
            kept = self.keeps_for
            self._invitations.end_all(project_id)  # before the project's row, in the order in which joining locks them
            project.deleted_at, project.deleted_by = now, actor.id
            project.purge_at = now + kept if kept else None
            if not kept:
                _forget(session, project_id)
            self._core.checkpoint("bin.project_deleted")
        self._core.checkpoint("bin.marked")
        self._do_chunk(project_id, actor)

    def set_protection(self, project_id: str, protected: bool, *, actor: Actor) -> None:
        """Protect a project from being deleted, or no longer.

        Raises NotFoundError, PermissionDeniedError, ConflictError (its owner's account is about to be deleted).
        """
        with self.transaction() as session:
            project = self._lock(session, actor, project_id)
            if protected:
                require_staying(session, actor, project.owner_id)
            if project.protected != protected:
                project.protected = protected
                self._log("project.protect" if protected else "project.unprotect", project, actor)

    # -- in the bin -----------------------------------------------------------------------------

    def list_binned(self, user_id: str, *, actor: Actor, before: str = "", limit: int = 50) -> list[BinnedProject]:
        """The projects a person owned and can restore, newest first; ``before`` is the id of the last one seen. Four
        statements, five with that."""
        require_self(actor, user_id)
        with self.reading() as session:
            prices, mine = self._vms.bin.prices(), DbProject.owner_id == user_id
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
            vms = read_binned_vms(session, prices, actor, project_id=project_id, before=before, limit=limit)
            return project, vms

    def restore(self, project_id: str, name: str, *, actor: Actor) -> Project:
        """Bring a project back under ``name``, its machines stopped, its members as they were; their disks are paid for
        from now on.

        Raises ValidationError (``name``), ConflictError (not all off yet, being purged, too many projects),
        InsufficientCreditsError, BudgetExceededError, QuotaExceededError.
        """
        name = take_name({"name": name})
        with self._vms.payer.words(actor, project_id=project_id), self.transaction() as session:
            project = self._lock(session, actor, project_id, binned=True)
            query = select(*RESTORE_FACTS).where(*went_with(project_id)).order_by(DbVM.id)
            vms = session.execute(query.with_for_update()).all()
            if project.purge_at is None or project.purge_at <= self.now():
                raise ConflictError("This project is being deleted for good.")
            leaving = _count(session, DbVM.project_id == project_id, IS_LEAVING)
            if leaving or any(vm.state != VMState.BINNED for vm in vms):
                raise ConflictError("Not all of its machines are off yet. Try again in a moment.")
            self._vms.payer.require_able(session, actor, project.owner_id)
            most = self._billing.settings.number(SettingKey.MAX_PROJECTS)
            require_place(session, project.owner_id, name, most)
            project.name, project.name_key = name, name_key(name)
            project.deleted_at = project.deleted_by = project.purge_at = None
            session.flush()
            self._log("project.restore", project, actor)
            self._vms.bin.require_affordable(session, vms, actor)
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
            project = self._lock(session, actor, project_id, binned=True)
            if confirm.strip() != project.name:
                raise ValidationError(
                    "The name does not match.", details={"confirm": "This is not the project's name."}
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
        done = 0
        for project_id in project_ids:
            while some := self._do_chunk(project_id):
                done += some
                self.give_way()
        return done

    def purge_due(self) -> int:
        """Go on with projects whose time has come: their machines are purged, then the rest; how many ended.

        To be called again and again, from any number of workers.
        """
        with self.reading() as session:
            due = list(session.scalars(select(DbProject.id).where(DbProject.purge_at <= self.now())))
        return sum(self._finish(project_id) for project_id in due)

    def clear(self, user_id: str) -> None:
        """All projects of an account that is deleted go for good; it has no machines any more."""
        with self.reading() as session:
            there = DbProject.deleted_at.is_(None) | DbProject.purge_at.is_not(None)
            mine = list(session.scalars(select(DbProject.id).where(DbProject.owner_id == user_id, there)))
        for project_id in mine:
            with self.transaction() as session:
                self._billing.lock_wallet(user_id)
                project = session.get_one(DbProject, project_id, populate_existing=True)
                if project.deleted_at is None:
                    self._log("project.delete", project, SYSTEM)
                self._invitations.end_all(project_id)
                project.deleted_at = project.deleted_at or self.now()
                project.purge_at = self.now()
            self._finish(project_id)

    # -- inside ---------------------------------------------------------------------------------

    def _do_chunk(self, project_id: str, actor: Actor | None = None) -> int:
        """The next machines of a project that is deleted or restored; how many."""
        with self.reading() as session:
            owner_id = session.scalars(select(DbProject.owner_id).where(DbProject.id == project_id)).one()
        with self.transaction() as session:
            self._billing.lock_wallet(owner_id)
            project = session.get_one(DbProject, project_id, populate_existing=True)
            if project.owner_id != owner_id:
                return 0  # handed over at this moment: in the next round
            sets = self._vms.bin.sets
            done = sets.leave(session, project, actor) or sets.come_back(session, project, actor)
            self._core.checkpoint("bin.chunk")
        self._core.checkpoint("bin.chunk_committed")
        return done

    def _finish(self, project_id: str) -> bool:
        with self.reading() as session:
            owner_id = session.scalars(select(DbProject.owner_id).where(DbProject.id == project_id)).one()
        with self.transaction() as session:
            self._billing.lock_wallet(owner_id)
            project = session.get_one(DbProject, project_id, populate_existing=True)
            if project.purge_at is None or project.purge_at > self.now():
                return False  # another worker was here
            self._is_over(session, project)
            if _count(session, DbVM.project_id == project_id, DbVM.state != VMState.DELETED):
                return False  # its machines first
            project.purge_at = None
            _forget(session, project_id)
            self._core.checkpoint("bin.project_purged")
            return True

    def _is_over(self, session: Session, project: DbProject) -> None:
        """From now on it and its machines are due."""
        now = self.now()
        project.purge_at = min(project.purge_at or now, now)
        later = DbVM.project_id == project.id, DbVM.purge_at > now
        change = update(DbVM).where(*later).values(purge_at=now, version=DbVM.version + 1)
        session.execute(change.execution_options(synchronize_session=False))

    def _lock(self, session: Session, actor: Actor, project_id: str, *, binned: bool = False) -> DbProject:
        """The owner's wallet, then the project read anew."""
        right = ProjectAction.OWN
        owner_id = require_member(session, actor, project_id, right, binned=binned).owner_id
        self._billing.lock_wallet(owner_id)
        project = require_member(session, actor, project_id, right, fresh=True, binned=binned)
        if project.owner_id != owner_id:
            raise ConflictError(HANDED_OVER)
        return project

    def _log(self, action: str, project: DbProject, actor: Actor) -> None:
        self.log_audit_event(
            actor.id, action, "project", project.id, actor=actor,
            owner_id=project.owner_id, project_id=project.id, personal={"project": project.name},
        )  # fmt: skip


def _count(session: Session, *which: object) -> int:
    query = select(func.count()).select_from(DbVM).where(*which)  # type: ignore[arg-type]
    return session.scalar(query) or 0


def require_place(session: Session, owner_id: str, name: str, most: int) -> None:
    """Refuse another project of that name for this owner, and one too many. Raises ValidationError, ConflictError."""
    mine = DbProject.owner_id == owner_id, DbProject.deleted_at.is_(None)
    if (session.scalar(select(func.count()).select_from(DbProject).where(*mine)) or 0) >= most:
        raise ConflictError(f"An account can have at most {most} projects.")
    refuse_taken(session, owner_id, name)


def _forget(session: Session, project_id: str) -> None:
    """What nobody needs of a project that is gone. Its row stays: charges and events name it."""
    session.execute(delete(BUDGET).where(BUDGET.c.project_id == project_id))
    session.execute(delete(_QUOTA).where(_QUOTA.c.holder_id == project_id))
    gone = DbProjectMember.project_id == project_id, DbProjectMember.role != ProjectRole.OWNER
    session.execute(delete(DbProjectMember).where(*gone).execution_options(synchronize_session=False))
