"""Making accounts, and what the event log keeps about what happens to them."""

from dataclasses import replace

from sqlalchemy import select

from zentry_web.domain.event import UNKNOWN_ACCOUNT, Outcome, Subject
from zentry_web.domain.language import ENGLISH, language, lazy
from zentry_web.domain.notice_texts import say, say_line
from zentry_web.domain.people.device import device_name
from zentry_web.domain.target import Place, Target
from zentry_web.domain.user import ANONYMOUS_ID, SYSTEM, Actor, Role, User
from zentry_web.models import DbUser
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.billing_service import BillingService
from zentry_web.services.shared.account_rows import as_user
from zentry_web.services.shared.fields import email_key, invalid, parse_local_email

EMAIL_TAKEN = lazy("There is an account with this e-mail address already.")

# What proves who it is: whoever the browser was signed in as before did not do it.
_PROOFS = frozenset({"auth.login", "auth.link_redeemed", "auth.password_reset", "auth.code_used", "auth.email_change"})
# What a visitor or the command line does in a person's name.
_IN_ONES_NAME = frozenset({"auth.signup", "auth.logout"})


def spoken() -> str:
    """The language that whoever asks for something reads it in, as accounts keep it."""
    return "" if language() == ENGLISH else language()


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

        ``once_per``: the mailbox that was proven to be theirs; it gets starting credits once, however many accounts it
        proves.
        """
        row = DbUser(
            id=self.new_id("usr"),
            email=email,
            email_key=email_key(email),
            name=name,
            password_hash=password_hash,
            role=role,
            time_zone="UTC",
            language=spoken(),
            email_proven_at=self.now() if once_per else None,
            created_at=self.now(),
            disabled_at=None,
        )
        with self.transaction() as session:
            session.add(row)
            session.flush()
            self._billing.open_accounts(row.id)
            self.log("auth.signup", row.id, actor, {"role": role}, personal={"email": email, "name": name})
            self._billing.grant_starting_credits(row.id, once_per=once_per)
        return as_user(row)

    def tell_password_changed(self, user_id: str) -> None:
        """Tell the owner that the password is another now; in the caller's transaction."""
        self.tell_security(user_id, "password", say("password_changed"))

    def tell_token_reuse(self, user_id: str) -> None:
        """Tell the owner that a used-up refresh token came again; in the caller's transaction."""
        key = self.new_id("key")
        self._billing.notices.tell(user_id, "token_reuse", key, *say("token_reused"), target=Target(Place.TOKENS))

    def tell_security(self, user_id: str, kind: str, words: tuple[str, str], *, key: str = "") -> None:
        """Tell the owner what happened to the account's security; in the caller's transaction. ``key``: once each."""
        self._billing.notices.tell(user_id, kind, key or self.new_id("key"), *words, target=Target(Place.SECURITY))

    def session_reused(self, user_id: str) -> None:
        """Record that a session's old secret came again, and tell the owner; in the caller's transaction."""
        self.log("auth.session_reuse", user_id, SYSTEM)
        self.tell_security(user_id, "session_reuse", say("session_reused"))

    def mail_to(self, user_id: str, address: str, title: str, body: str) -> None:
        """Mail something about an account to another address than its own; in the caller's transaction."""
        self._billing.notices.mail_to(user_id, address, title, body)

    def tell_undelivered(self, user_id: str, address: str, error: str) -> None:
        """Tell in the app that a mail to a new address of the owner's came back; in the caller's transaction."""
        key, words = self.new_id("key"), say("email_undelivered", address=address, error=error)
        self._billing.notices.tell(user_id, "email", key, *words, target=Target(Place.EMAIL), mail=False)

    def tell_new_device(self, user_id: str, actor: Actor) -> None:
        """Tell the owner that somebody logged in from a browser not seen before; in the caller's transaction."""
        device = device_name(actor.user_agent or "")
        address = actor.address or say_line("unknown_address")
        self.tell_security(user_id, "new_device", say("new_device", device=device, address=address))

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
        by = replace(actor, id=user_id) if action in _PROOFS or in_ones_name else actor
        self.audit(action, Subject.user(user_id), details, actor=by, outcome=outcome, personal=personal)

    def log_refused(self, row: DbUser | None, typed: object, actor: Actor) -> None:
        """Record a refused log-in: on the account if there is one. The typed address is a personal field."""
        try:
            personal = {"email": parse_local_email(typed)}
        except ValueError:
            personal = {}  # not an address: it may be a password in the wrong field
        subject = Subject.user(row.id) if row else Subject("user", UNKNOWN_ACCOUNT)
        nobody = replace(actor, id=ANONYMOUS_ID)
        self.audit("auth.login", subject, actor=nobody, outcome=Outcome.REFUSED, personal=personal)
