"""What waits for a person's answer, or is about to be gone: read at once, for the overview."""

from datetime import timedelta
from typing import Any

from sqlalchemy import String, and_, bindparam, cast, func, literal, null, select, union_all
from sqlalchemy.orm import Session, aliased

from zentry_web.domain.overview import ExpiringToken, InvitedTo, OfferedProject, Waiting
from zentry_web.domain.people.token import TokenKind
from zentry_web.domain.projects.project import ProjectAction, ProjectRole, may
from zentry_web.models import (
    DbApiToken,
    DbProject,
    DbProjectBudget,
    DbProjectInvitation,
    DbProjectMember,
    DbSshKey,
    DbUser,
    DbVM,
)
from zentry_web.models.types import UTCDateTime

SOON_EMPTIED = timedelta(days=2)  # in the recycle bin
SOON_EXPIRED = timedelta(days=7)  # a token
_DELETERS = [role for role in ProjectRole if may(role, ProjectAction.DELETE_VM)]
_OFFER, _INVITED, _TOKEN, _BINNED = "offer", "invited", "token", "binned"
_KEY, _BUDGET = "key", "budget"


def read_waiting(session: Session, user_id: str, now: Any) -> Waiting:
    """Projects offered to a person, invitations mailed to them, what in their recycle bin is soon gone, and tokens that
    expire; and which of the first steps are done. One statement."""
    asked = {"user": user_id, "now": now, "emptied": now + SOON_EMPTIED, "expired": now + SOON_EXPIRED}
    offers, invited, tokens, binned, first_gone, done = [], [], [], 0, None, set()
    for kind, thing, name, who, at, count in session.execute(_WAITING, asked):
        if kind == _OFFER:
            offers.append(OfferedProject(thing, name, who, at))
        elif kind == _INVITED:
            invited.append(InvitedTo(thing, name, who, at))
        elif kind == _TOKEN:
            tokens.append(ExpiringToken(name, at))
        elif kind in (_KEY, _BUDGET):
            done.add(kind)
        elif count:
            binned += count
            first_gone = min(at, first_gone or at)
    soonest = sorted(tokens, key=lambda token: token.expires_at)
    return Waiting(tuple(offers), tuple(invited), binned, first_gone, tuple(soonest), _KEY in done, _BUDGET in done)


def _read_waiting() -> Any:
    user: Any = bindparam("user")
    now, emptied, expired = (bindparam(name, type_=UTCDateTime) for name in ("now", "emptied", "expired"))
    mine, none, one = DbProjectMember.user_id == user, cast(null(), String), literal(1)
    invitation = DbProjectInvitation
    offers = (
        select(literal(_OFFER), DbProject.id, DbProject.name, DbUser.name, invitation.expires_at, one)
        .select_from(DbProjectMember)  # offers are made to members
        .join(invitation, and_(invitation.project_id == DbProjectMember.project_id, invitation.ended_at.is_(None)))
        .join(DbProject, DbProject.id == invitation.project_id)
        .join(DbUser, DbUser.id == DbProject.owner_id)
        .where(mine, invitation.role == ProjectRole.OWNER, invitation.user_id == user, invitation.expires_at > now)
        .where(DbProject.deleted_at.is_(None))
    )
    joined = select(DbProjectMember.project_id).where(mine)
    me, inviter = aliased(DbUser), aliased(DbUser)
    invited = (
        select(literal(_INVITED), invitation.id, DbProject.name, inviter.name, invitation.expires_at, one)
        .select_from(me)
        .join(invitation, and_(invitation.email_key == me.email_key, invitation.ended_at.is_(None)))
        .join(DbProject, DbProject.id == invitation.project_id)
        .join(inviter, inviter.id == invitation.invited_by)
        .where(me.id == user, me.email_proven_at.is_not(None), invitation.role != ProjectRole.OWNER)
        .where(invitation.expires_at > now, DbProject.deleted_at.is_(None), DbProject.id.not_in(joined))
    )
    tokens = select(literal(_TOKEN), none, DbApiToken.name, none, DbApiToken.expires_at, one).where(
        DbApiToken.user_id == user, DbApiToken.kind == TokenKind.PERSONAL, DbApiToken.ended_at.is_(None),
        DbApiToken.expires_at > now, DbApiToken.expires_at <= expired,
    )  # fmt: skip
    projects = select(DbProjectMember.project_id).where(mine, DbProjectMember.role.in_(_DELETERS))
    vms = select(literal(_BINNED), none, none, none, func.min(DbVM.purge_at), func.count()).where(
        DbVM.purge_at <= emptied, ~DbVM.binned_with_project, DbVM.project_id.in_(projects)
    )
    gone = select(literal(_BINNED), none, none, none, func.min(DbProject.purge_at), func.count()).where(
        DbProject.purge_at <= emptied, DbProject.owner_id == user
    )
    key = select(DbSshKey.id).where(DbSshKey.user_id == user).exists()
    budget = select(DbProjectBudget.project_id).join(DbProject, DbProject.id == DbProjectBudget.project_id)
    done = [
        select(literal(kind), none, none, none, cast(null(), UTCDateTime), one).where(exists)
        for kind, exists in ((_KEY, key), (_BUDGET, budget.where(DbProject.owner_id == user).exists()))
    ]
    return union_all(offers, invited, tokens, vms, gone, *done)


_WAITING = _read_waiting()  # built once: each overview asks it
