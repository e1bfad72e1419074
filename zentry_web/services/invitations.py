"""Invitations to a project: a link that works once, for a week, for whoever has it.

With a mail server the worker makes the secret and only the mail has it; without one the inviter is shown it once.
Inviting says and does the same whether or not the address has an account.
"""

from collections.abc import Mapping
from typing import cast

from sqlalchemy import ColumnElement, CursorResult, Select, delete, func, select, update
from sqlalchemy.orm import Session

from zentry_web.domain.notice import Mail
from zentry_web.domain.project import ProjectAction, ProjectRole, may_assign
from zentry_web.domain.secret import new_secret, secret_hash
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.team import (
    INVITATION_LASTS,
    KEEP_ENDED,
    MAX_INVITATIONS,
    MAX_MEMBERS,
    Invitation,
    InvitationView,
    parse_role,
)
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbProject, DbProjectInvitation, DbProjectMember, DbUser
from zentry_web.services.access import find_role, require_admin, require_member, require_open
from zentry_web.services.base_service import Core
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError
from zentry_web.services.fields import Fields, email_key, invalid, parse_email, storable
from zentry_web.services.mail_queue import MailQueue
from zentry_web.services.members import TOO_MUCH
from zentry_web.services.notices import MailSettings, Notices
from zentry_web.services.rate_limit import RateLimiter, limit_of
from zentry_web.services.settings import Settings

PRESENT = "They belong to this project already. Their role is changed in the list of members."
YOURSELF = "You belong to this project yourself."
GONE = "This invitation has been used, withdrawn, or is too old. Ask for a new one."


class Invitations(MailQueue):
    """A part of ProjectService, and a source of mails for the worker."""

    name = "invitations"

    def __init__(
        self, core: Core, notices: Notices, mail: MailSettings | None = None, *, settings: Settings | None = None
    ) -> None:
        super().__init__(core)
        self._settings = settings or Settings(core)
        self._notices = notices
        self._mail = mail or MailSettings()
        self._limits = RateLimiter(core)

    @property
    def by_mail(self) -> bool:
        """Whether links are mailed; else the inviter hands them over."""
        return self._mail.enabled

    # -- the inviters' side ---------------------------------------------------------------------

    def invite(self, project_id: str, data: Mapping[str, object], *, actor: Actor) -> Invitation:
        """Invite ``email`` as ``role``; an open invitation of that address is replaced.

        The answer holds the secret where no mail is sent. Raises ValidationError (email, role), NotFoundError,
        PermissionDeniedError, ConflictError (too many), RateLimitedError.
        """
        fields = Fields(data)
        email = fields.take("email", parse_email, "")
        role = fields.take("role", parse_role, ProjectRole.VIEWER)
        with self.reading() as session:
            require_member(session, actor, project_id, ProjectAction.MEMBERS)
            fields.check()
            self._refuse_present(session, project_id, email, actor)
        most = self._settings.number(SettingKey.INVITATIONS_PER_HOUR)
        self._limits.check(limit_of("invite", actor.id, most), limit_of("invite_address", email_key(email)))
        with self.transaction() as session:
            project = self._locked(session, project_id, role, actor)
            require_open(session, project_id)
            self._end(session, "replaced", DbProjectInvitation.email_key == email_key(email), project_id=project_id)
            if self._count_open(session, project_id) >= MAX_INVITATIONS:
                raise ConflictError(f"At most {MAX_INVITATIONS} invitations can be open. Withdraw some first.")
            secret = "" if self.by_mail else new_secret()
            row = self._new(project_id, email, role, actor, secret)
            session.add(row)
            session.flush()
            self._log("member.invite", project, row.id, actor, {"role": role}, personal={"email": email})
            inviter = session.scalars(select(DbUser.name).where(DbUser.id == actor.id)).one_or_none() or ""
            return Invitation(row.id, email, role, inviter, row.expires_at, secret)

    def list_open(self, project_id: str, *, actor: Actor = SYSTEM) -> list[Invitation]:
        """Invitations that can still be accepted, newest first. Raises NotFoundError, PermissionDeniedError."""
        with self.reading() as session:
            require_member(session, actor, project_id, ProjectAction.MEMBERS)
            rows = session.execute(
                self._open()
                .add_columns(DbUser.name)
                .join(DbUser, DbUser.id == DbProjectInvitation.invited_by)
                .where(DbProjectInvitation.project_id == project_id)
                .order_by(DbProjectInvitation.id.desc())
            ).all()
        return [Invitation(row.id, row.email, ProjectRole(row.role), name, row.expires_at) for row, name in rows]

    def revoke(self, project_id: str, invitation_id: str, *, actor: Actor = SYSTEM) -> None:
        """Withdraw an open invitation. Raises NotFoundError, PermissionDeniedError."""
        with self.transaction() as session:
            project = require_member(session, actor, project_id, ProjectAction.MEMBERS)
            which = DbProjectInvitation.id == invitation_id, DbProjectInvitation.role != ProjectRole.OWNER
            if not self._end(session, "revoked", *which, project_id=project_id):
                raise NotFoundError("There is no such invitation.")
            self._log("member.invite_off", project, invitation_id, actor, {})

    def revoke_any(self, invitation_id: str, *, actor: Actor = SYSTEM) -> None:
        """Withdraw an open invitation of whichever project; admins only. Raises NotFoundError."""
        require_admin(actor)
        query = select(DbProjectInvitation.project_id).where(DbProjectInvitation.id == storable(invitation_id))
        with self.reading() as session:
            project_id = session.scalar(query)
        if project_id is None:
            raise NotFoundError("There is no such invitation.")
        self.revoke(project_id, invitation_id, actor=actor)

    # -- the side of who was invited ------------------------------------------------------------

    def peek(self, secret: str) -> InvitationView | None:
        """What a link stands for, without using it; None when it is used, withdrawn or too old."""
        with self.reading() as session:
            found = session.execute(
                self._open()
                .add_columns(DbProject.name, DbUser.name)
                .join(DbProject, DbProject.id == DbProjectInvitation.project_id)
                .join(DbUser, DbUser.id == DbProjectInvitation.invited_by)
                .where(DbProjectInvitation.token_hash == secret_hash(secret), DbProject.deleted_at.is_(None))
            ).one_or_none()
        if found is None:
            return None
        row, project_name, inviter = found
        return InvitationView(row.project_id, project_name, ProjectRole(row.role), inviter, row.expires_at)

    def accept(self, secret: str, *, actor: Actor) -> str:
        """Join as the actor's account, whatever its address; returns the project's id, also when pressed twice.

        For who belongs to the project already the link stays good. Raises NotFoundError when it is used up,
        ConflictError when the project is full or archived: whoever joined before the archiving is a member.
        """
        with self.transaction() as session:
            if joined := self._joined_before(session, secret, actor):
                return joined
            row = self._use(session, secret, "accepted", actor)
            # Archiving waits until the new member is in; who comes after it reads that it is archived.
            share = {"read": True}
            project = session.get(DbProject, row.project_id, with_for_update=share, populate_existing=True)
            members = select(DbProjectMember.user_id).where(DbProjectMember.project_id == row.project_id)
            there = set(session.scalars(members))
            if project is None or project.deleted_at is not None:
                raise NotFoundError(GONE)
            require_open(session, project.id)
            if len(there) >= MAX_MEMBERS:
                raise ConflictError(f"A project can have at most {MAX_MEMBERS} members.")
            session.add(
                DbProjectMember(
                    project_id=project.id, user_id=actor.id, role=row.role, since=self.now(), added_by=row.invited_by
                )
            )
            session.flush()
            self._log("member.join", project, actor.id, actor, {"role": row.role})
            name = session.scalars(select(DbUser.name).where(DbUser.id == actor.id)).one()
            title = f"{name} joined {project.name} as {row.role}"
            for user_id in {row.invited_by, project.owner_id} & there:
                self._tell(user_id, row.id, title, "The invitation was accepted.", f"/projects/{project.id}/members")
            return project.id

    def decline(self, secret: str, *, actor: Actor) -> None:
        """Say no: the link works no more. Raises NotFoundError."""
        with self.transaction() as session:
            row = self._use(session, secret, "declined", actor)
            project = session.get(DbProject, row.project_id)
            if project is not None:
                self._log("member.decline", project, row.id, actor, {})
                title = f"An invitation to {project.name} was declined"
                self._tell(row.invited_by, row.id, title, f"It was for {row.email}.", f"/projects/{project.id}/members")

    # -- mail: the worker's side ----------------------------------------------------------------

    def claim_mail(self) -> Mail | None:
        """Take the next mail that is due, for a minute; None when there is none. Only the mail has its secret."""
        with self._claimed(DbProjectInvitation, self._is_open()) as row:
            if row is None:
                return None
            secret = new_secret()
            row.token_hash = secret_hash(secret)
            with self.transaction() as session:
                project = session.scalars(select(DbProject.name).where(DbProject.id == row.project_id)).one()
                inviter = session.scalars(select(DbUser.name).where(DbUser.id == row.invited_by)).one()
            body = (
                f"Hello,\n\n{inviter} invites you to the project “{project}” on Zentry, as {row.role}. Open this link "
                "to see it and to accept or decline. It works once, for a week, with any account:\n\n"
                f"{self._mail.base_url}/invitations/{secret}\n\nIf you do not know them, do nothing."
            )
            return Mail(row.id, row.email, f"{inviter} invites you to {project}", body, row.attempts)

    def record_sent(self, mail: Mail) -> None:
        """The mail server took it."""
        self._note_attempt(DbProjectInvitation, mail, run_at=None)

    def record_failed(self, mail: Mail, error: str) -> None:
        """It did not: again later, with another secret, until the invitation is too old."""
        self._note_attempt(DbProjectInvitation, mail, run_at=self._retry_at(mail))

    def prune(self) -> int:
        """Forget invitations that ended or grew too old a month ago; returns how many."""
        old = DbProjectInvitation.expires_at < self.now() - KEEP_ENDED
        with self.transaction() as session:
            return cast(CursorResult[tuple[()]], session.execute(delete(DbProjectInvitation).where(old))).rowcount

    def end_all(self, project_id: str) -> None:
        """The project is being deleted: no link leads into it; in the caller's transaction."""
        with self.transaction() as session:
            self._end(session, "revoked", project_id=project_id)

    # -- inside ---------------------------------------------------------------------------------

    def _refuse_present(self, session: Session, project_id: str, email: str, actor: Actor) -> None:
        """Who is in needs no invitation: whoever invites sees the members. Of other accounts nothing is said."""
        there = select(DbUser.id).join(DbProjectMember, DbProjectMember.user_id == DbUser.id)
        here = DbProjectMember.project_id == project_id, DbUser.email_key == email_key(email)
        if (user_id := session.scalar(there.where(*here))) is not None:
            raise invalid({"email": YOURSELF if user_id == actor.id else PRESENT})

    def _locked(self, session: Session, project_id: str, role: ProjectRole, actor: Actor) -> DbProject:
        """The project, when the actor may give that role; their row is locked, so that nobody takes it meanwhile."""
        mine = select(DbProjectMember).where(
            DbProjectMember.project_id == project_id, DbProjectMember.user_id == actor.id
        )
        session.execute(mine.with_for_update())
        project = require_member(session, actor, project_id, ProjectAction.MEMBERS, fresh=True)
        if not may_assign(find_role(session, actor, project_id), None, role):
            raise PermissionDeniedError(TOO_MUCH)
        return project

    def _new(self, project_id: str, email: str, role: ProjectRole, actor: Actor, secret: str) -> DbProjectInvitation:
        now = self.now()
        return DbProjectInvitation(
            id=self.new_id("inv"),
            project_id=project_id,
            role=role,
            email=email,
            email_key=email_key(email),
            invited_by=actor.id,
            user_id=None,
            created_at=now,
            expires_at=now + INVITATION_LASTS,
            ended_at=None,
            outcome="",
            token_hash=secret_hash(secret) if secret else None,
            run_at=now if self.by_mail else None,
            attempts=0,
        )

    def _open(self) -> Select[DbProjectInvitation]:
        """Invitations, but no offer of ownership: those are services/ownership.py's."""
        return select(DbProjectInvitation).where(self._is_open(), DbProjectInvitation.role != ProjectRole.OWNER)

    def _is_open(self) -> ColumnElement[bool]:
        return DbProjectInvitation.ended_at.is_(None) & (DbProjectInvitation.expires_at > self.now())

    def _count_open(self, session: Session, project_id: str) -> int:
        query = select(func.count()).select_from(DbProjectInvitation)
        return session.scalar(query.where(DbProjectInvitation.project_id == project_id, self._is_open())) or 0

    def _joined_before(self, session: Session, secret: str, actor: Actor) -> str | None:
        """The project that the actor belongs to, by this very link or by another way, which leaves the link good."""
        row = session.scalar(
            select(DbProjectInvitation).where(DbProjectInvitation.token_hash == secret_hash(secret)).with_for_update()
        )
        if row is None or session.get(DbProjectMember, (row.project_id, actor.id)) is None:
            return None
        by_this = (row.outcome, row.user_id) == ("accepted", actor.id)
        is_open = row.ended_at is None and row.expires_at > self.now() and row.role != ProjectRole.OWNER
        return row.project_id if by_this or is_open else None

    def _use(self, session: Session, secret: str, outcome: str, actor: Actor) -> DbProjectInvitation:
        """Use a link up, once. Raises NotFoundError."""
        mine = DbProjectInvitation.token_hash == secret_hash(secret)
        row = session.scalar(self._open().where(mine).with_for_update())
        if row is None:
            raise NotFoundError(GONE)
        row.ended_at, row.outcome, row.user_id, row.run_at = self.now(), outcome, actor.id, None
        session.flush()
        return row

    def _end(self, session: Session, outcome: str, *which: object, project_id: str) -> int:
        ended = session.execute(
            update(DbProjectInvitation)
            .where(
                DbProjectInvitation.project_id == project_id,
                DbProjectInvitation.ended_at.is_(None),
                *which,  # type: ignore[arg-type]
            )
            .values(ended_at=self.now(), outcome=outcome, run_at=None)
            .execution_options(synchronize_session=False)
        )
        return cast(CursorResult[tuple[()]], ended).rowcount

    def _log(
        self,
        action: str,
        project: DbProject,
        about: str,
        actor: Actor,
        details: dict[str, str],
        *,
        personal: Mapping[str, str] | None = None,
    ) -> None:
        self.log_audit_event(
            actor.id, action, "member", about, details, actor=actor,
            owner_id=project.owner_id, project_id=project.id, personal={"project": project.name, **(personal or {})},
        )  # fmt: skip

    def _tell(self, user_id: str, key: str, title: str, body: str, url: str) -> None:
        self._notices.tell(user_id, "invitation", key, title, body, url=url, mail=False)
