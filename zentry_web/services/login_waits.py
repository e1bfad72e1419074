"""How long who guesses passwords has to wait: longer and longer."""

from zentry_web.services.rate_limit import Limit, limit_of
from zentry_web.services.rate_rules import RULES


def login_limits(subject: str, tries: int) -> tuple[Limit, ...]:
    """The growing waits of who guesses: a minute, a quarter of an hour after ``tries``, an hour after twice as many.

    The longest first, so that it is the one that is told.
    """
    burst = min(RULES["login_burst"].count, tries)
    return (
        limit_of("login_long", subject, 2 * tries),
        limit_of("login", subject, tries),
        limit_of("login_burst", subject, burst),
    )
