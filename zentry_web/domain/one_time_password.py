"""Passwords that are shown to a person once, and of which only a hash goes further."""

import secrets

from zentry_web.domain.sha512_crypt import sha512_crypt

# Without those that look like others; 20 of them are more than 110 bits.
_SIGNS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
PASSWORD_LENGTH = 20


def new_password() -> tuple[str, str]:
    """A password, and its hash as /etc/shadow keeps it."""
    password, salt = _signs(PASSWORD_LENGTH), _signs(16)
    return password, sha512_crypt(password, salt)


def _signs(count: int) -> str:
    return "".join(secrets.choice(_SIGNS) for unused in range(count))
