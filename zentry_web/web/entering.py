"""From a proved password or link to a signed-in browser, with the question for a second factor in between."""

from secrets import token_urlsafe

from flask import session, url_for
from flask.typing import ResponseReturnValue

from zentry_web.domain.factor import FactorNeeded
from zentry_web.domain.user import SignedIn
from zentry_web.web.actor import begin_session
from zentry_web.web.htmx import go_to

SECRET, TARGET, BROWSER = "factor_secret", "factor_target", "passkey_browser"


def enter(entered: SignedIn | FactorNeeded, target: str) -> ResponseReturnValue:
    """Sign the browser in and go to ``target``; or keep both until a factor was brought, and ask for it."""
    if isinstance(entered, SignedIn):
        begin_session(entered)
        return go_to(target)
    session[SECRET], session[TARGET] = entered.secret, target
    return go_to(url_for("auth.login_factor"))


def waiting() -> tuple[str, str]:
    """The secret of this browser's log-in that waits for a factor ('' when none does), and where it leads."""
    return str(session.get(SECRET, "")), str(session.get(TARGET, ""))


def forget_waiting() -> None:
    """The log-in does not wait any more."""
    session.pop(SECRET, None)
    session.pop(TARGET, None)


def browser_secret() -> str:
    """A secret of this browser before anybody is signed in: what a passkey is asked belongs to it."""
    if BROWSER not in session:
        session[BROWSER] = token_urlsafe(32)
    return str(session[BROWSER])
