"""Who may make an account: everybody, who is invited, or nobody; and with which addresses."""

from sqlalchemy import select

from zentry_web.domain.setting import SettingKey, Signup, allows_domain
from zentry_web.domain.user import Actor
from zentry_web.models import DbProjectInvitation
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError
from zentry_web.services.fields import invalid
from zentry_web.services.sessions import secret_hash
from zentry_web.services.settings import Settings

CLOSED = "Nobody can sign up here at present. Ask whoever runs this Zentry for an account."
INVITED_ONLY = "Sign-up is by invitation: open the link of yours first."
_NAMED = 3  # domains, in a refusal


class SignupRules(BaseService):
    """Asked before every account that a person makes for themselves, however they prove who they are.

    It says nothing about accounts there are: what is refused is refused whether or not the address has one.
    """

    name = "signup_rules"

    def __init__(self, core: Core, settings: Settings) -> None:
        super().__init__(core)
        self._settings = settings

    def why_not(self, invitation: object = "") -> str:
        """Why somebody who comes with this invitation (its secret) cannot sign up at all; '' when they can."""
        rule = self._settings.get(SettingKey.SIGNUP)
        if rule == Signup.CLOSED:
            return CLOSED
        return "" if rule == Signup.OPEN or self._is_invited(invitation) else INVITED_ONLY

    def check(self, email: str, *, invitation: object = "", actor: Actor) -> None:
        """Raise ConflictError or, on ``email``, ValidationError unless it may sign up. Zentry itself and admins may
        always."""
        if actor.is_admin:
            return
        if why := self.why_not(invitation):
            raise ConflictError(why)
        self.check_domain(email)

    def check_again(self, email: str) -> None:
        """For a sign-up that was let in before and is finished now. Raises ConflictError, ValidationError."""
        if self._settings.get(SettingKey.SIGNUP) == Signup.CLOSED:
            raise ConflictError(CLOSED)
        if not allows_domain(self._settings.words(SettingKey.SIGNUP_DOMAINS), email):
            raise ConflictError("Addresses of this domain cannot sign up here any more.")

    def check_domain(self, email: str) -> None:
        """Raise ValidationError on ``email`` unless its domain may sign up."""
        domains = self._settings.words(SettingKey.SIGNUP_DOMAINS)
        if not allows_domain(domains, email):
            named = " or ".join(f"…{each}" if each.startswith(".") else f"@{each}" for each in domains[:_NAMED])
            more = " and some others" if len(domains) > _NAMED else ""
            raise invalid({"email": f"Only addresses that end with {named}{more} can sign up here."})

    def most_per_hour(self) -> int:
        """How many sign-ups one network address may try in an hour."""
        return self._settings.number(SettingKey.SIGNUPS_PER_HOUR)

    def _is_invited(self, invitation: object) -> bool:
        if not isinstance(invitation, str) or not invitation:
            return False
        table = DbProjectInvitation
        still = table.ended_at.is_(None), table.expires_at > self.now()
        with self.reading() as session:
            return (
                session.scalar(select(table.id).where(table.token_hash == secret_hash(invitation), *still)) is not None
            )
