"""Tokens between processes: good for one audience, some callers, five minutes."""

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from tests.conftest import START
from zentry_web.adapters.clock import ManualClock
from zentry_web.domain.people.token import Party
from zentry_web.services.errors import AuthenticationRequiredError
from zentry_web.services.shared.secret_box import SecretBox
from zentry_web.services.shared.service_tokens import ServiceTokens

pytestmark = pytest.mark.unit
KEY = "some secret key"


@pytest.fixture
def clock():
    return ManualClock(START)


@pytest.fixture
def tokens(clock):
    return ServiceTokens(KEY, clock)


def refused(tokens, header, audience=Party.WORKER, callers=(Party.WEB,)):
    with pytest.raises(AuthenticationRequiredError):
        tokens.require(header, audience, callers)


def signed(claims, key=None, algorithm="HS256"):
    secret = OctKey.import_key(key or SecretBox(KEY).key_for("service-to-service"))
    return "Bearer " + jwt.encode({"alg": algorithm}, claims, secret, algorithms=[algorithm])


def test_it_names_its_caller(tokens):
    header = f"Bearer {tokens.issue(Party.WEB, Party.WORKER)}"
    assert tokens.require(header, Party.WORKER, (Party.WEB, Party.AGENT)) == Party.WEB
    assert ServiceTokens(KEY, tokens._clock).require(header, Party.WORKER, [Party.WEB]) == Party.WEB


@pytest.mark.asvs("9.2.1", "13.2.1")
def test_it_lives_five_minutes(tokens, clock):
    header = f"Bearer {tokens.issue(Party.WEB, Party.WORKER)}"
    clock.advance(299)
    assert tokens.require(header, Party.WORKER, [Party.WEB])
    clock.advance(12)
    refused(tokens, header)


@pytest.mark.asvs("9.1.3", "9.2.3")
def test_others_are_refused(tokens):
    token = tokens.issue(Party.WEB, Party.WORKER)
    refused(tokens, f"Bearer {token}", audience=Party.WEB)
    refused(tokens, f"Bearer {token}", callers=[Party.AGENT])
    refused(ServiceTokens("another key", tokens._clock), f"Bearer {token}")
    headers = ("", "Bearer", "Bearer ", f"Basic {token}", token, "Bearer \x00", "Bearer a.b.c", "Bearer " + "x" * 9999)
    for header in headers:
        refused(tokens, header)


@pytest.mark.asvs("9.1.1")
def test_tampering_is_seen(tokens):
    head, body, signature = tokens.issue(Party.WEB, Party.WORKER).split(".")
    other = tokens.issue(Party.WORKER, Party.WEB).split(".")
    for pieces in ((head, other[1], signature), (head, body, other[2]), (head, body, "")):
        refused(tokens, "Bearer " + ".".join(pieces))
    unsigned = "eyJhbGciOiJub25lIn0." + body + "."
    refused(tokens, "Bearer " + unsigned)


@pytest.mark.asvs("9.2.2", "9.2.4")
@pytest.mark.parametrize(
    "change",
    [
        {"exp": None}, {"iat": None}, {"iss": None}, {"aud": None},
        {"exp": 10**6}, {"iat": 600}, {"exp": "soon"}, {"iss": ["web"]}, {"aud": ["worker", "web"]}, {"admin": True},
    ],
)  # fmt: skip
def test_every_claim_has_to_be_as_issued(tokens, change):
    now = int(START.timestamp())
    good = {"iss": "web", "aud": "worker", "iat": now, "exp": now + 300}
    assert tokens.require(signed(good), Party.WORKER, [Party.WEB])
    moved = {name: now + value if value in (600, 10**6) else value for name, value in change.items()}
    claims = {name: value for name, value in (good | moved).items() if value is not None}
    refused(tokens, signed(claims))


@pytest.mark.asvs("9.1.2")
def test_other_algorithms_and_uses_are_refused(tokens):
    now = int(START.timestamp())
    good = {"iss": "web", "aud": "worker", "iat": now, "exp": now + 300}
    refused(tokens, signed(good, algorithm="HS384"))
    refused(tokens, signed(good, key=SecretBox(KEY).key_for("another use")))
    refused(tokens, signed(good, key=KEY.encode() * 3))
