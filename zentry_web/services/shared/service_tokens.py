"""What one process of Zentry shows another when it calls over HTTP: who calls, whom, and until when."""

from collections.abc import Collection
from datetime import timedelta

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from zentry_web.adapters.clock import Clock
from zentry_web.domain.language import _
from zentry_web.domain.people.token import Party
from zentry_web.services.errors import AuthenticationRequiredError
from zentry_web.services.shared.secret_box import SecretBox

LIFETIME = timedelta(minutes=5)
LEEWAY_SECONDS = 10  # how far the clocks of two machines may be apart
LONGEST_HEADER = 1000
_ALGORITHM = "HS256"
_CLAIMS = ("iss", "aud", "iat", "exp")


class ServiceTokens:
    """Signed JSON web tokens, under a key of their own that HKDF derives from the secret key (ADR 0014)."""

    def __init__(self, secret_key: str, clock: Clock) -> None:
        self._key = OctKey.import_key(SecretBox(secret_key).key_for("service-to-service"))
        self._clock = clock

    def issue(self, caller: Party, audience: Party) -> str:
        """A token with which ``caller`` may call ``audience`` for five minutes."""
        now = int(self._clock.now().timestamp())
        end = now + int(LIFETIME / timedelta(seconds=1))
        claims = {"iss": caller.value, "aud": audience.value, "iat": now, "exp": end}
        return jwt.encode({"alg": _ALGORITHM}, claims, self._key)

    def require(self, header: str, audience: Party, callers: Collection[Party]) -> Party:
        """Who calls, by the Authorization header it sent. Raises AuthenticationRequiredError unless the token is ours,
        for ``audience``, from one of ``callers`` and not over."""
        kind, _, text = header[:LONGEST_HEADER].partition(" ")
        if kind.lower() != "bearer":
            raise _refused()
        now = int(self._clock.now().timestamp())
        registry = jwt.JWTClaimsRegistry(
            now,
            LEEWAY_SECONDS,
            iss={"essential": True, "values": [caller.value for caller in callers]},
            aud={"essential": True, "value": audience.value},
            iat={"essential": True},
            exp={"essential": True},
        )
        try:
            claims = jwt.decode(text.strip(), self._key, algorithms=[_ALGORITHM]).claims
            registry.validate(claims)
            if set(claims) != set(_CLAIMS) or claims["aud"] != audience.value:  # a list of audiences is none of ours
                raise _refused()
            if claims["exp"] - claims["iat"] > LIFETIME / timedelta(seconds=1):
                raise _refused()
            return Party(claims["iss"])
        except (JoseError, ValueError, TypeError):
            raise _refused() from None


def _refused() -> AuthenticationRequiredError:
    return AuthenticationRequiredError(_("Send a service token that is valid here: Authorization: Bearer …"))
