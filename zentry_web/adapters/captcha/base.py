"""What Zentry asks of a service that tells people from programs. None is needed: NullCaptcha asks nothing."""

from typing import Protocol

from zentry_web.domain.people.captcha import Widget


class CaptchaAway(Exception):
    """The provider does not answer, or not in a way that can be used. The text has no secrets in it."""


class Captcha(Protocol):
    """Never called inside a database transaction."""

    widget: Widget | None  # None: nothing is asked

    def verify(self, answer: str, address: str | None) -> bool:
        """Whether the widget's answer was a person's. Raises CaptchaAway."""
        ...


class NullCaptcha:
    """Asks nothing and believes everybody; limits, the trap and the time check remain."""

    widget: Widget | None = None

    def verify(self, answer: str, address: str | None) -> bool:
        """Always."""
        return True
