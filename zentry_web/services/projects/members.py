"""Who belongs to a project: the list, roles, removal, leaving. Rights count from the commit on."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, lazy
from zentry_web.domain.notice_texts import say
from zentry_web.domain.projects.project import ProjectAction, ProjectRole, may, may_assign
from zentry_web.domain.projects.team import Member
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbEvent, DbProject, DbProjectInvitation, DbProjectMember, DbUser
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError
from zentry_web.services.shared.access import find_role, require_member
from zentry_web.services.shared.notices import Notices

NO_MEMBER = lazy("There is no such member.")
TOO_MUCH = lazy("Your role does not let you give or take that role.")


class Members(BaseService):
    """A part of ProjectService. Nobody gives or takes more than ``may_assign`` allows; the owner stays."""

    name = "members"

    def __init__(self, core: Core, notices: Notices) -> None:
        super().__init__(core)
        self._notices = notices

    def list_members(self, project_id: str, *, actor: Actor = SYSTEM) -> list[Member]:
        """Everybody in the project, the mightiest first. Addresses are for those who manage members, and one's own.

        Three statements. Raises NotFoundError.
        """
        with self.reading() as session:
            require_member(session, actor, project_id, ProjectAction.VIEW)
            own = find_role(session, actor, project_id)
            knows = may(own, ProjectAction.MEMBERS)
            rows = session.execute(
                select(DbProjectMember, DbUser.name, DbUser.email)
                .join(DbUser, DbUser.id == DbProjectMember.user_id)
                .where(DbProjectMember.project_id == project_id)
            ).all()
        found = [
            Member(
                user_id=row.user_id,
                name=name,
                email=email if knows or row.user_id == actor.id else "",
                role=ProjectRole(row.role),
                since=row.since,
                is_manageable=may_assign(own, ProjectRole(row.role), None) and row.user_id != actor.id,
            )
            for row, name, email in rows
        ]
        return sorted(found, key=lambda member: (list(ProjectRole).index(member.role), member.name, member.user_id))

    def change_role(self, project_id: str, user_id: str, role: ProjectRole, *, actor: Actor = SYSTEM) -> None:
        """Give a member another role. Raises NotFoundError, PermissionDeniedError."""
        with self.transaction() as session:
            project, member = self._managed(session, project_id, user_id, role, actor)
            before = member.role
            if before == role:
                return
            member.role = role
            session.flush()
            self._end_invitations(session, project_id, user_id)
            self._log("member.role", project, user_id, actor, {"role": role, "before": before})
            words = say("member_role", project=project.name, role=role, before=before)
            self._tell(user_id, words, Target(Place.PROJECT, project_id))

    def remove(self, project_id: str, user_id: str, *, actor: Actor = SYSTEM) -> None:
        """Put a member out, at once: pages and live events of the project end for them.

        Raises NotFoundError, PermissionDeniedError.
        """
        with self.transaction() as session:
            project, member = self._managed(session, project_id, user_id, None, actor)
            self._drop(session, member)
            self._log("member.remove", project, user_id, actor, {})
            self._tell(user_id, say("member_removed", project=project.name), Target(Place.PROJECTS))

    def leave(self, project_id: str, *, actor: Actor) -> None:
        """Leave a project; whoever has left it already has nothing more to do.

        Raises NotFoundError, ConflictError for its owner, who can only hand it over.
        """
        with self.transaction() as session:
            if _is_out(session, project_id, actor.id):
                return
            project = require_member(session, actor, project_id, ProjectAction.VIEW)
            member = _lock(session, project_id, [actor.id]).get(actor.id)
            if member is None:
                raise NotFoundError(NO_MEMBER)
            if member.role == ProjectRole.OWNER:
                raise ConflictError(_("You own this project: it cannot be without you."))
            self._drop(session, member)
            self._log("member.leave", project, actor.id, actor, {})

    def erase(self, user_id: str) -> None:
        """An account is erased: it leaves every project of others; in the caller's transaction."""
        with self.transaction() as session:
            mine = DbProjectMember.user_id == user_id, DbProjectMember.role != ProjectRole.OWNER
            for member in session.scalars(select(DbProjectMember).where(*mine)).all():
                self._drop(session, member)

    # -- inside ---------------------------------------------------------------------------------

    def _managed(
        self, session: Session, project_id: str, user_id: str, after: ProjectRole | None, actor: Actor
    ) -> tuple[DbProject, DbProjectMember]:
        """The project and the member that the actor may bring to ``after``, both rows locked."""
        require_member(session, actor, project_id, ProjectAction.MEMBERS)
        member = _lock(session, project_id, [actor.id, user_id]).get(user_id)
        project = require_member(session, actor, project_id, ProjectAction.MEMBERS, fresh=True)
        if member is None:
            raise NotFoundError(NO_MEMBER)
        if not may_assign(find_role(session, actor, project_id), ProjectRole(member.role), after):
            raise PermissionDeniedError(TOO_MUCH)
        return project, member

    def _drop(self, session: Session, member: DbProjectMember) -> None:
        project_id, user_id = member.project_id, member.user_id
        session.delete(member)
        session.flush()
        self._end_invitations(session, project_id, user_id)

    def _end_invitations(self, session: Session, project_id: str, inviter_id: str) -> None:
        """Who may not invite any more, or not to as much, leaves no open doors behind."""
        table = DbProjectInvitation
        mine = table.project_id == project_id, table.invited_by == inviter_id, table.ended_at.is_(None)
        run(session, update(table).where(*mine).values(ended_at=self.now(), outcome="revoked", run_at=None))

    def _log(self, action: str, project: DbProject, user_id: str, actor: Actor, details: dict[str, str]) -> None:
        about = Subject.member(user_id, project)
        self.audit(action, about, details, actor=actor, personal={"project": project.name})

    def _tell(self, user_id: str, words: tuple[str, str], target: Target) -> None:
        self._notices.tell(user_id, "member", self.new_id("key"), *words, target=target)


def _lock(session: Session, project_id: str, user_ids: list[str]) -> dict[str, DbProjectMember]:
    """The rows of these members, locked in one order and read anew."""
    rows = session.scalars(
        select(DbProjectMember)
        .where(DbProjectMember.project_id == project_id, DbProjectMember.user_id.in_(user_ids))
        .order_by(DbProjectMember.user_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return {row.user_id: row for row in rows}


def _is_out(session: Session, project_id: str, user_id: str) -> bool:
    """Whether somebody was a member once and is none any more."""
    if session.get(DbProjectMember, (project_id, user_id)) is not None:
        return False
    left = select(DbEvent.seq).where(
        DbEvent.resource_id == user_id,
        DbEvent.project_id == project_id,
        DbEvent.action.in_(("member.leave", "member.remove")),
    )
    return session.scalar(left.limit(1)) is not None
