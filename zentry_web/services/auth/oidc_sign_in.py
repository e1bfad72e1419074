"""Signing in through an OpenID provider, and linking its accounts to those here.

Who somebody is, the provider's issuer and subject say, never the address. An address that has an account here opens
nothing: its owner logs in as always and links the two from within.
"""

import hashlib
import hmac
from datetime import timedelta

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.adapters.oidc.base import IdentityProvider, OidcAway, OidcError, OidcRequest
from zentry_web.domain.email import mailbox
from zentry_web.domain.event import Outcome
from zentry_web.domain.language import _
from zentry_web.domain.notice_texts import say
from zentry_web.domain.people.factor import FactorKind, FactorNeeded
from zentry_web.domain.people.oidc import (
    Departure,
    Identity,
    Linked,
    MailSent,
    OidcClaims,
    OidcPurpose,
    Proved,
    WaysIn,
)
from zentry_web.domain.secret import new_secret, secret_hash
from zentry_web.domain.user import SYSTEM, Actor, Role, SignedIn
from zentry_web.models import DbFactor, DbIdentity, DbOidcFlow, DbUser
from zentry_web.services.auth.basis import Basis
from zentry_web.services.auth.email_verification import EmailVerification
from zentry_web.services.auth.factors import require_own
from zentry_web.services.auth.pending_logins import PendingLogins
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import (
    AuthenticationRequiredError,
    ConflictError,
    NotFoundError,
    PermissionDeniedError,
    ProviderUnavailableError,
)
from zentry_web.services.shared.access import PROOF_LASTS, require_recent_proof
from zentry_web.services.shared.account_rows import require_user_row
from zentry_web.services.shared.fields import email_key, parse_email, parse_person
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of, network_of

log = structlog.get_logger(__name__)

LASTS = timedelta(minutes=10)
LONGEST_TARGET = 2000
LONGEST_ANSWER = 4000
Outcomes = SignedIn | FactorNeeded | MailSent | Linked | Proved


class OidcSignIn(BaseService):
    """A part of AuthService. The provider is never asked inside a transaction."""

    name = "oidc"

    def __init__(
        self,
        core: Core,
        basis: Basis,
        provider: IdentityProvider | None,
        *,
        pending: PendingLogins,
        verification: EmailVerification,
    ) -> None:
        super().__init__(core)
        self._accounts, self._sessions, self._rules = basis.accounts, basis.sessions, basis.rules
        self._provider = provider
        self._pending = pending
        self._verification = verification
        self._limits = RateLimiter(core)

    @property
    def provider_name(self) -> str:
        """What people call the provider; '' when the operator has set none."""
        return self._provider.name if self._provider else ""

    # -- there ----------------------------------------------------------------------------------

    def begin(
        self,
        browser_secret: str,
        *,
        actor: Actor,
        purpose: OidcPurpose = OidcPurpose.SIGN_IN,
        user_id: str | None = None,
        target: str = "",
    ) -> Departure:
        """Where to send this browser; it comes back with an answer that counts once, here, for ten minutes.

        ``user_id``: who links, or proves who they are; linking needs a recent proof. Raises NotFoundError (no provider,
        somebody else's account), ProofRequiredError, RateLimitedError, ProviderUnavailableError.
        """
        provider = self._require_provider()
        if purpose != OidcPurpose.SIGN_IN:
            require_own(actor, user_id or "")
        if purpose == OidcPurpose.LINK:
            require_recent_proof(actor, self.now())
        self._limits.check(limit_of("oidc", network_of(actor.address)))
        state = new_secret()
        request = self._request(browser_secret, state, purpose)
        try:
            url = provider.authorization_url(request)
        except OidcError as error:
            raise self._unavailable(error) from error
        now = self.now()
        with self.transaction() as session:
            session.add(
                DbOidcFlow(
                    state_hash=secret_hash(state),
                    bound_to=secret_hash(browser_secret),
                    purpose=purpose,
                    user_id=user_id if purpose != OidcPurpose.SIGN_IN else None,
                    target=target if len(target) <= LONGEST_TARGET else "",
                    created_at=now,
                    expires_at=now + LASTS,
                )
            )
        return Departure(url, provider.name)

    # -- and back -------------------------------------------------------------------------------

    def finish(
        self,
        browser_secret: str,
        answer: dict[str, str],
        *,
        actor: Actor,
        session_token: str | None = None,
        invitation: str = "",
    ) -> tuple[Outcomes, str]:
        """Take what the provider sent along (``state`` and ``code``, or ``error``): what it comes to, and the target.

        ``session_token`` is this browser's session: ended by a log-in, proved anew by a proof; ``invitation`` the
        secret of one that was followed, for who is new. Raises ValidationError on ``email`` (its domain),
        AuthenticationRequiredError (nothing was begun here, refused there, does not check out), ConflictError (the
        address has an account; linked elsewhere), RateLimitedError, ProviderUnavailableError, PermissionDeniedError.
        """
        provider = self._require_provider()
        self._limits.check(limit_of("oidc", network_of(actor.address)))
        state = answer.get("state", "")[:200]
        flow = self._take(browser_secret, state)
        if flow is None:
            raise AuthenticationRequiredError(
                _("This took too long, or was begun in another browser. Please try again.")
            )
        if answer.get("iss", provider.issuer) != provider.issuer or not answer.get("code"):
            raise AuthenticationRequiredError(
                _("%(name)s did not confirm who you are. Nobody was signed in.", name=provider.name)
            )
        request = self._request(browser_secret, state, OidcPurpose(flow.purpose))
        try:
            claims = provider.exchange(request, answer["code"][:LONGEST_ANSWER])
        except OidcError as error:
            if isinstance(error, OidcAway):
                raise self._unavailable(error) from error
            log.warning("oidc_refused", reason=str(error))
            raise AuthenticationRequiredError(
                _("What %(name)s answered does not check out. Nobody was signed in.", name=provider.name)
            ) from error
        if flow.purpose == OidcPurpose.SIGN_IN:
            return self._enter(claims, invitation, actor, session_token), flow.target
        if flow.user_id is None or actor.id != flow.user_id or session_token is None:
            raise AuthenticationRequiredError(_("You were logged out meanwhile. Please log in and try again."))
        if flow.purpose == OidcPurpose.LINK:
            return self._link(flow.user_id, claims, actor), flow.target
        return self._prove(flow, claims, actor, session_token), flow.target

    # -- what is linked -------------------------------------------------------------------------

    def ways_in(self, user_id: str, *, actor: Actor = SYSTEM) -> WaysIn:
        """How one's own account can be entered. Raises NotFoundError. Two statements."""
        require_own(actor, user_id)
        with self.reading() as session:
            return self._ways_in(session, require_user_row(session, user_id))

    def unlink(self, user_id: str, identity_id: str, *, actor: Actor) -> None:
        """Let the provider's account open this one no more.

        Raises ProofRequiredError, NotFoundError, ConflictError when it is the only way in.
        """
        require_own(actor, user_id)
        require_recent_proof(actor, self.now())
        with self.transaction() as session:
            ways = self._ways_in(session, require_user_row(session, user_id, lock=True))
            if identity_id not in {each.id for each in ways.identities}:
                raise NotFoundError(_("That is not linked any more."))
            if not ways.without_identities and len(ways.identities) == 1:
                raise ConflictError(_("It is your only way in. Set a password or add a passkey first."))
            session.execute(delete(DbIdentity).where(DbIdentity.id == identity_id))
            self._accounts.log("auth.oidc_unlink", user_id, actor)
            self._accounts.tell_security(user_id, "oidc", say("oidc_unlinked"))

    def prune(self) -> int:
        """Delete what nobody came back from; returns how many."""
        with self.transaction() as session:
            old = delete(DbOidcFlow).where(DbOidcFlow.expires_at <= self.now())
            return run(session, old)

    # -- inside ---------------------------------------------------------------------------------

    def _require_provider(self) -> IdentityProvider:
        if self._provider is None:
            raise NotFoundError(_("This Zentry has no other service to sign in through."))
        return self._provider

    def _unavailable(self, error: OidcError) -> ProviderUnavailableError:
        log.warning("oidc_away", reason=str(error))
        return ProviderUnavailableError(
            _(
                "%(provider_name)s does not answer as it should right now. If you have a password here, log in "
                "with that; otherwise please try again later.",
                provider_name=self.provider_name,
            )
        )

    def _request(self, browser_secret: str, state: str, purpose: OidcPurpose) -> OidcRequest:
        """Nonce and verifier are never stored: this browser's secret and the state make them again."""

        def made(use: str) -> str:
            return hmac.new(browser_secret.encode(), f"{use} {state}".encode(), hashlib.sha256).hexdigest()

        fresh = purpose == OidcPurpose.PROVE
        return OidcRequest(state, made("nonce"), made("verifier"), fresh)

    def _take(self, browser_secret: str, state: str) -> DbOidcFlow | None:
        """What was begun, once: of two who bring the same state, one gets it."""
        mine = DbOidcFlow.state_hash == secret_hash(state)
        mine &= DbOidcFlow.bound_to == secret_hash(browser_secret)
        with self.transaction() as session:
            flow = session.scalar(select(DbOidcFlow).where(mine, DbOidcFlow.expires_at > self.now()))
            if flow is None:
                return None
            session.expunge(flow)
            return flow if run(session, delete(DbOidcFlow).where(mine)) == 1 else None

    def _find(self, session: Session, claims: OidcClaims) -> DbIdentity | None:
        return session.scalar(
            select(DbIdentity).where(DbIdentity.issuer == claims.issuer, DbIdentity.subject == claims.subject)
        )

    def _enter(self, claims: OidcClaims, invitation: str, actor: Actor, replaces: str | None) -> Outcomes:
        with self.transaction() as session:
            known = self._find(session, claims)
            if known is not None:
                row = require_user_row(session, known.user_id, lock=True)
                if row.disabled_at is not None:
                    raise AuthenticationRequiredError(_("This account cannot be used. Ask an administrator."))
                known.last_used_at = self.now()
                session.flush()
                return self._pending.enter(row, actor, replaces=replaces)
        try:
            email = parse_email(claims.email)
        except ValueError:
            raise ConflictError(
                _(
                    "%(provider_name)s tells no e-mail address of yours. Sign up with one here, then link "
                    "%(provider_name)s on your security page.",
                    provider_name=self.provider_name,
                )
            ) from None
        if not claims.email_verified:
            return self._ask_by_mail(email, claims, invitation, actor)
        invitation_id = self._rules.check(email, invitation=invitation, actor=actor)
        self._limits.check(limit_of("signup", network_of(actor.address), self._rules.most_per_hour()))
        return self._sign_up(email, claims, actor, replaces, invitation_id)

    def _ask_by_mail(self, email: str, claims: OidcClaims, invitation: str, actor: Actor) -> MailSent:
        """The same for an address with and without an account: nobody has proved that it is theirs."""
        if not self._verification.enabled:
            raise ConflictError(
                _(
                    "%(provider_name)s does not say that your e-mail address is confirmed (email_verified). "
                    "Confirm it there and come back, or sign up with a password. Whoever runs this Zentry can "
                    "help.",
                    provider_name=self.provider_name,
                )
            )
        data = {"email": email, "name": _name(claims, email), "invitation": invitation}
        self._verification.request_signup(data, actor=actor)
        return MailSent()

    def _sign_up(
        self, email: str, claims: OidcClaims, actor: Actor, replaces: str | None, invitation_id: str | None
    ) -> SignedIn:
        with self.transaction() as session:
            if session.scalar(select(DbUser.id).where(DbUser.email_key == email_key(email))) is not None:
                raise ConflictError(
                    _(
                        "There is a Zentry account with this address already. Log in to it as always, then link "
                        "%(provider_name)s on your security page: once, and from then on it lets you in.",
                        provider_name=self.provider_name,
                    )
                )
            self._rules.use(invitation_id)
            name = _name(claims, email)
            user = self._accounts.add(email, name, Role.USER, None, actor=actor, once_per=mailbox(email))
            self._add(session, user.id, claims)
            if replaces:
                self._sessions.end([replaces])
            return self._sessions.open(user, actor)

    def _link(self, user_id: str, claims: OidcClaims, actor: Actor) -> Linked:
        require_recent_proof(actor, self.now())
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            known = self._find(session, claims)
            if known is not None and known.user_id == user_id:
                return Linked()
            if known is not None:
                raise ConflictError(
                    _(
                        "This account of %(provider_name)s is linked to another Zentry account.",
                        provider_name=self.provider_name,
                    )
                )
            mine = DbIdentity.user_id == user_id
            if session.scalar(select(DbIdentity.id).where(mine, DbIdentity.issuer == claims.issuer)) is not None:
                raise ConflictError(
                    _(
                        "Another account of %(provider_name)s is linked here. Unlink it first.",
                        provider_name=self.provider_name,
                    )
                )
            self._add(session, user_id, claims)
            self._accounts.log("auth.oidc_link", user_id, actor)
            self._accounts.tell_security(user_id, "oidc", say("oidc_linked", provider=self.provider_name))
        return Linked()

    def _prove(self, flow: DbOidcFlow, claims: OidcClaims, actor: Actor, session_token: str) -> Proved:
        user_id = str(flow.user_id)
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            known = self._find(session, claims)
            has_factor = session.scalar(select(DbFactor.id).where(DbFactor.user_id == user_id).limit(1)) is not None
            # Without auth_time nobody knows whether the person was asked just now (OpenID Connect Core, 3.1.2.1: it
            # is there when max_age was sent).
            stale = claims.auth_time is None or claims.auth_time < flow.created_at - PROOF_LASTS
            proved = known is not None and known.user_id == user_id and not has_factor and not stale
            if proved:
                self._sessions.prove(session_token)
            outcome = Outcome.SUCCEEDED if proved else Outcome.REFUSED
            self._accounts.log("auth.proof", user_id, actor, {"by": "oidc"}, outcome=outcome)
        if not proved:
            raise PermissionDeniedError(
                _(
                    "That did not prove it: %(provider_name)s has to ask you who you are.",
                    provider_name=self.provider_name,
                )
            )
        return Proved()

    def _add(self, session: Session, user_id: str, claims: OidcClaims) -> None:
        now = self.now()
        session.add(
            DbIdentity(
                id=self.new_id("idn"),
                user_id=user_id,
                issuer=claims.issuer,
                subject=claims.subject,
                email=claims.email[:254].replace("\x00", ""),
                linked_at=now,
                last_used_at=now,
            )
        )
        session.flush()

    def _ways_in(self, session: Session, row: DbUser) -> WaysIn:
        passkeys = select(func.count()).where(DbFactor.user_id == row.id, DbFactor.kind == FactorKind.PASSKEY)
        identities = session.scalars(select(DbIdentity).where(DbIdentity.user_id == row.id).order_by(DbIdentity.id))
        return WaysIn(
            row.password_hash is not None,
            session.scalar(passkeys) or 0,
            tuple(Identity(each.id, each.issuer, each.email, each.linked_at, each.last_used_at) for each in identities),
        )


def _name(claims: OidcClaims, email: str) -> str:
    """The person's name, or what stands before the @ when the provider tells none that will do."""
    for name in (claims.name, email.partition("@")[0]):
        try:
            return parse_person(name)
        except ValueError:
            continue
    return "New here"
