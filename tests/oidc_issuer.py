"""An OpenID provider of a test's own: a real HTTP server on loopback, with switches for all it may do wrong."""

import base64
import hashlib
import hmac
import json
import secrets
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "zentry-client", "a-client-secret-of-the-test"
ASK = (
    """<!doctype html><html lang="en"><title>Acme ID</title><h1>Acme ID</h1><p><a href="{url}">Yes, it is me</a></p>"""
)


class Issuer:
    """What the server answers. ``person`` are the claims of whoever is signed in there."""

    def __init__(self, clock):
        self.clock = clock
        self.url = ""
        self.person = {"sub": "248289761001", "email": "dora@example.com", "email_verified": True, "name": "Dora"}
        self.wrong = (
            ""  # signature, unknown_key, hs256, none, nonce, no_nonce, audience, azp, issuer, expired, future, subject
        )
        self.fails = ""  # a path that answers 500, or 'deny': the person says no
        self.documents = {}  # changes of the discovery document
        self.userinfo = {}
        self.asks = False  # show a page first, as for a person's browser
        self.auth_age = 0
        self.says_when = True  # in ``auth_time``, where it was asked for
        self.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
        self.other_key = RSAKey.generate_key(2048, {"kid": "first"})
        self.codes = {}
        self.seen = []  # (path, its fields)

    def turn_key(self):
        """From now on tokens are signed with another key, of another name."""
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})

    def discovery(self):
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        } | self.documents

    def authorize(self, asked):
        """Where the browser is sent back to."""
        assert asked["client_id"] == CLIENT_ID
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        back = {"state": asked["state"], "iss": self.url}
        if self.fails == "deny":
            back["error"] = "access_denied"
        else:
            back["code"] = secrets.token_urlsafe(16)
            self.codes[back["code"]] = asked
        return f"{asked['redirect_uri']}?{urlencode(back)}"

    def token(self, asked, authorization):
        """(status, answer) of the token endpoint. A code works once, for its client, with its verifier."""
        expected = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        begun = self.codes.pop(asked.get("code"), None)
        if authorization != f"Basic {expected}":
            return 401, {"error": "invalid_client"}
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        challenge = _encoded(digest)
        if begun is None or challenge != begun["code_challenge"] or asked["redirect_uri"] != begun["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        access = secrets.token_urlsafe(16)
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": self.id_token(begun)}
        return 200, answer

    def id_token(self, begun):
        now = int(self.clock.now().timestamp())
        claims = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": begun["nonce"]}
        when = {"auth_time": now - self.auth_age} if "max_age" in begun and self.says_when else {}
        claims |= self.person | when
        changes = {
            "nonce": {"nonce": "another"},
            "audience": {"aud": "somebody-else"},
            "azp": {"aud": [CLIENT_ID, "somebody-else"], "azp": "somebody-else"},
            "issuer": {"iss": "https://evil.example"},
            "expired": {"iat": now - 900, "exp": now - 600},
            "future": {"iat": now + 900},
            "subject": {"sub": ""},
        }
        claims |= changes.get(self.wrong, {})
        if self.wrong == "no_nonce":
            del claims["nonce"]
        if self.wrong == "hs256":  # the oldest trick: the public key taken for a shared secret
            text = f"{_part({'alg': 'HS256', 'kid': self.key.kid})}.{_part(claims)}"
            return f"{text}.{_encoded(hmac.digest(self.key.as_pem(private=False), text.encode(), 'sha256'))}"
        key = self.other_key if self.wrong == "signature" else self.key
        token = jwt.encode({"alg": "RS256", "kid": "nobody" if self.wrong == "unknown_key" else key.kid}, claims, key)
        if self.wrong == "none":
            token = f"{_part({'alg': 'none'})}.{token.split('.')[1]}."
        return token


def _part(content):
    return _encoded(json.dumps(content).encode())


def _encoded(content):
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class _Handler(BaseHTTPRequestHandler):
    issuer: Issuer

    def do_GET(self):
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.issuer.seen.append((parts.path, asked))
        if self.issuer.fails == parts.path:
            return self._answer(500, b"{}")
        if parts.path == "/authorize":
            url = self.issuer.authorize(asked)
            if self.issuer.asks:
                return self._answer(200, ASK.format(url=url.replace("&", "&amp;")).encode(), "text/html; charset=utf-8")
            return self._answer(302, b"", location=url)
        documents = {
            "/.well-known/openid-configuration": self.issuer.discovery,
            "/keys": lambda: {"keys": [self.issuer.key.as_dict(private=False)]},
            "/userinfo": lambda: self.issuer.userinfo,
        }
        if parts.path in documents:
            return self._answer(200, json.dumps(documents[parts.path]()).encode())
        return self._answer(404, b"{}")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        asked = {name: values[0] for name, values in parse_qs(body).items()}
        self.issuer.seen.append((self.path, asked))
        if self.issuer.fails == self.path:
            return self._answer(500, b"{}")
        status, answer = self.issuer.token(asked, self.headers.get("Authorization"))
        return self._answer(status, json.dumps(answer).encode())

    def _answer(self, status, body, kind="application/json", location=None):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Quiet."""


@contextmanager
def local_issuer(clock):
    """Run one on a free port."""
    issuer = Issuer(clock)
    handler = type("Handler", (_Handler,), {"issuer": issuer})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def settings_for(issuer, **more):
    """The settings of a Zentry that trusts this provider."""
    return {
        "oidc_issuer": issuer.url,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret": CLIENT_SECRET,
        "oidc_name": "Acme ID",
    } | more
