"""Invitations to a project: a link that works once, for a week, for whoever has it.

With a mail server the worker makes the secret and only the mail has it; without one the inviter is shown it once.
Inviting says and does the same whether or not the address has an account.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.event import Subject
from zentry_web.domain.language import ENGLISH, _, lazy, speaking
from zentry_web.domain.notice import Mail
from zentry_web.domain.notice_texts import say
from zentry_web.domain.projects.project import ProjectAction, ProjectRole, may_assign
from zentry_web.domain.projects.team import (
    INVITATION_LASTS,
    KEEP_ENDED,
    MAX_INVITATIONS,
    MAX_MEMBERS,
    Invitation,
    InvitationView,
    parse_role,
)
from zentry_web.domain.secret import new_secret, secret_hash
from zentry_web.domain.setting import SettingKey
from zentry_web.domain.target import Place, Target
from zentry_web.domain.text import without_addresses
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.models import DbProject, DbProjectInvitation, DbProjectMember, DbUser
from zentry_web.services.base_service import Core
from zentry_web.services.errors import ConflictError, NotFoundError, PermissionDeniedError
from zentry_web.services.projects.members import TOO_MUCH
from zentry_web.services.shared.access import find_role, require_admin, require_member, require_open
from zentry_web.services.shared.fields import Fields, email_key, invalid, parse_email
from zentry_web.services.shared.mail_queue import MailQueue
from zentry_web.services.shared.notices import Notices
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of
from zentry_web.services.shared.settings import Settings

PRESENT = lazy("They belong to this project already. Their role is changed in the list of members.")
YOURSELF = lazy("You belong to this project yourself.")
GONE = lazy("This invitation has been used, withdrawn, or is too old. Ask for a new one.")


class Invitations(MailQueue):
    """A part of ProjectService, and a source of mails for the worker."""

    name = "invitations"
    _table = DbProjectInvitation

    def __init__(self, core: Core, notices: Notices, settings: Settings) -> None:
        super().__init__(core)
        self._settings = settings
        self._notices = notices
        self._mail = core.mail
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
                raise ConflictError(
                    _("At most %(most)s invitations can be open. Withdraw some first.", most=MAX_INVITATIONS)
                )
            secret = "" if self.by_mail else new_secret()
            row = self._new(project_id, email, role, actor, secret)
            self._post()
            session.add(row)
            session.flush()
            self._log("member.invite", project, row.id, actor, {"role": role}, email=email)
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
                raise NotFoundError(_("There is no such invitation."))
            self._log("member.invite_off", project, invitation_id, actor, {})

    def revoke_any(self, invitation_id: str, *, actor: Actor = SYSTEM) -> None:
        """Withdraw an open invitation of whichever project; admins only. Raises NotFoundError."""
        require_admin(actor)
        query = select(DbProjectInvitation.project_id).where(DbProjectInvitation.id == invitation_id)
        with self.reading() as session:
            project_id = session.scalar(query)
        if project_id is None:
            raise NotFoundError(_("There is no such invitation."))
        self.revoke(project_id, invitation_id, actor=actor)

    # -- the side of who was invited ------------------------------------------------------------

    def peek(self, secret: str) -> InvitationView | None:
        """What a link stands for, without using it; None when it is used, withdrawn or too old."""
        return self._view(_by_link(secret))

    def get_mailed(self, invitation_id: str, *, actor: Actor) -> InvitationView:
        """One that was mailed to the actor's address, which its mailbox has proved. Raises NotFoundError."""
        found = self._view(_mailed_to(invitation_id, actor))
        if found is None:
            raise NotFoundError(GONE)
        return found

    def accept(self, secret: str, *, actor: Actor) -> str:
        """Join as the actor's account, whatever its address; returns the project's id, also when pressed twice.

        For who belongs to the project already the link stays good. Raises NotFoundError when it is used up,
        ConflictError when the project is full or archived: whoever joined before the archiving is a member.
        """
        return self._accept(_by_link(secret), actor)

    def accept_mailed(self, invitation_id: str, *, actor: Actor) -> str:
        """Join by an invitation that was mailed to the actor's address: see ``accept``."""
        return self._accept(_mailed_to(invitation_id, actor), actor)

    def decline(self, secret: str, *, actor: Actor) -> None:
        """Say no: the link works no more. Raises NotFoundError."""
        self._decline(_by_link(secret), actor)

    def decline_mailed(self, invitation_id: str, *, actor: Actor) -> None:
        """Say no to one that was mailed to the actor's address. Raises NotFoundError."""
        self._decline(_mailed_to(invitation_id, actor), actor)

    def _accept(self, which: ColumnElement[bool], actor: Actor) -> str:
        with self.transaction() as session:
            if joined := self._joined_before(session, which, actor):
                return joined
            row = self._use(session, which, "accepted", actor)
            # Archiving waits until the new member is in; who comes after it reads that it is archived.
            share = {"read": True}
            project = session.get(DbProject, row.project_id, with_for_update=share, populate_existing=True)
            members = select(DbProjectMember.user_id).where(DbProjectMember.project_id == row.project_id)
            there = set(session.scalars(members))
            if project is None or project.deleted_at is not None:
                raise NotFoundError(GONE)
            require_open(session, project.id)
            if len(there) >= MAX_MEMBERS:
                raise ConflictError(_("A project can have at most %(most)s members.", most=MAX_MEMBERS))
            session.add(
                DbProjectMember(
                    project_id=project.id, user_id=actor.id, role=row.role, since=self.now(), added_by=row.invited_by
                )
            )
            session.flush()
            self._log("member.join", project, actor.id, actor, {"role": row.role})
            name = session.scalars(select(DbUser.name).where(DbUser.id == actor.id)).one()
            words = say("invitation_accepted", person=name, project=project.name, role=row.role)
            for user_id in {row.invited_by, project.owner_id} & there:
                self._tell(user_id, row.id, words, project.id)
            return project.id

    def _decline(self, which: ColumnElement[bool], actor: Actor) -> None:
        with self.transaction() as session:
            row = self._use(session, which, "declined", actor)
            project = session.get(DbProject, row.project_id)
            if project is not None:
                self._log("member.decline", project, row.id, actor, {})
                words = say("invitation_declined", project=project.name, email=row.email)
                self._tell(row.invited_by, row.id, words, project.id)

    # -- mail: the worker's side ----------------------------------------------------------------

    def _compose(self, row: DbProjectInvitation) -> Mail:
        secret = new_secret()
        row.token_hash = secret_hash(secret)
        with self.transaction() as session:
            project = session.scalars(select(DbProject.name).where(DbProject.id == row.project_id)).one()
            inviter = session.scalars(select(DbUser.name).where(DbUser.id == row.invited_by)).one()
            language = session.scalar(select(DbUser.language).where(DbUser.email_key == email_key(row.email)))
        with speaking(language or ENGLISH):
            letter = self._mail.letters.write(
                "invitation", inviter=without_addresses(inviter), project=without_addresses(project), role=row.role,
                link=Target(Place.INVITATION_LINK, secret),
            )  # fmt: skip
        return Mail(row.id, row.email, *letter, row.attempts)

    def _is_waiting(self, now: Any) -> ColumnElement[bool]:
        return _is_open(now) & DbProjectInvitation.run_at.is_not(None)

    def _end_sent(self, mail: Mail) -> None:
        self._note_attempt(mail, run_at=None, error="")

    def _end_refused(self, mail: Mail, error: str) -> None:
        """The invitation is over, and whoever sent it is told."""
        ended = {"run_at": None, "error": error, "ended_at": self.now(), "outcome": "refused"}
        self._note_attempt(mail, **ended)
        with self.transaction() as session:
            row = session.get_one(DbProjectInvitation, mail.id, populate_existing=True)
            words = say("invitation_undelivered", address=mail.to_address, error=error)
            self._tell(row.invited_by, row.id, words, row.project_id)

    def prune(self) -> int:
        """Forget invitations that ended or grew too old a month ago; returns how many."""
        old = DbProjectInvitation.expires_at < self.now() - KEEP_ENDED
        with self.transaction() as session:
            return run(session, delete(DbProjectInvitation).where(old))

    def end_all(self, project_id: str) -> None:
        """The project is being deleted: no link leads into it; in the caller's transaction."""
        with self.transaction() as session:
            self._end(session, "revoked", project_id=project_id)

    # -- inside ---------------------------------------------------------------------------------

    def _view(self, which: ColumnElement[bool]) -> InvitationView | None:
        with self.reading() as session:
            found = session.execute(
                self._open()
                .add_columns(DbProject.name, DbUser.name)
                .join(DbProject, DbProject.id == DbProjectInvitation.project_id)
                .join(DbUser, DbUser.id == DbProjectInvitation.invited_by)
                .where(which, DbProject.deleted_at.is_(None))
            ).one_or_none()
        if found is None:
            return None
        row, project_name, inviter = found
        return InvitationView(row.project_id, project_name, ProjectRole(row.role), inviter, row.expires_at)

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
        """Invitations, but no offer of ownership: those are services/projects/ownership.py's."""
        return select(DbProjectInvitation).where(_is_open(self.now()), DbProjectInvitation.role != ProjectRole.OWNER)

    def _count_open(self, session: Session, project_id: str) -> int:
        query = select(func.count()).select_from(DbProjectInvitation)
        return session.scalar(query.where(DbProjectInvitation.project_id == project_id, _is_open(self.now()))) or 0

    def _joined_before(self, session: Session, which: ColumnElement[bool], actor: Actor) -> str | None:
        """The project that the actor belongs to, by this very link or by another way, which leaves the link good."""
        row = session.scalar(select(DbProjectInvitation).where(which).with_for_update())
        if row is None or session.get(DbProjectMember, (row.project_id, actor.id)) is None:
            return None
        by_this = (row.outcome, row.user_id) == ("accepted", actor.id)
        is_open = row.ended_at is None and row.expires_at > self.now() and row.role != ProjectRole.OWNER
        return row.project_id if by_this or is_open else None

    def _use(self, session: Session, which: ColumnElement[bool], outcome: str, actor: Actor) -> DbProjectInvitation:
        """Use an invitation up, once. Raises NotFoundError."""
        row = session.scalar(self._open().where(which).with_for_update())
        if row is None:
            raise NotFoundError(GONE)
        row.ended_at, row.outcome, row.user_id, row.run_at = self.now(), outcome, actor.id, None
        session.flush()
        return row

    def _end(self, session: Session, outcome: str, *which: ColumnElement[bool], project_id: str) -> int:
        table = DbProjectInvitation
        ending = update(table).where(table.project_id == project_id, table.ended_at.is_(None), *which)
        return run(session, ending.values(ended_at=self.now(), outcome=outcome, run_at=None))

    def _log(
        self, action: str, project: DbProject, about: str, actor: Actor, details: dict[str, str], **more: str
    ) -> None:
        names = {"project": project.name, **more}
        self.audit(action, Subject.member(about, project), details, actor=actor, personal=names)

    def _tell(self, user_id: str, key: str, words: tuple[str, str], project_id: str) -> None:
        target = Target(Place.MEMBERS, project_id)
        self._notices.tell(user_id, "invitation", key, *words, target=target, mail=False)


def _is_open(now: Any) -> ColumnElement[bool]:
    return and_(DbProjectInvitation.ended_at.is_(None), DbProjectInvitation.expires_at > now)


def _by_link(secret: str) -> ColumnElement[bool]:
    return DbProjectInvitation.token_hash == secret_hash(secret)


def _mailed_to(invitation_id: str, actor: Actor) -> ColumnElement[bool]:
    """That one, when it went to the address of the actor and its mailbox is known to be theirs."""
    mine = select(DbUser.email_key).where(DbUser.id == actor.id, DbUser.email_proven_at.is_not(None))
    return and_(DbProjectInvitation.id == invitation_id, DbProjectInvitation.email_key.in_(mine))
