"""Passkeys: registered, brought as the second factor or instead of the password, and as a proof."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session
from webauthn.helpers import bytes_to_base64url
from webauthn.helpers.structs import AuthenticationCredential

from zentry_web.adapters.database import run
from zentry_web.domain.event import Outcome
from zentry_web.domain.language import _, lazy
from zentry_web.domain.package_settings import AuthSettings
from zentry_web.domain.people.factor import MAX_FACTOR_NAME, MAX_PASSKEYS, FactorKind
from zentry_web.domain.secret import secret_hash
from zentry_web.domain.text import clean_name
from zentry_web.domain.user import Actor, SignedIn
from zentry_web.models import DbFactor, DbPasskeyChallenge
from zentry_web.services.auth.basis import Basis
from zentry_web.services.auth.factors import SecondFactors, require_own
from zentry_web.services.auth.passkey_ceremony import BadAnswer, Ceremony, StoredKey
from zentry_web.services.auth.pending_logins import AGAIN, PendingLogins
from zentry_web.services.auth.proofs import Proofs
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import AuthenticationRequiredError, ConflictError, NotFoundError, ValidationError
from zentry_web.services.shared.access import require_recent_proof
from zentry_web.services.shared.account_rows import require_user_row
from zentry_web.services.shared.fields import Fields, invalid
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of, network_of

LIFETIME = timedelta(minutes=5)
REGISTER, LOGIN, FACTOR, PROOF = "register", "login", "factor", "proof"
NOT_MADE = lazy("The passkey could not be verified. Please try again.")
NOT_KNOWN = lazy("This passkey does not open an account here.")


class Passkeys(BaseService):
    """Every challenge is a row, used up by the first answer, in the browser (session, log-in) it was made for.

    The person is verified by the device each time, so that a passkey may also stand for password and factor at once.
    A part of AuthService.
    """

    name = "passkeys"

    def __init__(
        self,
        core: Core,
        settings: AuthSettings,
        basis: Basis,
        *,
        factors: SecondFactors,
        pending: PendingLogins,
        proofs: Proofs,
    ) -> None:
        super().__init__(core)
        self._accounts = basis.accounts
        self._factors = factors
        self._pending = pending
        self._proofs = proofs
        self._ceremony = Ceremony(settings.base_url)
        self._limits = RateLimiter(core)

    @property
    def possible(self) -> bool:
        """Whether this Zentry can have passkeys: it needs a host name."""
        return self._ceremony.possible

    # -- registering ----------------------------------------------------------------------------

    def check_may_add(self, user_id: str, *, actor: Actor) -> None:
        """Raise what ``begin_registration`` would: ProofRequiredError, NotFoundError, ConflictError (10 at most)."""
        require_own(actor, user_id)
        require_recent_proof(actor, self.now())
        if not self.possible:
            raise NotFoundError(_("Passkeys need a host name; this Zentry is reached by an address."))
        with self.reading() as session:
            if len(_keys(session, user_id)) >= MAX_PASSKEYS:
                raise ConflictError(
                    _("There are %(most)s passkeys already. Remove one that is not needed.", most=MAX_PASSKEYS)
                )

    def begin_registration(self, user_id: str, session_token: str, *, actor: Actor) -> str:
        """What a new passkey is asked, as JSON for the browser. Raises as ``check_may_add``."""
        self.check_may_add(user_id, actor=actor)
        with self.reading() as session:
            user, present = require_user_row(session, user_id), _keys(session, user_id)
        return self._ceremony.ask_to_register(
            self._challenge(REGISTER, session_token, user_id),
            user_id=user_id,
            email=user.email,
            name=user.name,
            present=[_as_key(row) for row in present],
        )

    def register(self, user_id: str, name: str, answer: str, *, actor: Actor, session_token: str) -> tuple[str, ...]:
        """Keep a new passkey; returns the recovery codes to show when it is the first factor.

        Raises ValidationError (``name``, ``credential``), and as ``check_may_add``.
        """
        self.check_may_add(user_id, actor=actor)
        fields = Fields({"name": name or "Passkey"})
        name = fields.take("name", lambda value: clean_name(value, longest=MAX_FACTOR_NAME), "")
        fields.check()
        try:
            credential, challenge = self._ceremony.read_registration(answer)
            self._use_challenge(REGISTER, session_token, challenge)
            key = self._ceremony.verify_registration(credential, challenge)
        except BadAnswer:
            raise invalid({"credential": NOT_MADE}) from None
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            had_any = session.scalar(select(DbFactor.id).where(DbFactor.user_id == user_id).limit(1)) is not None
            row = self._factors.new_row(user_id, FactorKind.PASSKEY, name)
            row.credential_hash, row.credential_id = _hash(key.credential_id), key.credential_id
            row.public_key, row.sign_count, row.transports = key.public_key, key.sign_count, key.transports
            session.add(row)
            session.flush()
            return self._factors.added(session, row, had_any=had_any, actor=actor, session_token=session_token)

    # -- instead of the password ----------------------------------------------------------------

    def begin_login(self, browser: str, *, actor: Actor) -> str:
        """What any passkey of this site is asked; ``browser`` is a secret of this browser. Raises RateLimitedError."""
        self._limits.check(limit_of("passkey", network_of(actor.address)))
        return self._ceremony.ask_to_sign(self._challenge(LOGIN, browser, None))

    def login(self, browser: str, answer: str, *, actor: Actor, replaces: str | None = None) -> SignedIn:
        """Sign in by a passkey alone. Raises AuthenticationRequiredError, in the same words whatever is wrong."""
        try:
            credential, challenge = self._answered(LOGIN, browser, answer)
            row, count = self._verified(credential, challenge)
            handle = credential.response.user_handle
            if handle is not None and handle != row.user_id.encode():
                raise BadAnswer
        except BadAnswer:
            self._accounts.log_refused(None, None, actor)
            raise AuthenticationRequiredError(NOT_KNOWN) from None
        with self.transaction() as session:
            user = require_user_row(session, row.user_id, lock=True)
            if user.disabled_at is not None or not self._spend(session, row, count):
                raise AuthenticationRequiredError(NOT_KNOWN)
            return self._pending.open(user, actor, replaces=replaces, by=FactorKind.PASSKEY)

    # -- after the password ---------------------------------------------------------------------

    def begin_factor(self, secret: str) -> str:
        """What the passkeys of a waiting log-in's account are asked. Raises AuthenticationRequiredError."""
        user_id = self._pending.find_user_id(secret)
        if user_id is None:
            raise AuthenticationRequiredError(AGAIN)
        return self._ask_own(FACTOR, secret, user_id)

    def finish_factor(self, secret: str, answer: str, *, actor: Actor, replaces: str | None = None) -> SignedIn:
        """Bring a passkey as the factor. Raises ValidationError on ``credential``, AuthenticationRequiredError."""
        user_id = self._pending.find_user_id(secret)
        if user_id is None:
            raise AuthenticationRequiredError(AGAIN)
        left = self._pending.take_attempt(secret)
        checked = self._check_own(FACTOR, secret, user_id, answer)
        with self.transaction() as session:
            user = require_user_row(session, user_id, lock=True)
            if checked is not None and self._spend(session, *checked):
                self._pending.use(session, secret, user)
                return self._pending.open(user, actor, replaces=replaces, by=FactorKind.PASSKEY)
        self._pending.refused(user_id, actor, left)
        raise _refusal()

    # -- proving --------------------------------------------------------------------------------

    def begin_proof(self, user_id: str, session_token: str, *, actor: Actor) -> str:
        """What the account's passkeys are asked to prove who it is. Raises NotFoundError."""
        require_own(actor, user_id)
        return self._ask_own(PROOF, session_token, user_id)

    def prove(self, user_id: str, session_token: str, answer: str, *, actor: Actor) -> None:
        """Bring a passkey as a proof for five minutes. Raises ValidationError on ``credential``, NotFoundError."""
        require_own(actor, user_id)
        checked = self._check_own(PROOF, session_token, user_id, answer)
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            if checked is not None and self._spend(session, *checked):
                self._proofs.proved(user_id, session_token, actor, by=FactorKind.PASSKEY)
                return
        self._accounts.log("auth.proof", user_id, actor, outcome=Outcome.REFUSED)
        raise _refusal()

    def prune(self) -> int:
        """Delete challenges that nobody answered; returns how many."""
        with self.transaction() as session:
            old = delete(DbPasskeyChallenge).where(DbPasskeyChallenge.expires_at <= self.now())
            return run(session, old)

    # -- inside ---------------------------------------------------------------------------------

    def _challenge(self, purpose: str, bound_to: str, user_id: str | None) -> bytes:
        challenge = secrets.token_bytes(32)
        row = DbPasskeyChallenge(
            challenge_hash=hashlib.sha256(challenge).hexdigest(),
            purpose=purpose,
            bound_to=secret_hash(bound_to),
            user_id=user_id,
            expires_at=self.now() + LIFETIME,
        )
        with self.transaction() as session:
            session.add(row)
        return challenge

    def _use_challenge(self, purpose: str, bound_to: str, challenge: bytes) -> None:
        """Use a challenge up, whatever becomes of the answer. Raises BadAnswer unless it was asked here and now."""
        with self.transaction() as session:
            used = run(
                session,
                delete(DbPasskeyChallenge).where(
                    DbPasskeyChallenge.challenge_hash == hashlib.sha256(challenge).hexdigest(),
                    DbPasskeyChallenge.purpose == purpose,
                    DbPasskeyChallenge.bound_to == secret_hash(bound_to),
                    DbPasskeyChallenge.expires_at > self.now(),
                ),
            )
        if used != 1:
            raise BadAnswer

    def _ask_own(self, purpose: str, bound_to: str, user_id: str) -> str:
        with self.reading() as session:
            keys = [_as_key(row) for row in _keys(session, user_id)]
        if not keys:
            raise NotFoundError(_("There is no passkey."))
        return self._ceremony.ask_to_sign(self._challenge(purpose, bound_to, user_id), keys)

    def _check_own(self, purpose: str, bound_to: str, user_id: str, answer: str) -> tuple[DbFactor, int] | None:
        """The account's own key that answered, and its new count; None when the answer is not right."""
        try:
            found = self._verified(*self._answered(purpose, bound_to, answer))
        except BadAnswer:
            return None
        return found if found[0].user_id == user_id else None

    def _answered(self, purpose: str, bound_to: str, answer: str) -> tuple[AuthenticationCredential, bytes]:
        credential, challenge = self._ceremony.read_signature(answer)
        self._use_challenge(purpose, bound_to, challenge)
        return credential, challenge

    def _verified(self, credential: AuthenticationCredential, challenge: bytes) -> tuple[DbFactor, int]:
        with self.reading() as session:
            wanted = _hash(bytes_to_base64url(credential.raw_id))
            row = session.scalar(select(DbFactor).where(DbFactor.credential_hash == wanted))
        if row is None:
            raise BadAnswer
        return row, self._ceremony.verify_signature(credential, challenge, _as_key(row))

    def _spend(self, session: Session, row: DbFactor, count: int) -> bool:
        """Note a signature; False when another one was noted since this one was checked, or the key is gone."""
        return (
            run(
                session,
                update(DbFactor)
                .where(DbFactor.id == row.id, DbFactor.sign_count == row.sign_count)
                .values(sign_count=count, last_used_at=self.now()),
            )
            == 1
        )


def _keys(session: Session, user_id: str) -> Sequence[DbFactor]:
    query = select(DbFactor).where(DbFactor.user_id == user_id, DbFactor.kind == FactorKind.PASSKEY)
    return session.scalars(query.order_by(DbFactor.id)).all()


def _as_key(row: DbFactor) -> StoredKey:
    return StoredKey(row.credential_id or "", row.public_key or "", row.sign_count or 0, row.transports)


def _hash(credential_id: str) -> str:
    return hashlib.sha256(credential_id.encode()).hexdigest()


def _refusal() -> ValidationError:
    return invalid({"credential": _("This passkey was not accepted. Please try again.")})
