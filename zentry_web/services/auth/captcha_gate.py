"""Where the question for programs is asked: at every sign-up, and at log-in once guesses have been made.

When its provider is away, log-ins go on (their limits hold, and an owner has to get in), sign-ups wait: each is worth
credits. Both are said as they are.
"""

import structlog

from zentry_web.adapters.captcha.base import Captcha, CaptchaAway, NullCaptcha
from zentry_web.domain.language import _, lazy
from zentry_web.domain.people.captcha import Widget
from zentry_web.domain.user import Actor
from zentry_web.services.base_service import BaseService, Core
from zentry_web.services.errors import ProviderUnavailableError
from zentry_web.services.shared.fields import email_key, invalid
from zentry_web.services.shared.rate_limits import RateLimiter, limit_of, network_of

log = structlog.get_logger(__name__)

FREE = 3  # wrong log-ins on an account from a network before it is asked
WRONG = lazy("Please answer the question that shows you are no program.")


class CaptchaGate(BaseService):
    """A part of AuthService. Whoever comes by no network (the command line, demo data) is asked nothing."""

    name = "captcha"

    def __init__(self, core: Core, captcha: Captcha | None) -> None:
        super().__init__(core)
        self._captcha = captcha or NullCaptcha()
        self._limits = RateLimiter(core)

    @property
    def widget(self) -> Widget | None:
        """What a page has to show; None when nothing is asked here."""
        return self._captcha.widget

    def is_asked(self, email: object, actor: Actor, *, counted: int = 0) -> bool:
        """Whether a log-in with this address, from there, has to answer; ``counted``: attempts that are under way.

        The same for known and unknown addresses.
        """
        if self.widget is None or actor.address is None:
            return False
        network, key = network_of(actor.address), email_key(email) if isinstance(email, str) else ""
        return self._limits.count(limit_of("login", f"{key}|{network}")) - counted >= FREE

    def check_signup(self, answer: object, actor: Actor) -> None:
        """Raise ValidationError on ``captcha`` unless a person's, ProviderUnavailableError when none can tell,
        RateLimitedError."""
        if self.widget is None or actor.address is None:
            return
        self._limits.check(limit_of("captcha", network_of(actor.address)))
        try:
            right = self._captcha.verify(answer if isinstance(answer, str) else "", actor.address)
        except CaptchaAway as error:
            log.warning("captcha_away", at="signup", reason=str(error))
            raise ProviderUnavailableError(
                _(
                    "The service that tells people from programs does not answer, so nobody can sign up right "
                    "now. Please try again in a few minutes."
                )
            ) from error
        if not right:
            raise invalid({"captcha": WRONG})

    def check_login(self, email: object, answer: object, actor: Actor) -> None:
        """Raise ValidationError on ``captcha`` when it is asked and not answered. Lets in when none can tell.

        The attempt has been counted before.
        """
        if not self.is_asked(email, actor, counted=1):
            return
        try:
            right = self._captcha.verify(answer if isinstance(answer, str) else "", actor.address)
        except CaptchaAway as error:
            log.warning("captcha_away", at="login", reason=str(error))
            return
        if not right:
            raise invalid({"captcha": WRONG})
