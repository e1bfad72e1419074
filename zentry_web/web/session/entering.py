"""From a proved password or link to a signed-in browser, with the question for a second factor in between."""

from secrets import token_urlsafe

from flask import session, url_for
from flask.typing import ResponseReturnValue

from zentry_web.domain.people.factor import FactorNeeded
from zentry_web.domain.user import SignedIn
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import begin_session

SECRET, TARGET, BROWSER = "factor_secret", "factor_target", "passkey_browser"
AFTER_SETUP = "after_setup"


def enter(entered: SignedIn | FactorNeeded, target: str) -> ResponseReturnValue:
    """Sign the browser in and go to ``target``; or keep both until a factor was brought, and ask for it."""
    if isinstance(entered, SignedIn):
        begin_session(entered)
        return go_to(_by_the_setup(entered, target))
    session[SECRET], session[TARGET] = entered.secret, target
    return go_to(url_for("auth.login_factor"))


def _by_the_setup(entered: SignedIn, target: str) -> str:
    """Where an admin goes who has yet to set a second factor up; everybody else goes to ``target``."""
    auth = services().auth
    if not (entered.user.is_admin and auth.factors.admins_must):
        return target
    found = auth.get_session(entered.session_token)
    return target if found is None or found.has_factor else url_for("account.factor_needed", next=target)


def set_up_for(target: str) -> None:
    """Remember where the person wanted to go before setting a second factor up was in the way."""
    session[AFTER_SETUP] = target


def after_setup() -> str:
    """Where it goes on once the second factor is there; '' when nothing was in the way."""
    return str(session.pop(AFTER_SETUP, ""))


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
