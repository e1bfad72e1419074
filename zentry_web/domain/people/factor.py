"""Second factors: what an account has besides its password."""

import string
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from zentry_web.domain.user import User

STEP_SECONDS = 30  # how long one code of an authenticator app is shown
CODE_DIGITS = 6
RECOVERY_CODES = 10
MAX_PASSKEYS = 10
MAX_FACTOR_NAME = 60
# Without the letters and digits that are taken for one another. 16 of these 32 signs are 80 random bits.
RECOVERY_ALPHABET = "".join(sorted(set(string.ascii_uppercase + "23456789") - set("IO")))
RECOVERY_LENGTH = 16


class FactorKind(StrEnum):
    APP = "app"
    PASSKEY = "passkey"
    RECOVERY = "recovery"  # not a factor one sets up: what stands in for one


@dataclass(frozen=True, slots=True)
class Factor:
    """An authenticator app or a passkey, as its owner sees it."""

    id: str
    kind: FactorKind
    name: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Factors:
    """All factors of an account, oldest first, and how many recovery codes are left."""

    factors: tuple[Factor, ...] = ()
    codes_left: int = 0

    def __bool__(self) -> bool:
        return bool(self.factors)

    @property
    def app(self) -> Factor | None:
        return next((each for each in self.factors if each.kind == FactorKind.APP), None)

    @property
    def passkeys(self) -> tuple[Factor, ...]:
        return tuple(each for each in self.factors if each.kind == FactorKind.PASSKEY)


@dataclass(frozen=True, slots=True)
class AppSetup:
    """An authenticator app about to be set up. ``sealed`` is the secret for the form: only the server can read it."""

    secret: str
    uri: str
    sealed: str


@dataclass(frozen=True, slots=True)
class FactorNeeded:
    """The password or link was right, and there is a second factor: nobody is signed in yet.

    ``secret`` belongs into this browser's cookie and opens nothing but the question for the factor.
    """

    user: User
    secret: str
    expires_at: datetime


def is_app_code(typed: str) -> bool:
    """Whether this looks like a code of an authenticator app rather than a recovery code."""
    return len(typed) == CODE_DIGITS and typed.isascii() and typed.isdigit()


def plain_code(typed: str) -> str:
    """A code as typed, without the spaces and dashes that make it readable, in capitals."""
    return "".join(sign for sign in typed[:100].upper() if sign.isascii() and sign.isalnum())


def shown_code(code: str) -> str:
    """A recovery code in groups of four."""
    return "-".join(code[start : start + 4] for start in range(0, len(code), 4))
