"""Signing in through an OpenID provider: what it says about a person, and what an account is linked to."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_SUBJECT = 255  # OpenID Connect Core, section 2


class OidcPurpose(StrEnum):
    """What a person was sent to the provider for."""

    SIGN_IN = "sign_in"
    LINK = "link"
    PROVE = "prove"


@dataclass(frozen=True, slots=True)
class OidcClaims:
    """What a verified ID token says. Only ``issuer`` and ``subject`` name a person; an address can change hands."""

    issuer: str
    subject: str
    email: str = ""
    email_verified: bool = False
    name: str = ""
    auth_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Departure:
    """Where to send a browser, to come back within ten minutes."""

    url: str
    provider: str


@dataclass(frozen=True, slots=True)
class Identity:
    """A provider's account that opens a Zentry account. ``email`` is what the provider said when it was linked."""

    id: str
    issuer: str
    email: str
    linked_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class WaysIn:
    """How an account can be entered."""

    password: bool
    passkeys: int
    identities: tuple[Identity, ...]

    @property
    def without_identities(self) -> bool:
        """Whether its owner still gets in when the provider does not."""
        return self.password or self.passkeys > 0


@dataclass(frozen=True, slots=True)
class MailSent:
    """The provider does not vouch for the address: the usual mail proves it, and nobody is signed in."""


@dataclass(frozen=True, slots=True)
class Linked:
    """The account can be entered through the provider from now on."""


@dataclass(frozen=True, slots=True)
class Proved:
    """The person behind the session has proved again who it is."""
