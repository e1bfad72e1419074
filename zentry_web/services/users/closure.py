"""Leaving: everything about a person to take along, and an account deleted after a time to think it over."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from zentry_web.domain.event import Subject
from zentry_web.domain.language import _, dated
from zentry_web.domain.notice_texts import say
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.models import DbProject, DbUser, DbVM
from zentry_web.services.auth_service import AuthService
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import ConflictError
from zentry_web.services.project_service import ProjectService
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.account_rows import require_user_row
from zentry_web.services.vm_service import VMService

GRACE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Leaving:
    """What goes with an account, and when (None: nobody asked for it)."""

    at: datetime | None
    vms: int
    projects: int
    credits_micro: int
    protected: tuple[str, ...] = ()  # names of what has to be let go first


class AccountClosure(BaseService):
    """Deletes accounts when their time has come; a part of UserService, which erases what is personal."""

    name = "account_closure"

    def __init__(
        self, core: Core, auth: AuthService, billing: BillingService, project: ProjectService, vm: VMService
    ) -> None:
        super().__init__(core)
        self._auth = auth
        self._billing = billing
        self._project = project
        self._vm = vm

    def preview(self, user_id: str, *, actor: Actor = SYSTEM) -> Leaving:
        """What would go, or is going. Raises NotFoundError."""
        require_self(actor, user_id)
        with self.reading() as session:
            row = require_user_row(session, user_id)
            return Leaving(
                at=row.deletion_at,
                vms=_count(session, DbVM, user_id),
                projects=_count(session, DbProject, user_id),
                credits_micro=self._billing.get_balance(user_id).total_micro,
                protected=tuple(_protected(session, user_id)),
            )

    def request(
        self, user_id: str, password: str, *, actor: Actor = SYSTEM, session_token: str | None = None
    ) -> datetime:
        """Have one's account deleted in seven days; returns when. Until then what there is goes on, nothing new begins,
        and it can be called off. Every session but that of ``session_token``, and every token, ends.

        Raises ValidationError on ``password``, RateLimitedError, ConflictError for the last admin, and
        while something is protected from deletion.
        """
        require_self(actor, user_id)
        self._auth.confirm_password(user_id, password, actor=actor)
        with self.transaction() as session:
            row = require_user_row(session, user_id, lock=True)
            if row.role == Role.ADMIN and not _other_admins(session, user_id):
                raise ConflictError(_("You are the only admin. Make somebody else one first."))
            if names := _protected(session, user_id):
                shown = ", ".join(names[:10])
                raise ConflictError(
                    _("Protected from deletion: %(shown)s. Switch that off first, where they are.", shown=shown)
                )
            if row.deletion_at is None:
                row.deletion_at = self.now() + GRACE
                session.flush()
                self._auth.end_sessions(user_id, actor=actor, keep=session_token)
                self._auth.tokens.end_all(user_id)
                self.audit("user.deletion_ask", Subject.user(user_id), actor=actor)
                words = say("deletion_asked", at=dated(row.deletion_at, "%d %B %Y at %H:%M"))
                key = self.new_id("key")
                self._billing.notices.tell(user_id, "deletion", key, *words, target=Target(Place.LEAVING))
            return row.deletion_at

    def call_off(self, user_id: str, *, actor: Actor = SYSTEM) -> None:
        """Keep the account after all. Nothing to call off is no error. Raises NotFoundError."""
        require_self(actor, user_id)
        with self.transaction() as session:
            row = require_user_row(session, user_id, lock=True)
            if row.deletion_at is not None:
                row.deletion_at = None
                self.audit("user.deletion_off", Subject.user(user_id), actor=actor)

    def list_due(self) -> list[str]:
        """Accounts whose time has come."""
        with self.reading() as session:
            query = select(DbUser.id).where(DbUser.deletion_at <= self.now()).order_by(DbUser.deletion_at)
            return list(session.scalars(query))

    def clear(self, user_id: str) -> bool:
        """Ask for the deletion of what the account still has; whether nothing is left. To be called until it is so."""
        if not self._vm.bin.clear(user_id):
            return False
        for method in self._billing.payments.list_methods(user_id):
            self._billing.payments.remove_method(user_id, method.id, actor=SYSTEM)
        self._project.bin.clear(user_id)
        return True


def _count(session: Session, table: type[DbVM | DbProject], user_id: str) -> int:
    query = select(func.count()).select_from(table).where(table.owner_id == user_id, table.deleted_at.is_(None))
    return session.scalar(query) or 0


def _other_admins(session: Session, user_id: str) -> int:
    others = select(func.count()).where(
        DbUser.role == Role.ADMIN,
        DbUser.id != user_id,
        DbUser.disabled_at.is_(None),
        DbUser.password_hash.is_not(None),
        DbUser.deletion_at.is_(None),
    )
    return session.scalar(others) or 0


def _protected(session: Session, user_id: str) -> list[str]:
    """The names of an account's projects and machines that are protected from deletion."""
    names: list[str] = []
    for table in (DbProject, DbVM):
        query = select(table.name).where(table.owner_id == user_id, table.deleted_at.is_(None), table.protected)
        names += session.scalars(query.order_by(table.name))
    return names
