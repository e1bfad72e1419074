"""An OpenID provider by authlib: discovery, code with PKCE (S256), and ID tokens checked against its keys."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from zentry_web.adapters.clock import Clock
from zentry_web.adapters.oidc.base import OidcAway, OidcError, OidcRequest
from zentry_web.domain.host import is_loopback
from zentry_web.domain.people.oidc import MAX_SUBJECT, OidcClaims

log = structlog.get_logger(__name__)

CONNECT_SECONDS, READ_SECONDS = 3, 5
MOST_BYTES = 256 * 1024
KEPT_SECONDS = 3600
KEYS_AT_LEAST_SECONDS = 60  # a token with an unknown key makes us look again, but not all the time
LEEWAY_SECONDS = 60
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
T = TypeVar("T")


class AuthlibProvider:
    """The one provider that the operator chose."""

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret: str,
        name: str,
        scopes: str,
        redirect_uri: str,
        clock: Clock,
    ) -> None:
        self.issuer = issuer
        self.name = name
        self._client_id = client_id
        self._client_secret = client_secret
        self._scopes = scopes
        self._redirect_uri = redirect_uri
        self._clock = clock
        self._lock = threading.Lock()
        self._found: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def authorization_url(self, request: OidcRequest) -> str:
        """The provider's authorization endpoint with all that has to come along."""
        more: dict[str, Any] = {"nonce": request.nonce}
        if request.fresh:
            more |= {"prompt": "login", "max_age": 0}
        endpoint = self._discover()["authorization_endpoint"]
        with self._session(request) as session:
            url, _ = session.create_authorization_url(
                endpoint, state=request.state, code_verifier=request.verifier, **more
            )
        return str(url)

    def exchange(self, request: OidcRequest, code: str) -> OidcClaims:
        """Fetch the tokens; check signature, issuer, audience, times, nonce; ask for the address if it is missing."""
        found = self._discover()
        with self._session(request) as session:
            token = _ask(
                lambda: session.fetch_token(
                    found["token_endpoint"],
                    code=code,
                    code_verifier=request.verifier,
                    grant_type="authorization_code",
                    allow_redirects=False,
                )
            )
        claims = dict(self._verified(str(token.get("id_token") or ""), str(token.get("access_token") or ""), request))
        lacks = not claims.get("email") or claims.get("email_verified") is None
        if lacks and found.get("userinfo_endpoint") and token.get("access_token"):
            told = self._get(found["userinfo_endpoint"], bearer=str(token["access_token"]))
            same_address = claims.get("email") in (None, "", told.get("email"))
            if told.get("sub") == claims["sub"] and same_address:
                claims = told | claims
        return _as_claims(self.issuer, claims)

    # -- inside ---------------------------------------------------------------------------------

    def _session(self, request: OidcRequest) -> OAuth2Session:
        return OAuth2Session(
            self._client_id,
            self._client_secret or None,
            token_endpoint_auth_method=self._how_to_authenticate(),
            scope=self._scopes,
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
            default_timeout=(CONNECT_SECONDS, READ_SECONDS),
        )

    def _how_to_authenticate(self) -> str:
        if not self._client_secret:
            return "none"
        possible = self._discover().get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        return "client_secret_basic" if "client_secret_basic" in possible else "client_secret_post"

    def _discover(self) -> dict[str, Any]:
        """What the provider says of itself, kept for an hour."""
        with self._lock:
            kept = self._found
        if kept is not None and time.monotonic() - kept[0] < KEPT_SECONDS:
            return kept[1]
        found = self._get(f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != self.issuer:
            raise OidcError("The discovery document names another issuer.")
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            if not is_safe_address(str(found.get(name) or "")):
                raise OidcError(f"The discovery document has no usable {name}.")
        if not is_safe_address(str(found.get("userinfo_endpoint") or "")):
            found["userinfo_endpoint"] = ""
        with self._lock:
            self._found = (time.monotonic(), found)
        return found

    def _key_set(self, *, again: bool = False) -> KeySet:
        with self._lock:
            kept = self._keys
        age = time.monotonic() - kept[0] if kept else None
        if kept is not None and age is not None and age < (KEYS_AT_LEAST_SECONDS if again else KEPT_SECONDS):
            return kept[1]
        document = self._get(self._discover()["jwks_uri"])
        usable = [
            key for key in document.get("keys") or [] if isinstance(key, dict) and key.get("kty") in ("RSA", "EC")
        ]
        try:
            keys = KeySet.import_key_set({"keys": usable})
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise OidcError("The provider's keys cannot be read.") from error
        with self._lock:
            self._keys = (time.monotonic(), keys)
        return keys

    def _verified(self, id_token: str, access_token: str, request: OidcRequest) -> CodeIDToken:
        try:
            try:
                decoded = jwt.decode(id_token, self._key_set(), algorithms=ALGORITHMS)
            except (JoseError, ValueError):
                decoded = jwt.decode(id_token, self._key_set(again=True), algorithms=ALGORITHMS)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": self._client_id},
                    "sub": {"essential": True},
                    "exp": {"essential": True},
                },
                params={"nonce": request.nonce, "client_id": self._client_id, "access_token": access_token},
            )
            claims.validate(now=int(self._clock.now().timestamp()), leeway=LEEWAY_SECONDS)
        except OidcError:
            raise
        except (JoseError, AuthlibBaseError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise OidcError(f"The ID token does not check out ({type(error).__name__}).") from error
        return claims

    def _get(self, url: str, *, bearer: str = "") -> dict[str, Any]:
        headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {bearer}"} if bearer else {})

        def fetch() -> object:
            timeout = (CONNECT_SECONDS, READ_SECONDS)
            with requests.get(url, headers=headers, timeout=timeout, stream=True, allow_redirects=False) as answer:
                if answer.status_code >= 500:
                    raise OidcAway(f"The provider answers with {answer.status_code}.")
                if answer.status_code != 200:
                    raise OidcError(f"The provider answers with {answer.status_code}.")
                body = answer.raw.read(MOST_BYTES + 1, decode_content=True)
                if len(body) > MOST_BYTES:
                    raise OidcError("The provider's answer is too large.")
                answer._content = body
                return answer.json()

        document = _ask(fetch)
        if not isinstance(document, dict):
            raise OidcError("The provider's answer is no JSON object.")
        return document


def is_safe_address(url: str) -> bool:
    """Whether an address may be called: https, or plain http on this very machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and is_loopback(host)


def _ask(question: Callable[[], T]) -> T:
    """Call the provider. What it says of its errors is not passed on: it may quote the request."""
    try:
        return question()
    except (requests.ConnectionError, requests.Timeout) as error:
        raise OidcAway(f"The provider does not answer ({type(error).__name__}).") from error
    except requests.HTTPError as error:
        raise OidcAway("The provider answers with an error.") from error
    except (requests.RequestException, AuthlibBaseError, ValueError) as error:
        raise OidcError(f"The provider's answer is not usable ({type(error).__name__}).") from error


def _means_yes(value: object) -> bool:
    """The forms in which providers say that an address is verified: JSON's true, and the word."""
    return value is True or (isinstance(value, str) and value.strip().lower() == "true")


def _as_claims(issuer: str, claims: dict[str, Any]) -> OidcClaims:
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or "\x00" in subject:
        raise OidcError("The ID token names nobody.")
    email, name, at = claims.get("email"), claims.get("name"), claims.get("auth_time")
    return OidcClaims(
        issuer=issuer,
        subject=subject,
        email=email if isinstance(email, str) else "",
        email_verified=_means_yes(claims.get("email_verified")),
        name=name if isinstance(name, str) else "",
        auth_time=datetime.fromtimestamp(at, UTC) if isinstance(at, (int, float)) and 0 < at < 1e11 else None,
    )
