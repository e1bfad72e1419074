"""The tokens of forms, masked anew for each answer: in compressed pages nothing secret is the same twice (BREACH)."""

import base64
import binascii
import hashlib
import secrets
from typing import Any

from flask import Flask, g
from flask_wtf.csrf import CSRFProtect, _FlaskFormCSRF, generate_csrf

_SEED = 16  # bytes
_MARK = "m."  # no token of Flask-WTF begins so: they begin with the base64 of a JSON text


def mask(token: str) -> str:
    """The token in a shape that it never had before."""
    plain, seed = token.encode(), secrets.token_bytes(_SEED)
    return _MARK + base64.urlsafe_b64encode(seed + _xor(plain, _pad(seed, len(plain)))).decode()


def unmask(shown: str | None) -> str | None:
    """The token that ``mask`` was given; anything else as it is."""
    if not shown or not shown.startswith(_MARK):
        return shown
    try:
        both = base64.urlsafe_b64decode(shown.removeprefix(_MARK))
    except (binascii.Error, ValueError):
        return shown
    seed, masked = both[:_SEED], both[_SEED:]
    return _xor(masked, _pad(seed, len(masked))).decode("ascii", "replace")


def _pad(seed: bytes, length: int) -> bytes:
    """Bytes to mask with that nobody foretells: a pad as long as the token would double it in every form."""
    return hashlib.shake_128(seed).digest(length)


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(left ^ right for left, right in zip(one, other, strict=False))


def masked_token() -> str:
    """This answer's token: one for all its forms."""
    if "masked_csrf" not in g:
        g.masked_csrf = mask(generate_csrf())
    return str(g.masked_csrf)


class FormToken(_FlaskFormCSRF):
    """What a form's own hidden field holds."""

    def generate_csrf_token(self, _csrf_token_field: Any) -> str:
        """The same as everywhere on the page."""
        return masked_token()


class FormTokens(CSRFProtect):
    """Flask-WTF's check, of masked tokens."""

    def init_app(self, app: Flask) -> None:
        """Check every form that is sent; hand templates the masked token."""
        super().init_app(app)
        app.jinja_env.globals["csrf_token"] = masked_token
        app.context_processor(lambda: {"csrf_token": masked_token})

    def _get_csrf_token(self) -> str | None:
        return unmask(super()._get_csrf_token())
