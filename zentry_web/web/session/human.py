"""Telling people from programs at the sign-up form: a field nobody sees, and the time a form takes to fill in."""

from flask import current_app
from itsdangerous import BadSignature, URLSafeSerializer

from zentry_web.domain.language import lazy
from zentry_web.web.services import services

TRAPPED = lazy("Your browser filled in a field that people do not see. Please empty it and try again.")
TOO_QUICK = lazy("That was very quick, as programs are. Please enter what is missing and press the button once more.")


def stamp() -> str:
    """When a form was handed out, signed."""
    return _signer().dumps(int(services().clock.now().timestamp()))


def least_seconds() -> int:
    """How long a person takes for the form at least; 0: it is not looked at."""
    return int(current_app.config["ZENTRY_SIGNUP_SECONDS"])


def refusal(trap: str, stamped: str) -> str:
    """Why this does not look like a person; '' when it does.

    ``trap`` is the unseen field, ``stamped`` what ``stamp`` gave. Who was too quick succeeds a moment later: by script
    the form waits for that by itself (``data-not-before``), so only browsers without it are told.
    """
    if trap:
        return TRAPPED
    least = least_seconds()
    if not least:
        return ""
    try:
        begun = _signer().loads(stamped)
    except BadSignature:
        return TOO_QUICK
    return TOO_QUICK if services().clock.now().timestamp() - begun < least else ""


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(str(current_app.secret_key), salt="signup-form")
