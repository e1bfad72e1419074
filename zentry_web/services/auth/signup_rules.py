"""Who may make an account: everybody, who is invited, or nobody; and with which addresses."""

from sqlalchemy import select, update

from zentry_web.adapters.database import run
from zentry_web.domain.language import _, lazy
from zentry_web.domain.secret import secret_hash
from zentry_web.domain.setting import SettingKey, Signup, allows_domain
from zentry_web.domain.user import Actor
from zentry_web.models import DbProjectInvitation
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ConflictError
from zentry_web.services.shared.fields import invalid
from zentry_web.services.shared.settings import Settings

CLOSED = lazy("Nobody can sign up here at present. Ask whoever runs this Zentry for an account.")
INVITED_ONLY = lazy("Sign-up is by invitation: open the link of yours first.")
USED = lazy(
    "Somebody has signed up by this invitation already. Log in with that account, or ask for another invitation."
)
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
        return self._consider(invitation)[0]

    def check(self, email: str, *, invitation: object = "", actor: Actor) -> str | None:
        """Raise ConflictError or, on ``email``, ValidationError unless it may sign up. Zentry itself and admins may
        always. Returns the id of the invitation that lets somebody in, for ``use``; None where none is needed."""
        if actor.is_admin:
            return None
        why, invitation_id = self._consider(invitation)
        if why:
            raise ConflictError(why)
        self.check_domain(email)
        return invitation_id

    def use(self, invitation_id: str | None) -> None:
        """An account is made by this invitation, in the caller's transaction: it lets nobody else sign up.

        Raises ConflictError when it let somebody in before.
        """
        if invitation_id is None:
            return
        table = DbProjectInvitation
        unused = table.id == invitation_id, table.signed_up_at.is_(None)
        with self.transaction() as session:
            if run(session, update(table).where(*unused).values(signed_up_at=self.now())) != 1:
                raise ConflictError(USED)

    def check_again(self, email: str) -> None:
        """For a sign-up that was let in before and is finished now. Raises ConflictError, ValidationError."""
        if self._settings.get(SettingKey.SIGNUP) == Signup.CLOSED:
            raise ConflictError(CLOSED)
        if not allows_domain(self._settings.words(SettingKey.SIGNUP_DOMAINS), email):
            raise ConflictError(_("Addresses of this domain cannot sign up here any more."))

    def check_domain(self, email: str) -> None:
        """Raise ValidationError on ``email`` unless its domain may sign up."""
        domains = self._settings.words(SettingKey.SIGNUP_DOMAINS)
        if not allows_domain(domains, email):
            ends = (f"…{each}" if each.startswith(".") else f"@{each}" for each in domains[:_NAMED])
            named = (" " + _("or") + " ").join(ends)
            if len(domains) > _NAMED:
                text = _("Only addresses that end with %(named)s and some others can sign up here.", named=named)
            else:
                text = _("Only addresses that end with %(named)s can sign up here.", named=named)
            raise invalid({"email": text})

    def most_per_hour(self) -> int:
        """How many sign-ups one network address may try in an hour."""
        return self._settings.number(SettingKey.SIGNUPS_PER_HOUR)

    def _consider(self, invitation: object) -> tuple[str, str | None]:
        """Why not ('' when they may), and the id of the invitation that it takes. It is looked for once: none found
        by a second look would read as none needed."""
        rule = self._settings.get(SettingKey.SIGNUP)
        if rule in (Signup.CLOSED, Signup.OPEN):
            return CLOSED if rule == Signup.CLOSED else "", None
        found = self._find(invitation)
        return "" if found else INVITED_ONLY, found

    def _find(self, invitation: object) -> str | None:
        """The id of the open invitation with this secret, if nobody has signed up by it yet."""
        if not isinstance(invitation, str) or not invitation:
            return None
        table = DbProjectInvitation
        still = table.ended_at.is_(None), table.expires_at > self.now(), table.signed_up_at.is_(None)
        with self.reading() as session:
            return session.scalar(select(table.id).where(table.token_hash == secret_hash(invitation), *still))
