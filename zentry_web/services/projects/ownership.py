"""Handing a project over: its owner offers it to a member, who sees what it costs and takes it with all its machines.

At acceptance every open interval closes and opens again in the same second, the one on the old owner's wallet and the
other on the new one's, with new holds: what was used before stays on the old owner's bills (ADR 0021).
"""

from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, lazy
from zentry_web.domain.notice_texts import say
from zentry_web.domain.projects.project import ProjectAction, ProjectRole
from zentry_web.domain.projects.quota import Amounts
from zentry_web.domain.projects.team import INVITATION_LASTS, Offer
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import Actor
from zentry_web.domain.vms.operation import OPEN_OPERATION_STATES
from zentry_web.domain.vms.state import VMState
from zentry_web.models import DbOperation, DbProject, DbProjectInvitation, DbProjectMember, DbUser, DbVM
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError
from zentry_web.services.projects.rows import require_place
from zentry_web.services.shared.access import find_role, require_member, require_payer, require_recent_proof
from zentry_web.services.shared.fields import email_key
from zentry_web.services.vm_service import VMService

OFFER_ENDED = lazy(
    "This offer has been withdrawn, declined or is too old: nothing has changed. The owner can make it anew."
)
NO_OFFER = lazy("There is no such offer any more.")
_ANSWERS = timedelta(seconds=60)


class Ownership(BaseService):
    """A part of ProjectService. A project has exactly one owner at every commit."""

    name = "ownership"

    def __init__(self, core: Core, billing: BillingService, vms: VMService) -> None:
        super().__init__(core)
        self._billing = billing
        self._vms = vms

    # -- the owner's side -----------------------------------------------------------------------

    def offer(self, project_id: str, user_id: str, *, actor: Actor) -> None:
        """Offer a project to one of its members, for a week; an offer to another one ends.

        Raises NotFoundError (project, member), PermissionDeniedError, ProofRequiredError, ConflictError.
        """
        with self.transaction() as session:
            project = self._billing.wallets.locked_project(session, actor, project_id)
            require_recent_proof(actor, self.now())
            found = session.execute(
                select(DbUser, DbProjectMember.role)
                .join(DbProjectMember, DbProjectMember.user_id == DbUser.id)
                .where(DbProjectMember.project_id == project_id, DbUser.id == user_id)
            ).one_or_none()
            if found is None:
                raise NotFoundError(_("There is no such member."))
            user, role = found
            if role == ProjectRole.OWNER:
                raise ConflictError(_("%(name)s owns this project already.", name=user.name))
            if user.disabled_at is not None or user.deletion_at is not None:
                raise ConflictError(_("This account is disabled or about to be deleted."))
            self._end(session, project_id, "replaced", email=user.email)
            session.add(self._new(project, user, actor))
            session.flush()
            self._log("member.offer", project, user_id, actor)
            self._tell(user_id, say("ownership_offered", project=project.name), Target(Place.OWNERSHIP, project_id))

    def withdraw(self, project_id: str, *, actor: Actor) -> None:
        """Take an offer back; nothing if there is none. Raises NotFoundError, PermissionDeniedError."""
        with self.transaction() as session:
            project = self._billing.wallets.locked_project(session, actor, project_id)
            if user_id := self._end(session, project_id, "revoked"):
                self._log("member.offer_off", project, user_id, actor)

    # -- both sides -----------------------------------------------------------------------------

    def find_offer(self, project_id: str, *, actor: Actor) -> Offer | None:
        """The open offer, for the owner and the one it is made to; None also for other members.

        The number of statements does not depend on how many machines there are. Raises NotFoundError.
        """
        with self.reading() as session:
            project = require_member(session, actor, project_id, ProjectAction.VIEW)
            row = session.scalar(self._open(project_id))
            is_owner = find_role(session, actor, project_id) == ProjectRole.OWNER
            if row is None or row.user_id is None or not (is_owner or row.user_id == actor.id):
                return None
            people = select(DbUser.id, DbUser.name).where(DbUser.id.in_([row.user_id, project.owner_id]))
            names: dict[str, str] = dict(session.execute(people).all())
            vms = self._vms.list_of_project(project_id)
            is_mine = row.user_id == actor.id
            return Offer(
                project_id=project_id,
                project_name=project.name,
                owner_name=names[project.owner_id],
                user_id=row.user_id,
                user_name=names[row.user_id],
                expires_at=row.expires_at,
                vms=len(vms),
                running=sum(vm.is_on for vm in vms),
                rate_micro_per_hour=sum(vm.rate_micro_per_hour for vm in vms),
                needed_micro=self._billing.handover.price(
                    [vm.running_micro_per_hour for vm in vms if vm.is_on],
                    [vm.stopped_micro_per_hour for vm in vms if not vm.is_on and vm.state != VMState.ERROR],
                )
                + self._billing.storage.price_of_project(project_id),
                available_micro=self.get_user_credits(actor.id) if is_mine else None,
                is_mine=is_mine,
            )

    # -- the side of the one it is offered to ---------------------------------------------------

    def accept(self, project_id: str, *, actor: Actor) -> None:
        """Become the owner, and pay for everything in the project from this second on; the old owner becomes an admin.

        Raises NotFoundError (never offered), ProofRequiredError, InsufficientCreditsError (holds, and disks for a hold
        window), QuotaExceededError, ConflictError (operations under way, the name, too many projects, host away).
        """
        with self.transaction() as session:
            project = require_member(session, actor, project_id, ProjectAction.VIEW)
            old = project.owner_id
            if old == actor.id:
                return  # pressed twice
            self._billing.wallets.lock(old, actor.id)
            project = require_member(session, actor, project_id, ProjectAction.VIEW, fresh=True)
            offer = session.scalar(self._open(project_id).with_for_update().execution_options(populate_existing=True))
            require_payer(project.owner_id, old)
            if offer is None or offer.user_id != actor.id:
                self._refuse_ended(session, project_id, actor)
                raise NotFoundError(NO_OFFER)
            members = self._members(session, project_id, [old, actor.id])
            if actor.id not in members:
                raise NotFoundError(NO_OFFER)
            require_recent_proof(actor, self.now())  # it spends their wallet from now on
            self._require_taker(session, project, actor)
            vms = self._movable(session, project, actor.id)
            offer.ended_at, offer.outcome = self.now(), "accepted"
            self._end_doors(session, project_id, old)
            taken = replace(Subject.project(project), owner_id=actor.id)
            event_id = self.audit("project.transfer", taken, actor=actor, personal={"project": project.name})
            members[old].role = ProjectRole.ADMIN
            session.flush()  # never two owners, not for one statement: an index keeps it so
            members[actor.id].role = ProjectRole.OWNER
            project.owner_id = actor.id
            self._billing.handover.move(session, vms, actor.id, event_id)
            self._billing.storage.hand_over(session, project_id, actor.id, event_id)
            self._core.checkpoint("ownership.moved")
            name = session.scalars(select(DbUser.name).where(DbUser.id == actor.id)).one()
            words = say("ownership_taken", person=name, project=project.name)
            self._tell(old, words, Target(Place.PROJECT, project_id))

    def decline(self, project_id: str, *, actor: Actor) -> None:
        """Say no; an offer that has ended needs none. Raises NotFoundError (never offered)."""
        with self.transaction() as session:
            project = require_member(session, actor, project_id, ProjectAction.VIEW)
            offer = session.scalar(self._open(project_id).with_for_update().execution_options(populate_existing=True))
            if offer is None or offer.user_id != actor.id:
                if self._was_offered(session, project_id, actor):
                    return  # pressed twice, or withdrawn meanwhile: they wanted nothing of it
                raise NotFoundError(NO_OFFER)
            offer.ended_at, offer.outcome = self.now(), "declined"
            self._log("member.offer_no", project, actor.id, actor)
            words = say("ownership_declined", project=project.name)
            self._tell(project.owner_id, words, Target(Place.OWNERSHIP, project_id))

    # -- inside ---------------------------------------------------------------------------------

    def _was_offered(self, session: Session, project_id: str, actor: Actor) -> bool:
        ended = select(DbProjectInvitation.id).where(
            DbProjectInvitation.project_id == project_id,
            DbProjectInvitation.role == ProjectRole.OWNER,
            DbProjectInvitation.user_id == actor.id,
        )
        return session.scalar(ended.limit(1)) is not None

    def _refuse_ended(self, session: Session, project_id: str, actor: Actor) -> None:
        """Say so where there was an offer to the actor once."""
        if self._was_offered(session, project_id, actor):
            raise ConflictError(OFFER_ENDED)

    def _require_taker(self, session: Session, project: DbProject, actor: Actor) -> None:
        """Whether the one who accepts can own another project of that name."""
        user = session.get_one(DbUser, actor.id)
        if user.disabled_at is not None or user.deletion_at is not None:
            raise PermissionDeniedError(_("An account that is disabled or about to be deleted takes nothing over."))
        taken = select(DbProject.id).where(
            DbProject.owner_id == actor.id, DbProject.name_key == project.name_key, DbProject.deleted_at.is_(None)
        )
        if session.scalar(taken) is not None:
            raise ConflictError(
                _("You already own a project named “%(name)s”. Rename one of them first.", name=project.name)
            )
        require_place(session, actor.id, project.name, self._billing.settings.number(SettingKey.MAX_PROJECTS))

    def _movable(self, session: Session, project: DbProject, taker_id: str) -> list[DbVM]:
        """All machines of the project that there are, locked, with nothing under way."""
        heard = self._vms.get_compute_status().answered_at
        if heard is not None and self.now() - heard > _ANSWERS:
            raise ConflictError(
                _("Nobody knows at present what runs: the hypervisor, or Zentry's worker, does not answer. Try later.")
            )
        query = select(DbVM).where(DbVM.project_id == project.id, DbVM.state != VMState.DELETED).order_by(DbVM.id)
        vms = list(session.scalars(query.with_for_update().execution_options(populate_existing=True)))
        under_way = (
            select(DbVM.name)
            .join(DbOperation, DbOperation.vm_id == DbVM.id)
            .where(DbVM.project_id == project.id, DbOperation.state.in_(OPEN_OPERATION_STATES))
        )
        if names := sorted(session.scalars(under_way)):
            raise ConflictError(
                _("Something is under way with %(names)s. Try again when that has ended.", names=", ".join(names[:5]))
            )
        there = [vm for vm in vms if vm.deleted_at is None]
        more = sum((Amounts(1, vm.vcpus, vm.memory_mib, vm.disk_gib) for vm in there), Amounts())
        if there:
            self._vms.quotas.require_room(project.id, taker_id, more)
        return vms

    def _members(self, session: Session, project_id: str, user_ids: list[str]) -> dict[str, DbProjectMember]:
        query = select(DbProjectMember).where(
            DbProjectMember.project_id == project_id, DbProjectMember.user_id.in_(user_ids)
        )
        query = query.order_by(DbProjectMember.user_id).with_for_update()
        rows = session.scalars(query.execution_options(populate_existing=True))
        return {row.user_id: row for row in rows}

    def _open(self, project_id: str) -> Select[DbProjectInvitation]:
        return select(DbProjectInvitation).where(
            DbProjectInvitation.project_id == project_id,
            DbProjectInvitation.role == ProjectRole.OWNER,
            DbProjectInvitation.ended_at.is_(None),
            DbProjectInvitation.expires_at > self.now(),
        )

    def _new(self, project: DbProject, user: DbUser, actor: Actor) -> DbProjectInvitation:
        now = self.now()
        return DbProjectInvitation(
            id=self.new_id("inv"),
            project_id=project.id,
            role=ProjectRole.OWNER,
            email=user.email,
            email_key=email_key(user.email),
            invited_by=actor.id,
            user_id=user.id,
            created_at=now,
            expires_at=now + INVITATION_LASTS,
            ended_at=None,
            outcome="",
            token_hash=None,
            run_at=None,
            attempts=0,
        )

    def _end(self, session: Session, project_id: str, outcome: str, *, email: str = "") -> str | None:
        """End the open offer, and an open invitation of that address; to whom the offer was made."""
        table = DbProjectInvitation
        offer = session.scalar(self._open(project_id))
        which = table.role == ProjectRole.OWNER
        if email:
            which = which | (table.email_key == email_key(email))
        ending = update(table).where(table.project_id == project_id, table.ended_at.is_(None), which)
        run(session, ending.values(ended_at=self.now(), outcome=outcome, run_at=None))
        return offer.user_id if offer else None

    def _end_doors(self, session: Session, project_id: str, inviter_id: str) -> None:
        """Who may give less from now on leaves no open invitations behind."""
        table = DbProjectInvitation
        mine = table.project_id == project_id, table.invited_by == inviter_id, table.role != ProjectRole.OWNER
        ending = update(table).where(*mine, table.ended_at.is_(None))
        run(session, ending.values(ended_at=self.now(), outcome="revoked", run_at=None))

    def _log(self, action: str, project: DbProject, about: str, actor: Actor) -> str:
        return self.audit(action, Subject.member(about, project), actor=actor, personal={"project": project.name})

    def _tell(self, user_id: str, words: tuple[str, str], target: Target) -> None:
        self._billing.notices.tell(user_id, "member", self.new_id("key"), *words, target=target)
