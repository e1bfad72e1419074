"""Second factors of an account: setting them up, spending their codes, taking them away."""

import hmac
import secrets
from datetime import timedelta
from urllib.parse import urlsplit

import pyotp
import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from zentry_web.adapters.database import run
from zentry_web.domain.language import _, lazy
from zentry_web.domain.notice_texts import say
from zentry_web.domain.package_settings import AuthSettings
from zentry_web.domain.people.factor import (
    CODE_DIGITS,
    RECOVERY_ALPHABET,
    RECOVERY_CODES,
    RECOVERY_LENGTH,
    STEP_SECONDS,
    AppSetup,
    Factor,
    FactorKind,
    Factors,
    is_app_code,
    plain_code,
    shown_code,
)
from zentry_web.domain.user import SYSTEM, Actor, Role
from zentry_web.models import DbFactor, DbPasskeyChallenge, DbRecoveryCode
from zentry_web.services.auth.basis import Basis
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError, NotFoundError
from zentry_web.services.shared.access import require_recent_proof
from zentry_web.services.shared.account_rows import require_user_row
from zentry_web.services.shared.fields import invalid
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of
from zentry_web.services.shared.secret_box import CannotOpen, SecretBox

log = structlog.get_logger(__name__)

SETUP_LASTS = timedelta(minutes=30)
APP_NAME = "Authenticator app"
WRONG_CODE = lazy("This code is not right. Codes change every 30 seconds, and each works once.")
AROUND = (0, -1, 1)  # the clock of a phone may be one step away


class SecondFactors(BaseService):
    """Apps, passkeys' rows and recovery codes; a part of AuthService. No secret of an app is stored in the clear."""

    name = "factors"

    def __init__(self, core: Core, settings: AuthSettings, basis: Basis) -> None:
        super().__init__(core)
        self._accounts, self._sessions = basis.accounts, basis.sessions
        self._box = SecretBox(settings.secret_key)
        self._limits = RateLimiter(core)
        host = urlsplit(settings.base_url).hostname or "localhost"
        self._issuer = f"Zentry ({host})"  # apps tell two accounts apart by it: one address may be known to two Zentrys
        self.admins_must = settings.admins_need_factor

    # -- looking --------------------------------------------------------------------------------

    def list_factors(self, user_id: str, *, actor: Actor = SYSTEM) -> Factors:
        """The factors of one's own account. Raises NotFoundError for somebody else's."""
        require_own(actor, user_id)
        with self.reading() as session:
            rows = session.scalars(select(DbFactor).where(DbFactor.user_id == user_id).order_by(DbFactor.id))
            return Factors(tuple(_as_factor(row) for row in rows), _codes_left(session, user_id))

    # -- an authenticator app -------------------------------------------------------------------

    def begin_app(self, user_id: str, *, actor: Actor) -> AppSetup:
        """A new secret for an app to scan. Nothing is stored: the setup form brings ``sealed`` back.

        Raises ProofRequiredError, NotFoundError.
        """
        require_own(actor, user_id)
        require_recent_proof(actor, self.now())
        with self.reading() as session:
            email = require_user_row(session, user_id).email
        secret = pyotp.random_base32(32)
        return self._setup(user_id, secret, email)

    def same_app(self, user_id: str, sealed: str, *, actor: Actor) -> AppSetup:
        """The setup begun earlier, for a form that is shown again; a new one when it is too old."""
        require_own(actor, user_id)
        try:
            secret = self._unsealed(user_id, sealed)
        except CannotOpen:
            return self.begin_app(user_id, actor=actor)
        with self.reading() as session:
            return self._setup(user_id, secret, require_user_row(session, user_id).email)

    def confirm_app(
        self, user_id: str, sealed: str, code: str, *, actor: Actor, session_token: str | None = None
    ) -> tuple[str, ...]:
        """Set the app up that shows ``code``; it takes the place of an earlier one.

        Returns the recovery codes to show, when the account had no factor before; then all sessions but that of
        ``session_token`` end. Raises ProofRequiredError, ValidationError on ``code``, RateLimitedError.
        """
        require_own(actor, user_id)
        require_recent_proof(actor, self.now())
        self._limits.check(limit_of("factor_setup", user_id))
        try:
            secret = self._unsealed(user_id, sealed)
        except CannotOpen:
            raise invalid({"code": _("This page was open for too long. Scan the new picture.")}) from None
        step = self._matching_step(secret, plain_code(code))
        if step is None:
            raise invalid({"code": WRONG_CODE})
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            if self._is_set_up(session, user_id, secret):
                # Pressed twice: the browser shows only this answer, so the codes of the first were seen by nobody.
                return self._replace_codes(session, user_id)
            mine = DbFactor.user_id == user_id
            had_any = session.scalar(select(DbFactor.id).where(mine).limit(1)) is not None
            session.execute(delete(DbFactor).where(mine, DbFactor.kind == FactorKind.APP))
            row = self.new_row(user_id, FactorKind.APP, APP_NAME)
            row.secret = self._box.seal(secret, use=f"app:{row.id}", now=self.now())
            row.last_step, row.last_used_at = step, self.now()
            session.add(row)
            session.flush()
            return self.added(session, row, had_any=had_any, actor=actor, session_token=session_token)

    def new_row(self, user_id: str, kind: FactorKind, name: str) -> DbFactor:
        """A factor's row, not stored yet."""
        return DbFactor(
            id=self.new_id("fac"), user_id=user_id, kind=kind, name=name, created_at=self.now(), transports=""
        )

    def added(
        self, session: Session, row: DbFactor, *, had_any: bool, actor: Actor, session_token: str | None
    ) -> tuple[str, ...]:
        """What goes with a new factor, in the caller's transaction: event, notice, and with the first one codes."""
        self._accounts.log("auth.factor_add", row.user_id, actor, {"kind": row.kind})
        words = say("app_added" if row.kind == FactorKind.APP else "passkey_added")
        self._accounts.tell_security(row.user_id, "factor", words)
        if had_any:
            return ()
        self._sessions.end_all(row.user_id, keep=session_token)
        return self._replace_codes(session, row.user_id)

    # -- taking away ----------------------------------------------------------------------------

    def remove(self, user_id: str, factor_id: str, *, actor: Actor, session_token: str | None = None) -> None:
        """Take a factor away; with the last one the recovery codes go too. All other sessions end.

        Raises ProofRequiredError, NotFoundError, ConflictError (an admin's last one, where admins must have one).
        """
        require_own(actor, user_id)
        require_recent_proof(actor, self.now())
        with self.transaction() as session:
            user = require_user_row(session, user_id, lock=True)
            rows = session.scalars(select(DbFactor).where(DbFactor.user_id == user_id)).all()
            row = next((each for each in rows if each.id == factor_id), None)
            if row is None:
                raise NotFoundError(_("There is no such factor."))
            if len(rows) == 1 and user.role == Role.ADMIN and self.admins_must:
                raise ConflictError(_("Admins need a second factor. Set another one up before you remove this one."))
            session.delete(row)
            session.flush()
            if len(rows) == 1:
                session.execute(delete(DbRecoveryCode).where(DbRecoveryCode.user_id == user_id))
            self._sessions.end_all(user_id, keep=session_token)
            self._accounts.log("auth.factor_remove", user_id, actor, {"kind": row.kind})
            words = say("app_removed" if row.kind == FactorKind.APP else "passkey_removed")
            self._accounts.tell_security(user_id, "factor", words)

    def reset(self, user_id: str, *, actor: Actor = SYSTEM) -> int:
        """Take every factor of an account away, for somebody who lost them all: only from the command line.

        Returns how many there were. All sessions end. Raises NotFoundError.
        """
        if actor.role != Role.SYSTEM:
            raise NotFoundError(_("There is no such account."))
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            gone = self.erase(user_id)
            self._sessions.end_all(user_id)
            self._accounts.log("auth.factor_reset", user_id, actor)
            self._accounts.tell_security(user_id, "factor", say("factors_reset"))
            return gone

    def erase(self, user_id: str) -> int:
        """Delete factors and codes without a word, in the caller's transaction; returns how many factors."""
        with self.transaction() as session:
            for table in (DbRecoveryCode, DbPasskeyChallenge):
                session.execute(delete(table).where(table.user_id == user_id))
            return run(session, delete(DbFactor).where(DbFactor.user_id == user_id))

    # -- codes ----------------------------------------------------------------------------------

    def new_codes(self, user_id: str, *, actor: Actor) -> tuple[str, ...]:
        """A new set of recovery codes in place of the old one, to be shown once.

        Raises ProofRequiredError, ConflictError when the account has no factor.
        """
        require_own(actor, user_id)
        require_recent_proof(actor, self.now())
        with self.transaction() as session:
            require_user_row(session, user_id, lock=True)
            if session.scalar(select(DbFactor.id).where(DbFactor.user_id == user_id).limit(1)) is None:
                raise ConflictError(_("Set a second factor up first."))
            self._accounts.log("auth.codes_new", user_id, actor)
            self._accounts.tell_security(user_id, "factor", say("recovery_codes_made"))
            return self._replace_codes(session, user_id)

    def spend(self, session: Session, user_id: str, typed: str, actor: Actor) -> FactorKind | None:
        """Use a code up, of an app or for recovery, in the caller's transaction; None when it is not right.

        Of two who bring the same code at once, one gets it. The caller has locked the account's row.
        """
        code = plain_code(typed)
        if is_app_code(code):
            return FactorKind.APP if self._spend_app_code(session, user_id, code) else None
        used = run(
            session,
            update(DbRecoveryCode)
            .where(
                DbRecoveryCode.code_hash == self._code_hash(user_id, code),
                DbRecoveryCode.user_id == user_id,
                DbRecoveryCode.used_at.is_(None),
            )
            .values(used_at=self.now()),
        )
        if used != 1:
            return None
        left = _codes_left(session, user_id)
        self._accounts.log("auth.code_used", user_id, actor, {"left": left})
        self._accounts.tell_security(user_id, "recovery", say("recovery_code_used", left=left))
        return FactorKind.RECOVERY

    # -- inside ---------------------------------------------------------------------------------

    def _setup(self, user_id: str, secret: str, email: str) -> AppSetup:
        uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=self._issuer)
        sealed = self._box.seal(f"{user_id} {secret}", use="app-setup", now=self.now())
        return AppSetup(secret=secret, uri=uri, sealed=sealed)

    def _unsealed(self, user_id: str, sealed: str) -> str:
        owner, _, secret = self._box.unseal(
            sealed, use="app-setup", now=self.now(), within=SETUP_LASTS
        ).partition(" ")  # fmt: skip
        if owner != user_id:
            raise CannotOpen
        return secret

    def _is_set_up(self, session: Session, user_id: str, secret: str) -> bool:
        """Whether this very app is the account's only factor and its recovery codes came with it."""
        rows = session.scalars(select(DbFactor).where(DbFactor.user_id == user_id)).all()
        if len(rows) != 1 or rows[0].kind != FactorKind.APP:
            return False
        codes = select(DbRecoveryCode).where(DbRecoveryCode.user_id == user_id)
        if any(code.used_at or code.created_at < rows[0].created_at for code in session.scalars(codes)):
            return False
        try:
            present = self._box.unseal(rows[0].secret or "", use=f"app:{rows[0].id}", now=self.now())
        except CannotOpen:
            return False
        return hmac.compare_digest(present, secret)

    def _matching_step(self, secret: str, code: str) -> int | None:
        """The newest step around now whose code this is; each is compared in the same time."""
        present = int(self.now().timestamp()) // STEP_SECONDS
        app = pyotp.TOTP(secret, digits=CODE_DIGITS, interval=STEP_SECONDS)
        steps = [present + near for near in AROUND if hmac.compare_digest(app.generate_otp(present + near), code)]
        return max(steps, default=None)

    def _spend_app_code(self, session: Session, user_id: str, code: str) -> bool:
        rows = session.execute(
            select(DbFactor.id, DbFactor.secret).where(DbFactor.user_id == user_id, DbFactor.kind == FactorKind.APP)
        ).all()
        for factor_id, sealed in rows:
            try:
                secret = self._box.unseal(sealed or "", use=f"app:{factor_id}", now=self.now())
            except CannotOpen:
                log.error("factor_cannot_be_read", factor_id=factor_id)  # noqa: TRY400 - another secret key: no bug
                continue
            step = self._matching_step(secret, code)
            if step is not None and self._spend_step(session, factor_id, step):
                return True
        return False

    def _spend_step(self, session: Session, factor_id: str, step: int) -> bool:
        """Whether no code of this step or a later one was taken before; from now on none is."""
        return (
            run(
                session,
                update(DbFactor)
                .where(DbFactor.id == factor_id, (DbFactor.last_step.is_(None)) | (DbFactor.last_step < step))
                .values(last_step=step, last_used_at=self.now()),
            )
            == 1
        )

    def _replace_codes(self, session: Session, user_id: str) -> tuple[str, ...]:
        codes = [
            "".join(secrets.choice(RECOVERY_ALPHABET) for _ in range(RECOVERY_LENGTH)) for _ in range(RECOVERY_CODES)
        ]
        session.execute(delete(DbRecoveryCode).where(DbRecoveryCode.user_id == user_id))
        for code in codes:
            session.add(
                DbRecoveryCode(code_hash=self._code_hash(user_id, code), user_id=user_id, created_at=self.now())
            )
        session.flush()
        return tuple(shown_code(code) for code in codes)

    def _code_hash(self, user_id: str, code: str) -> str:
        return self._box.keyed_hash(f"{user_id} {code}", use="recovery-code")


def _codes_left(session: Session, user_id: str) -> int:
    mine = select(func.count()).where(DbRecoveryCode.user_id == user_id, DbRecoveryCode.used_at.is_(None))
    return session.scalar(mine) or 0


def require_own(actor: Actor, user_id: str) -> None:
    """Factors are nobody else's business, not even an admin's. Raises NotFoundError."""
    if actor.id != user_id and actor.role != Role.SYSTEM:
        raise NotFoundError(_("There is no such account."))


def _as_factor(row: DbFactor) -> Factor:
    return Factor(row.id, FactorKind(row.kind), row.name, row.created_at, row.last_used_at)
