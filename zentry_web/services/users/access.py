"""What admins do to the ways into an account: shut it, change its role, make its password useless.

There is always an admin left who can act. Whoever takes one away holds the locks of all admins' rows, in the order of
their ids, and looks again whether they themselves still are one: of two who act on each other, one is refused.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.event import Outcome, Subject
from zentry_web.domain.language import _
from zentry_web.domain.notice_texts import say
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor, Role, User
from zentry_web.models import DbUser
from zentry_web.services.auth_service import AuthService
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError, PermissionDeniedError, RateLimitedError
from zentry_web.services.shared.access import require_admin, require_recent_proof
from zentry_web.services.shared.account_rows import as_user, require_user_row
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of

NAMES = {Role.USER: "an ordinary account", Role.ADMIN: "an admin"}


class UserAccess(BaseService):
    """A part of UserService; for admins, and never on themselves."""

    name = "user_access"

    def __init__(self, core: Core, auth: AuthService, billing: BillingService) -> None:
        super().__init__(core)
        self._auth = auth
        self._billing = billing
        self._limits = RateLimiter(core)

    def note_refused_page(self, page: str, *, actor: Actor) -> None:
        """Record that somebody who is no admin asked for a page of admins; at most 30 an hour of one person."""
        if actor.viewer_id is not None:
            return
        try:
            self._limits.check(limit_of("refused_page", actor.id))
        except RateLimitedError:
            return
        refused = Subject("page", page[:60])
        self.audit("admin.page", refused, {"page": page[:60]}, actor=actor, outcome=Outcome.REFUSED)

    def set_disabled(self, user_id: str, disabled: bool, *, actor: Actor = SYSTEM) -> User:
        """See ``UserService.set_disabled``."""
        require_admin(actor)
        if actor.id == user_id:
            raise ConflictError(_("You cannot disable your own account."))
        with self.transaction() as session:
            row = self._locked(session, user_id, actor)
            if (row.disabled_at is not None) != disabled:
                if disabled:
                    _keep_an_admin(session, row)
                row.disabled_at = self.now() if disabled else None
                action = "user.disable" if disabled else "user.enable"
                self.audit(action, Subject.user(user_id), actor=actor)
                if disabled:
                    self._auth.end_sessions(user_id, actor=actor)
            return as_user(row)

    def change_role(self, user_id: str, role: Role, *, actor: Actor) -> User:
        """Make an account an admin, or an ordinary one again; both and all other admins are told, its sessions end.

        A role that it has already changes nothing. Raises PermissionDeniedError, ProofRequiredError, NotFoundError,
        ConflictError (oneself, disabled, being deleted, never finished, the last admin who can act).
        """
        require_admin(actor)
        require_recent_proof(actor, self.now())
        if actor.id == user_id:
            raise ConflictError(_("You cannot change your own role: another admin can."))
        with self.transaction() as session:
            row = self._locked(session, user_id, actor)
            before = Role(row.role)
            if before == role:
                return as_user(row)
            if role == Role.ADMIN:
                _check_may_become_admin(row)
            else:
                _keep_an_admin(session, row)
            row.role = role
            session.flush()
            self._auth.links.void(user_id)  # a link that was mailed to an ordinary account does not open an admin's
            self._auth.end_sessions(user_id, actor=actor)
            details = {"from": before, "to": role}
            self.audit("user.role", Subject.user(user_id), details, actor=actor)
            self._tell(session, row, role, actor)
            return as_user(row)

    def force_reset(self, user_id: str, *, actor: Actor) -> None:
        """Make the password of an account useless, end its sessions and mail its owner a link that sets another.

        Nobody but the owner chooses or sees it; a second factor stays. Raises PermissionDeniedError (also for an
        admin's account: that is the command line's), ProofRequiredError, NotFoundError, ConflictError (oneself,
        disabled, no mail server).
        """
        require_admin(actor)
        require_recent_proof(actor, self.now())
        if actor.id == user_id:
            raise ConflictError(_("Change your own password on your account's page."))
        if not self._auth.verification.enabled:
            raise ConflictError(_("There is no mail server to send a link with. Make a password link instead."))
        with self.transaction() as session:
            row = self._locked(session, user_id, actor)
            if row.role == Role.ADMIN and actor.role != Role.SYSTEM:
                raise PermissionDeniedError(
                    _("An admin's password is reset from the command line: zentry create-admin.")
                )
            if row.disabled_at is not None:
                raise ConflictError(_("Enable the account first."))
            row.password_hash = None
            session.flush()
            self._auth.links.void(user_id)
            self._auth.end_sessions(user_id, actor=actor)
            self._auth.verification.send_forced_reset(row)
            self.audit("user.force_reset", Subject.user(user_id), actor=actor)

    def _locked(self, session: Session, user_id: str, actor: Actor) -> DbUser:
        """The account's row and all admins', locked in one order; ``actor`` is still an admin."""
        locked = select(DbUser.id).where((DbUser.role == Role.ADMIN) | (DbUser.id == user_id))
        session.execute(locked.order_by(DbUser.id).with_for_update()).all()
        row = require_user_row(session, user_id, lock=True)
        if actor.role != Role.SYSTEM:
            own = require_user_row(session, actor.id, lock=True)
            if own.role != Role.ADMIN or own.disabled_at is not None:
                raise PermissionDeniedError(_("Only an admin may do this."))
        return row

    def _tell(self, session: Session, row: DbUser, role: Role, actor: Actor) -> None:
        tell = self._billing.notices.tell
        target = Target(Place.USER, row.id)
        words = say("role_changed", role=NAMES[role])
        tell(row.id, "role", self.new_id("key"), *words, target=Target(Place.SECURITY))
        if actor.role != Role.SYSTEM:
            words = say("role_given", person=row.name, role=NAMES[role])
            tell(actor.id, "role", self.new_id("key"), *words, target=target)
        others = select(DbUser.id).where(
            DbUser.role == Role.ADMIN, DbUser.disabled_at.is_(None), DbUser.id.not_in([actor.id, row.id])
        )
        for other in session.scalars(others).all():
            words = say("role_of_another", person=row.name, role=NAMES[role])
            tell(other, "role", self.new_id("key"), *words, target=target)


def _check_may_become_admin(row: DbUser) -> None:
    if row.disabled_at is not None:
        raise ConflictError(_("Enable the account first."))
    if row.deletion_at is not None:
        raise ConflictError(_("This account is about to be deleted."))
    if row.password_hash is None:
        raise ConflictError(_("This account has no password yet: its owner has to choose one first."))


def _keep_an_admin(session: Session, row: DbUser) -> None:
    """Raise ConflictError if nobody could act as an admin without this account. The admins' rows are locked."""
    others = select(DbUser.id).where(
        DbUser.role == Role.ADMIN,
        DbUser.id != row.id,
        DbUser.disabled_at.is_(None),
        DbUser.password_hash.is_not(None),
        DbUser.deletion_at.is_(None),
    )
    if row.role == Role.ADMIN and session.scalar(others.limit(1)) is None:
        raise ConflictError(_("This is the last admin who can act. Make somebody else one first."))
