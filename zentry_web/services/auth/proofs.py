"""Proving again who one is, in an open session, before what a stolen session must not be enough for."""

from zentry_web.domain.event import Outcome
from zentry_web.domain.language import _
from zentry_web.domain.people.factor import Factors
from zentry_web.domain.secret import secret_hash
from zentry_web.domain.user import Actor
from zentry_web.services.auth.basis import Basis
from zentry_web.services.auth.factors import WRONG_CODE, SecondFactors
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.shared.access import require_self
from zentry_web.services.shared.account_rows import require_user_row
from zentry_web.services.shared.fields import invalid
from zentry_web.services.shared.rate_limits import Limit, RateLimiter, limit_of


class Proofs(BaseService):
    """Who has a factor proves it with that; who has none, with the password. A part of AuthService."""

    name = "proofs"

    def __init__(self, core: Core, basis: Basis, factors: SecondFactors) -> None:
        super().__init__(core)
        self._accounts, self._sessions, self._passwords = basis.accounts, basis.sessions, basis.passwords
        self._factors = factors
        self._limits = RateLimiter(core)

    def what_proves(self, user_id: str, *, actor: Actor) -> Factors:
        """The factors that are asked for; none: the password is. Raises NotFoundError."""
        require_self(actor, user_id)
        return self._factors.list_factors(user_id, actor=actor)

    def prove(self, user_id: str, session_token: str, typed: str, *, actor: Actor) -> None:
        """Bring the password, or where there is a factor its code or a recovery code. Good for five minutes.

        Raises ValidationError on ``password`` or ``code``, RateLimitedError (10 in 15 minutes in this session).
        """
        needed = self.what_proves(user_id, actor=actor)
        limit = limit_of("proof", f"{user_id}|{secret_hash(session_token)}")
        self._limits.check(limit)
        if not needed:
            self._prove_password(user_id, session_token, typed, limit, actor)
            return
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            used = self._factors.spend(session, user_id, typed, actor)
            if used is not None:
                self.proved(user_id, session_token, actor, limit, by=used)
        if used is None:
            self.refused(user_id, actor)
            raise invalid({"code": WRONG_CODE})

    def proved(self, user_id: str, session_token: str, actor: Actor, limit: Limit | None = None, *, by: str) -> None:
        """Note the proof on the session, in the caller's transaction."""
        if limit is not None:
            self._limits.clear(limit)
        self._sessions.prove(session_token)
        self._accounts.log("auth.proof", user_id, actor, {"by": by})

    def refused(self, user_id: str, actor: Actor) -> None:
        """Record a proof that was none."""
        self._accounts.log("auth.proof", user_id, actor, outcome=Outcome.REFUSED)

    def _prove_password(self, user_id: str, session_token: str, typed: str, limit: Limit, actor: Actor) -> None:
        with self.reading() as session:
            stored = require_user_row(session, user_id).password_hash
        if not self._passwords.verify(stored, typed):
            self.refused(user_id, actor)
            raise invalid({"password": _("This is not your password.")})
        with self.transaction():
            self.proved(user_id, session_token, actor, limit, by="password")
