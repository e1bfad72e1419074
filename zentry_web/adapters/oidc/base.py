"""What Zentry asks of an OpenID provider. Nothing here may be called inside a database transaction."""

from dataclasses import dataclass, field
from typing import Protocol

from zentry_web.domain.people.oidc import OidcClaims


class OidcError(Exception):
    """The provider refuses, or what it says does not check out. The text has no secrets in it."""


class OidcAway(OidcError):
    """The provider does not answer."""


@dataclass(frozen=True, slots=True)
class OidcRequest:
    """What ties an answer to the question: the same on the way there and back. ``verifier`` is PKCE's."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    fresh: bool = False  # the person is to prove it anew there, whoever is signed in


class IdentityProvider(Protocol):
    """Authorization code flow with PKCE."""

    name: str  # what people call it
    issuer: str

    def authorization_url(self, request: OidcRequest) -> str:
        """Where to send the browser. Raises OidcAway, OidcError."""
        ...

    def exchange(self, request: OidcRequest, code: str) -> OidcClaims:
        """Turn the code that came back into verified claims. Raises OidcAway, OidcError."""
        ...
