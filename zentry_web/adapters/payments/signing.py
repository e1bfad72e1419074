"""Signed webhooks of the built-in test provider: a time and an HMAC over time and body."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

from zentry_web.adapters.payments.base import BadSignature

HEADER = "Zentry-Test-Signature"
TOLERANCE = timedelta(minutes=5)


def derive_key(secret: str) -> bytes:
    """A key for webhooks from the installation's secret key, useless for anything else."""
    return hmac.new(secret.encode(), b"zentry test payment webhooks", hashlib.sha256).digest()


def sign(key: bytes, payload: bytes, now: datetime) -> str:
    """The header's value for a body."""
    moment = int(now.timestamp())
    return f"t={moment},s={_mac(key, moment, payload)}"


def verify(key: bytes, payload: bytes, header: str, now: datetime) -> None:
    """Raise BadSignature unless ``header`` was made for this body with this key in the last five minutes."""
    fields = dict(part.partition("=")[::2] for part in header.split(","))
    moment, signature = fields.get("t", ""), fields.get("s", "")
    if not (moment.isascii() and moment.isdecimal() and len(moment) <= 12):
        raise BadSignature("There is no signature.")
    if not hmac.compare_digest(_mac(key, int(moment), payload).encode(), signature.encode()):
        raise BadSignature("The signature is wrong.")
    if abs(now - datetime.fromtimestamp(int(moment), UTC)) > TOLERANCE:
        raise BadSignature("The signature is too old.")


def _mac(key: bytes, moment: int, payload: bytes) -> str:
    return hmac.new(key, str(moment).encode() + b"." + payload, hashlib.sha256).hexdigest()
