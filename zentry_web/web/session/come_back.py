"""Where a visitor wanted to go before signing up; kept in the browser's signed cookie until the account is there."""

from flask import session

from zentry_web.web.session.safe_next import safe_next

_KEY = "come_back"


def come_back_to(path: str) -> None:
    """Lead this browser to ``path`` once it has an account."""
    session[_KEY] = path


def invitation() -> str:
    """The secret of the invitation by whose link this browser came; '' when it came by none."""
    before, _, secret = str(session.get(_KEY, "")).rpartition("/")
    return secret if before == "/invitations" else ""


def where_to(default: str) -> str:
    """Where to lead somebody who has just signed up. Ask before the session begins: nothing of the old one survives."""
    return safe_next(str(session.get(_KEY, "")), default)
