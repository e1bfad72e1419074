"""Making accounts, and what the event log keeps about what happens to them."""

from sqlalchemy import select

from zentry_web.domain.device import device_name
from zentry_web.domain.event import Outcome
from zentry_web.domain.user import ANONYMOUS_ID, SYSTEM, Actor, Role, User
from zentry_web.models import DbUser
from zentry_web.services.account_rows import to_user
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.fields import email_key, invalid, parse_local_email

EMAIL_TAKEN = "There is an account with this e-mail address already."
UNKNOWN_ACCOUNT = "unknown"  # the resource of a refused log-in for an address without an account

# What proves who it is: whoever the browser was signed in as before did not do it.
_PROOFS = frozenset({"auth.login", "auth.link_redeemed", "auth.password_reset", "auth.code_used", "auth.email_change"})
# What a visitor or the command line does in a person's name.
_IN_ONES_NAME = frozenset({"auth.signup", "auth.logout"})


class Accounts(BaseService):
    """The part of accounts below AuthService."""

    name = "accounts"

    def __init__(self, core: Core, billing: BillingService) -> None:
        super().__init__(core)
        self._billing = billing

    def refuse_taken(self, email: str) -> None:
        """Raise ValidationError on ``email`` if there is an account with this address."""
        with self.reading() as session:
            if session.scalar(select(DbUser.id).where(DbUser.email_key == email_key(email))) is not None:
                raise invalid({"email": EMAIL_TAKEN})

    def add(
        self,
        email: str,
        name: str,
        role: Role,
        password_hash: str | None,
        *,
        actor: Actor = SYSTEM,
        once_per: str | None = None,
    ) -> User:
        """A new account with its wallet and starting credits; in the caller's transaction.

        ``once_per``: the mailbox that gets starting credits once, however many accounts it proves.
        """
        row = DbUser(
            id=self.new_id("usr"),
            email=email,
            email_key=email_key(email),
            name=name,
            password_hash=password_hash,
            role=role,
            time_zone="UTC",
            created_at=self.now(),
            disabled_at=None,
        )
        with self.transaction() as session:
            session.add(row)
            session.flush()
            self._billing.open_accounts(row.id)
            self.log("auth.signup", row.id, actor, {"role": role}, personal={"email": email, "name": name})
            self._billing.grant_starting_credits(row.id, once_per=once_per)
        return to_user(row)

    def tell_password_changed(self, user_id: str) -> None:
        """Tell the owner that the password is another now; in the caller's transaction."""
        body = "Every other session has ended. If it was not you, choose a new password at once."
        self._billing.notices.tell(
            user_id, "password", self.new_id("key"), "Your password was changed", body, url="/account/security"
        )

    def tell_token_reuse(self, user_id: str) -> None:
        """Tell the owner that a used-up refresh token came again; in the caller's transaction."""
        body = (
            "A refresh token of the API was used a second time: somebody else may have a copy. Every token of that "
            "log-in has ended. If your program did not do it itself, change your password."
        )
        self._billing.notices.tell(
            user_id, "token_reuse", self.new_id("key"), "A token was used twice", body, url="/account/tokens"
        )

    def tell_security(
        self, user_id: str, kind: str, title: str, body: str = "If it was not you, change your password at once.",
        *, key: str = "",
    ) -> None:  # fmt: skip
        """Tell the owner what happened to the account's security; in the caller's transaction. ``key``: once each."""
        self._billing.notices.tell(user_id, kind, key or self.new_id("key"), title, body, url="/account/security")

    def session_reused(self, user_id: str) -> None:
        """Record that a session's old secret came again, and tell the owner; in the caller's transaction."""
        self.log("auth.session_reuse", user_id, SYSTEM)
        self.tell_security(
            user_id, "session_reuse", "A session was ended: it was in use twice",
            "Somebody may have copied what a browser of yours was logged in with. If you know of nothing, change your "
            "password.",
        )  # fmt: skip

    def mail_to(self, user_id: str, address: str, title: str, body: str) -> None:
        """Mail something about an account to another address than its own; in the caller's transaction."""
        self._billing.notices.mail_to(user_id, address, title, body)

    def tell_new_device(self, user_id: str, actor: Actor) -> None:
        """Tell the owner that somebody logged in from a browser not seen before; in the caller's transaction."""
        device = device_name(actor.user_agent or "")
        body = (
            f"{device}, from {actor.address or 'an unknown address'}. If it was not you, change your password: "
            "that ends every other session."
        )
        self._billing.notices.tell(
            user_id, "new_device", self.new_id("key"), "New log-in to your account", body, url="/account/security"
        )

    def log(
        self,
        action: str,
        user_id: str,
        actor: Actor,
        details: dict[str, object] | None = None,
        *,
        outcome: Outcome = Outcome.SUCCEEDED,
        personal: dict[str, str] | None = None,
    ) -> None:
        """Record what ``actor`` did to the account; it belongs to the account's activity."""
        in_ones_name = action in _IN_ONES_NAME and actor.id in (ANONYMOUS_ID, SYSTEM.id)
        by_oneself = action in _PROOFS or in_ones_name
        self.log_audit_event(
            user_id if by_oneself else actor.id,
            action,
            "user",
            user_id,
            details,
            actor=actor,
            outcome=outcome,
            owner_id=user_id,
            personal=personal,
        )

    def log_refused(self, row: DbUser | None, typed: object, actor: Actor) -> None:
        """Record a refused log-in: on the account if there is one. The typed address is a personal field."""
        try:
            personal = {"email": parse_local_email(typed)}
        except ValueError:
            personal = {}  # not an address: it may be a password in the wrong field
        self.log_audit_event(
            ANONYMOUS_ID,
            "auth.login",
            "user",
            row.id if row else UNKNOWN_ACCOUNT,
            actor=actor,
            outcome=Outcome.REFUSED,
            owner_id=row.id if row else None,
            personal=personal,
        )
