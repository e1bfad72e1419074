"""Sign-up, log-in, sessions, profiles, passwords and the one-time links of admins."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select

from zentry_web.adapters.captcha.base import Captcha
from zentry_web.adapters.oidc.base import IdentityProvider
from zentry_web.domain.language import _
from zentry_web.domain.package_settings import AuthSettings
from zentry_web.domain.people.factor import FactorNeeded
from zentry_web.domain.user import (
    FIRST_ADMIN_EMAIL,
    SYSTEM,
    Actor,
    CurrentSession,
    OpenSession,
    Role,
    SignedIn,
    User,
    parse_language,
    parse_region,
    parse_shortcuts,
    parse_theme,
    parse_time_zone,
)
from zentry_web.models import DbUser
from zentry_web.services.auth.accounts import EMAIL_TAKEN, Accounts
from zentry_web.services.auth.api_tokens import ApiTokens
from zentry_web.services.auth.basis import Basis
from zentry_web.services.auth.captcha_gate import CaptchaGate
from zentry_web.services.auth.email_change import EmailChange
from zentry_web.services.auth.email_verification import EmailVerification
from zentry_web.services.auth.factors import SecondFactors
from zentry_web.services.auth.oidc_sign_in import OidcSignIn
from zentry_web.services.auth.one_time_links import ADMIN_PURPOSES, LinkPurpose, OneTimeLinks
from zentry_web.services.auth.own_password import OwnPassword
from zentry_web.services.auth.passkeys import Passkeys
from zentry_web.services.auth.password_login import PasswordLogin
from zentry_web.services.auth.password_strength import strong_password
from zentry_web.services.auth.passwords import Passwords
from zentry_web.services.auth.pending_logins import PendingLogins
from zentry_web.services.auth.proofs import Proofs
from zentry_web.services.auth.sessions import Sessions
from zentry_web.services.auth.signup_rules import SignupRules
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.errors import (
    AuthenticationRequiredError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
)
from zentry_web.services.shared.access import require_admin, require_recent_proof, require_self
from zentry_web.services.shared.account_rows import as_user, require_user_row
from zentry_web.services.shared.event_log import role_changed_lately
from zentry_web.services.shared.fields import Fields, email_key, invalid, parse_email, parse_local_email, parse_person
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of, network_of

_PROFILE: dict[str, Callable[[object], Any]] = {
    "name": parse_person,
    "time_zone": parse_time_zone,
    "region": parse_region,
    "language": parse_language,
    "theme": parse_theme,
    "shortcuts": parse_shortcuts,
}


class AuthService(BaseService):
    """Accounts and who may use them. Passwords are argon2id; of sessions and links only hashes are stored."""

    name = "auth"

    def __init__(
        self,
        core: Core,
        billing: BillingService,
        settings: AuthSettings,
        *,
        identity_provider: IdentityProvider | None = None,
        captcha: Captcha | None = None,
    ) -> None:
        super().__init__(core)
        self._billing = billing
        self._passwords = Passwords(memory_kib=settings.argon2_memory_kib, time_cost=settings.argon2_time_cost)
        self._limits = RateLimiter(core)
        self._accounts = accounts = Accounts(core, billing)
        self._sessions = sessions = Sessions(core, settings, accounts)
        self.find_sessions = sessions.find_all  # of several browsers at once: live streams ask twice a second
        self.links = OneTimeLinks(core)
        self.rules = SignupRules(core, billing.settings)
        basis = Basis(accounts, sessions, self.links, self._passwords, self.rules)
        self.captcha = CaptchaGate(core, captcha)
        self.factors = SecondFactors(core, settings, basis)
        self.pending = PendingLogins(core, basis, self.factors)
        self.proofs = Proofs(core, basis, self.factors)
        self.passkeys = Passkeys(core, settings, basis, factors=self.factors, pending=self.pending, proofs=self.proofs)
        self._password_login = PasswordLogin(
            core, basis, settings=billing.settings, captcha=self.captcha, pending=self.pending
        )
        self.tokens = ApiTokens(core, basis, login=self._password_login, pending=self.pending)
        self.password = OwnPassword(core, basis)
        self.verification = EmailVerification(core, basis)
        self.email_change = EmailChange(core, basis)
        self.oidc = OidcSignIn(core, basis, identity_provider, pending=self.pending, verification=self.verification)

    # -- accounts -------------------------------------------------------------------------------

    def signup(self, user_data: Mapping[str, object], *, actor: Actor = SYSTEM) -> User:
        """Make an account from ``email``, ``name`` and ``password``, with its wallet and starting credits.

        ``invitation`` is the secret of the link by which somebody came, where only invited people may sign up.
        Raises ValidationError (details per field; also for an address that has an account, or may not sign up),
        ConflictError (closed), RateLimitedError.
        """
        fields = Fields(user_data)
        email = fields.take("email", parse_email, "")
        name = fields.take("name", parse_person, "")
        password = fields.take("password", strong_password(email, name), "")
        fields.check()
        invitation_id = self.rules.check(email, invitation=user_data.get("invitation"), actor=actor)
        if actor.address is not None:
            self._limits.check(limit_of("signup", network_of(actor.address), self.rules.most_per_hour()))
        self._accounts.refuse_taken(email)
        password_hash = self._passwords.hash(password)
        try:
            with self.transaction():
                self._accounts.refuse_taken(email)
                self.rules.use(invitation_id)
                return self._accounts.add(email, name, Role.USER, password_hash, actor=actor)
        except ConflictError:
            self._accounts.refuse_taken(email)  # somebody else was faster by a moment
            raise

    def update_profile(self, user_id: str, profile_data: Mapping[str, object], *, actor: Actor = SYSTEM) -> User:
        """Change ``name``, ``time_zone``, ``language``, ``region``, ``theme``, ``shortcuts``; a field left out stays.

        Raises ValidationError, NotFoundError.
        """
        require_self(actor, user_id)
        with self.transaction() as session:
            self._billing.wallets.lock(user_id)  # the time zone decides where months are cut
            row = require_user_row(session, user_id, lock=True)
            before = {name: getattr(row, name) for name in _PROFILE}
            fields = Fields({**before, **profile_data})
            after = {name: fields.take(name, parse, before[name]) for name, parse in _PROFILE.items()}
            fields.check()
            changed = [name for name in _PROFILE if after[name] != before[name]]
            for name in changed:
                setattr(row, name, after[name])
            if changed:
                personal = {"name": row.name} if "name" in changed else {}
                self._accounts.log("profile.update", user_id, actor, {"changed": changed}, personal=personal)
            return as_user(row)

    def change_password(
        self, user_id: str, current: str, new: str, *, actor: Actor = SYSTEM, session_token: str | None = None
    ) -> None:
        """Set a new password and end all other sessions; ``session_token`` is the session that stays.

        An account without a password gets its first one. Raises ValidationError (details ``current`` or ``new``),
        NotFoundError, RateLimitedError, ProofRequiredError (no password yet).
        """
        self.password.change(user_id, current, new, actor=actor, session_token=session_token)

    # -- sessions -------------------------------------------------------------------------------

    def login(
        self, credentials: Mapping[str, object], *, actor: Actor = SYSTEM, replaces: str | None = None
    ) -> SignedIn | FactorNeeded:
        """Open a session for ``email`` and ``password``; ``replaces`` is an older session's token to end.

        An account with a second factor gets a FactorNeeded instead, for ``pending.finish_…``.
        Raises AuthenticationRequiredError, in the same words and time whether the account is unknown, disabled or
        the password is wrong; RateLimitedError after too many refusals (password_login.py), of which others cause none.
        """
        return self._password_login.login(credentials, actor=actor, replaces=replaces)

    def get_session(self, session_token: str) -> CurrentSession | None:
        """Whose session it is and what was proved in it; None once it was ended or has expired. One query."""
        return self._sessions.find(session_token)

    def renew_session(self, session_token: str) -> str | None:
        """Another secret for an open session's browser to show from now on, or None; the end date stays."""
        return self._sessions.renew(session_token)

    def logout(self, session_token: str, *, actor: Actor = SYSTEM) -> None:
        """End a session. One that has ended already is no error."""
        with self.transaction():
            found = self._sessions.find(session_token)
            if self._sessions.end([session_token]) and found is not None:
                self._accounts.log("auth.logout", found.user.id, actor)

    def refresh_token(self, session_token: str, *, actor: Actor = SYSTEM) -> SignedIn:
        """Give an open session a new secret; the old one stops working, the end date stays.

        Raises AuthenticationRequiredError when it is not open any more.
        """
        with self.transaction():
            signed_in = self._sessions.rotate(session_token, actor)
            if signed_in is None:
                raise AuthenticationRequiredError(_("Please log in again."))
            return signed_in

    def end_sessions(self, user_id: str, *, actor: Actor = SYSTEM, keep: str | None = None) -> int:
        """End all sessions but the one with the token ``keep``; returns how many. Raises NotFoundError."""
        require_self(actor, user_id)
        with self.transaction():
            ended = self._sessions.end_all(user_id, keep=keep)
            if ended:
                self._accounts.log("auth.logout", user_id, actor, {"sessions": ended})
            return ended

    def list_sessions(
        self, user_id: str, *, actor: Actor = SYSTEM, session_token: str | None = None
    ) -> list[OpenSession]:
        """The browsers that are signed in to an account; the one with ``session_token`` is marked as this one.

        Raises NotFoundError when the account is somebody else's.
        """
        require_self(actor, user_id)
        return self._sessions.list_open(user_id, current=session_token)

    def end_session(self, user_id: str, session_id: str, *, actor: Actor = SYSTEM) -> None:
        """End one session by the id that ``list_sessions`` gave. Raises NotFoundError when it is not open."""
        require_self(actor, user_id)
        with self.transaction():
            if not self._sessions.end_one(user_id, session_id):
                raise NotFoundError(_("That session has ended already."))
            self._accounts.log("auth.logout", user_id, actor, {"sessions": 1})

    # -- one-time links -------------------------------------------------------------------------

    def make_password_link(self, user_id: str, *, actor: Actor) -> str:
        """The secret of a link (24 h, once) by which a person sets a new password; for admins, who never choose it.

        All sessions of the account end; a second factor stays. Links to admins' accounts are made on the command line
        only (``create_admin``): nobody steps into another admin, or around their own password. Raises
        PermissionDeniedError, ProofRequiredError, NotFoundError, ConflictError (disabled, just demoted).
        """
        require_admin(actor)
        require_recent_proof(actor, self.now())
        with self.transaction() as session:
            row = require_user_row(session, user_id, lock=True)
            if row.role == Role.ADMIN and actor.role != Role.SYSTEM:
                raise PermissionDeniedError(_("Links for admins are made on the command line: zentry create-admin."))
            if row.disabled_at is not None:
                raise ConflictError(_("Enable the account first."))
            if actor.role != Role.SYSTEM and role_changed_lately(session, user_id, self.now()):
                raise ConflictError(_("This was an admin's account until a short time ago: wait 24 hours."))
            self._sessions.end_all(user_id)
            self._accounts.log("auth.link_made", user_id, actor)
            return self.links.make(user_id, LinkPurpose.SET_PASSWORD)

    def create_admin(self, email: str, name: str, *, actor: Actor = SYSTEM) -> str:
        """Make an admin without a password and return the secret of the link (24 h, once) that sets it.

        From the command line (``actor`` is SYSTEM) an existing account becomes an admin and gets a fresh link;
        its sessions end. Raises ValidationError on ``email`` or ``name``, PermissionDeniedError, ProofRequiredError.
        """
        require_admin(actor)
        require_recent_proof(actor, self.now())
        fields = Fields({"email": email, "name": name})
        email = fields.take("email", parse_local_email, "")
        name = fields.take("name", parse_person, "")
        fields.check()
        with self.transaction() as session:
            row = session.scalar(select(DbUser).where(DbUser.email_key == email_key(email)))
            if row is None:
                user_id = self._accounts.add(email, name, Role.ADMIN, None, actor=actor).id
            elif actor.role == Role.SYSTEM and row.disabled_at is None:
                row.role = Role.ADMIN
                user_id = row.id
                self._sessions.end_all(user_id)
            else:
                raise invalid({"email": EMAIL_TAKEN})
            self._accounts.log("auth.link_made", user_id, actor)
            return self.links.make(user_id, LinkPurpose.SET_PASSWORD)

    def ensure_first_admin_link(self, email: str = FIRST_ADMIN_EMAIL) -> str | None:
        """A fresh link for the first admin, made if need be; None once there is an admin with a password."""
        with self.transaction() as session:
            admins = session.scalars(select(DbUser).where(DbUser.role == Role.ADMIN).order_by(DbUser.id)).all()
            if any(row.password_hash is not None for row in admins):
                return None
            waiting = [row.id for row in admins if row.disabled_at is None]
            user_id = waiting[0] if waiting else self._accounts.add(email, "Admin", Role.ADMIN, None).id
            return self.links.make(user_id, LinkPurpose.FIRST_ADMIN)

    def peek_link(self, token: str) -> User | None:
        """Whom a link is for, without using it; None when it has expired or was used."""
        found = self.links.find(token, ADMIN_PURPOSES)
        return as_user(found[0]) if found else None

    def redeem_link(
        self,
        token: str,
        password: str,
        name: str | None = None,
        email: str | None = None,
        *,
        actor: Actor = SYSTEM,
    ) -> SignedIn | FactorNeeded:
        """Use a link up: set the password, end old sessions, sign in. The first admin also gives ``email``.

        The link does not stand in for a second factor: an account that has one is asked for it.
        Raises ValidationError (details per field), NotFoundError when the link has expired or was used.
        """
        found = self.links.require(token, ADMIN_PURPOSES)
        fields = Fields({"password": password, "name": name, "email": email})
        new_name = fields.take("name", parse_person, "") if name is not None else None
        new_email = fields.take("email", parse_local_email, "") if email is not None else None
        personal = (found.email, found.name, new_email or "", new_name or "")
        password = fields.take("password", strong_password(*personal), "")
        fields.check()
        password_hash = self._passwords.hash(password)
        with self.transaction() as session:
            row, purpose = self.links.use(session, token, ADMIN_PURPOSES)
            row = require_user_row(session, row.id, lock=True)
            if new_email is not None and email_key(new_email) != row.email_key:
                self._change_email(row, new_email, allowed=purpose == LinkPurpose.FIRST_ADMIN)
            row.name = new_name or row.name
            if row.password_hash is not None:
                self._accounts.tell_password_changed(row.id)
            row.password_hash = password_hash
            session.flush()
            self._sessions.end_all(row.id)
            self.links.void(row.id)
            self._accounts.log("auth.link_redeemed", row.id, actor, personal={"email": row.email, "name": row.name})
            return self.pending.enter(row, actor, by_link=True)

    def confirm_password(self, user_id: str, password: str, *, actor: Actor = SYSTEM) -> None:
        """Make sure that it is the owner who asks for something grave. Counted like a change of the password.

        Raises ValidationError on ``password``, RateLimitedError, NotFoundError, ProofRequiredError.
        """
        self.password.confirm(user_id, password, actor=actor)

    # -- upkeep ---------------------------------------------------------------------------------

    def prune(self) -> int:
        """Delete counters, sessions and links too old to matter; returns how many. For the worker, once an hour."""
        parts = (self.tokens, self._limits, self._sessions, self.links, self.verification, self.pending, self.passkeys)
        return sum(part.prune() for part in (*parts, self.oidc, self.email_change))

    # -- inside ---------------------------------------------------------------------------------

    def _change_email(self, row: DbUser, email: str, *, allowed: bool) -> None:
        if not allowed:
            raise invalid({"email": _("This link does not let you change the e-mail address.")})
        self._accounts.refuse_taken(email)
        row.email, row.email_key = email, email_key(email)
