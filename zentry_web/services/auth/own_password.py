"""One's own password: changing it, and giving it before something grave. Who came through a provider has none."""

from zentry_web.domain.event import Outcome
from zentry_web.domain.language import _
from zentry_web.domain.user import SYSTEM, Actor
from zentry_web.services.auth.basis import Basis
from zentry_web.services.auth.factors import require_own
from zentry_web.services.auth.password_strength import strong_password
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError
from zentry_web.services.shared.access import require_recent_proof, require_self
from zentry_web.services.shared.account_rows import require_user_row
from zentry_web.services.shared.fields import Fields, invalid
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of


class OwnPassword(BaseService):
    """A part of AuthService."""

    name = "own_password"

    def __init__(self, core: Core, basis: Basis) -> None:
        super().__init__(core)
        self._accounts, self._sessions = basis.accounts, basis.sessions
        self._links, self._passwords = basis.links, basis.passwords
        self._limits = RateLimiter(core)

    def change(
        self, user_id: str, current: str, new: str, *, actor: Actor = SYSTEM, session_token: str | None = None
    ) -> None:
        """Set a new password and end all other sessions; ``session_token`` is the session that stays.

        An account that has none gets its first one after a recent proof. Raises ValidationError (details ``current``
        or ``new``), NotFoundError, RateLimitedError, ProofRequiredError.
        """
        require_self(actor, user_id)
        with self.reading() as session:
            row = require_user_row(session, user_id)
            stored, email, name = row.password_hash, row.email, row.name
        fields = Fields({"new": new})
        new_password = fields.take("new", strong_password(email, name), "")
        fields.check()
        limit = limit_of("password", user_id)
        self._limits.check(limit)
        if stored is None:
            require_own(actor, user_id)
            require_recent_proof(actor, self.now())
        elif not self._passwords.verify(stored, current if isinstance(current, str) else ""):
            self._accounts.log("auth.password_change", user_id, actor, outcome=Outcome.REFUSED)
            raise invalid({"current": _("This is not your current password.")})
        password_hash = self._passwords.hash(new_password)
        with self.transaction() as session:
            row = require_user_row(session, user_id, lock=True)
            if row.password_hash != stored:
                raise ConflictError(_("The password was changed at the same moment. Please try again."))
            row.password_hash = password_hash
            self._sessions.end_all(user_id, keep=session_token)
            self._links.void(user_id)
            self._limits.clear(limit)
            self._accounts.log("auth.password_change", user_id, actor)
            self._accounts.tell_password_changed(user_id)

    def confirm(self, user_id: str, password: str, *, actor: Actor = SYSTEM) -> None:
        """Make sure that it is the owner who asks for something grave. Counted like a change of the password.

        Where there is no password, the recent proof that is asked for anyway has to do. Raises ValidationError on
        ``password``, RateLimitedError, NotFoundError, ProofRequiredError.
        """
        require_self(actor, user_id)
        require_recent_proof(actor, self.now())
        limit = limit_of("password", user_id)
        self._limits.check(limit)
        with self.reading() as session:
            stored = require_user_row(session, user_id).password_hash
        typed = password if isinstance(password, str) else ""
        if stored is None:
            require_own(actor, user_id)
        elif not self._passwords.verify(stored, typed):
            raise invalid({"password": _("This is not your password.")})
        self._limits.clear(limit)
