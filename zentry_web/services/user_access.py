"""What admins do to the ways into an account: shut it, change its role, make its password useless.

There is always an admin left who can act. Whoever takes one away holds the locks of all admins' rows, in the order of
their ids, and looks again whether they themselves still are one: of two who act on each other, one is refused.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from zentry_web.domain.user import SYSTEM, Actor, Role, User
from zentry_web.models import DbUser
from zentry_web.services.access import require_admin, require_recent_proof
from zentry_web.services.account_rows import require_user_row, to_user
from zentry_web.services.auth_service import AuthService
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError, PermissionDeniedError
from zentry_web.services.one_time_links import OneTimeLinks

NAMES = {Role.USER: "an ordinary account", Role.ADMIN: "an admin"}


class UserAccess(BaseService):
    """A part of UserService; for admins, and never on themselves."""

    name = "user_access"

    def __init__(self, core: Core, auth: AuthService, billing: BillingService) -> None:
        super().__init__(core)
        self._auth = auth
        self._billing = billing
        self._links = OneTimeLinks(core)

    def set_disabled(self, user_id: str, disabled: bool, *, actor: Actor = SYSTEM) -> User:
        """See ``UserService.set_disabled``."""
        require_admin(actor)
        if actor.id == user_id:
            raise ConflictError("You cannot disable your own account.")
        with self.transaction() as session:
            row = self._locked(session, user_id, actor)
            if (row.disabled_at is not None) != disabled:
                if disabled:
                    _keep_an_admin(session, row)
                row.disabled_at = self.now() if disabled else None
                action = "user.disable" if disabled else "user.enable"
                self.log_audit_event(actor.id, action, "user", user_id, actor=actor, owner_id=user_id)
                if disabled:
                    self._auth.end_sessions(user_id, actor=actor)
            return to_user(row)

    def change_role(self, user_id: str, role: Role, *, actor: Actor) -> User:
        """Make an account an admin, or an ordinary one again; both and all other admins are told, its sessions end.

        A role that it has already changes nothing. Raises PermissionDeniedError, ProofRequiredError, NotFoundError,
        ConflictError (oneself, disabled, being deleted, never finished, the last admin who can act).
        """
        require_admin(actor)
        require_recent_proof(actor, self.now())
        if actor.id == user_id:
            raise ConflictError("You cannot change your own role: another admin can.")
        with self.transaction() as session:
            row = self._locked(session, user_id, actor)
            before = Role(row.role)
            if before == role:
                return to_user(row)
            if role == Role.ADMIN:
                _check_may_become_admin(row)
            else:
                _keep_an_admin(session, row)
            row.role = role
            session.flush()
            self._links.void(user_id)  # a link that was mailed to an ordinary account does not open an admin's
            self._auth.end_sessions(user_id, actor=actor)
            details = {"from": before, "to": role}
            self.log_audit_event(actor.id, "user.role", "user", user_id, details, actor=actor, owner_id=user_id)
            self._tell(session, row, role, actor)
            return to_user(row)

    def force_reset(self, user_id: str, *, actor: Actor) -> None:
        """Make the password of an account useless, end its sessions and mail its owner a link that sets another.

        Nobody but the owner chooses or sees it; a second factor stays. Raises PermissionDeniedError (also for an
        admin's account: that is the command line's), ProofRequiredError, NotFoundError, ConflictError (oneself,
        disabled, no mail server).
        """
        require_admin(actor)
        require_recent_proof(actor, self.now())
        if actor.id == user_id:
            raise ConflictError("Change your own password on your account's page.")
        if not self._auth.verification.enabled:
            raise ConflictError("There is no mail server to send a link with. Make a password link instead.")
        with self.transaction() as session:
            row = self._locked(session, user_id, actor)
            if row.role == Role.ADMIN and actor.role != Role.SYSTEM:
                raise PermissionDeniedError("An admin's password is reset from the command line: zentry create-admin.")
            if row.disabled_at is not None:
                raise ConflictError("Enable the account first.")
            row.password_hash = None
            session.flush()
            self._links.void(user_id)
            self._auth.end_sessions(user_id, actor=actor)
            self._auth.verification.send_forced_reset(row)
            self.log_audit_event(actor.id, "user.force_reset", "user", user_id, actor=actor, owner_id=user_id)

    def _locked(self, session: Session, user_id: str, actor: Actor) -> DbUser:
        """The account's row and all admins', locked in one order; ``actor`` is still an admin."""
        locked = select(DbUser.id).where((DbUser.role == Role.ADMIN) | (DbUser.id == user_id))
        session.execute(locked.order_by(DbUser.id).with_for_update()).all()
        row = require_user_row(session, user_id, lock=True)
        if actor.role != Role.SYSTEM:
            own = require_user_row(session, actor.id, lock=True)
            if own.role != Role.ADMIN or own.disabled_at is not None:
                raise PermissionDeniedError("Only an admin may do this.")
        return row

    def _tell(self, session: Session, row: DbUser, role: Role, actor: Actor) -> None:
        tell = self._billing.notices.tell
        body = "You have to log in again. If you did not expect this, ask the people who run this Zentry."
        tell(row.id, "role", self.new_id("key"), f"Your account is now {NAMES[role]}", body, url="/account/security")
        if actor.role != Role.SYSTEM:
            title = f"You made {row.name} {NAMES[role]}"
            body = "If it was not you, change your password at once and tell the other admins."
            tell(actor.id, "role", self.new_id("key"), title, body, url=f"/admin/users/{row.id}")
        others = select(DbUser.id).where(
            DbUser.role == Role.ADMIN, DbUser.disabled_at.is_(None), DbUser.id.not_in([actor.id, row.id])
        )
        for other in session.scalars(others).all():
            title = f"{row.name} is now {NAMES[role]}"
            body = "Another admin did this. If you did not expect it, ask them."
            tell(other, "role", self.new_id("key"), title, body, url=f"/admin/users/{row.id}")


def _check_may_become_admin(row: DbUser) -> None:
    if row.disabled_at is not None:
        raise ConflictError("Enable the account first.")
    if row.deletion_at is not None:
        raise ConflictError("This account is about to be deleted.")
    if row.password_hash is None:
        raise ConflictError("This account has no password yet: its owner has to choose one first.")


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
        raise ConflictError("This is the last admin who can act. Make somebody else one first.")
