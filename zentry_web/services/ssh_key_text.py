"""Reading an SSH public key that somebody pasted: one key, public, of a kind that is still safe."""

import base64
import binascii
import hashlib
import unicodedata

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from zentry_web.domain.ssh_key import LONGEST_COMMENT, PublicKey
from zentry_web.domain.text import clean_name

MOST_CHARACTERS = 8192
LEAST_RSA_BITS = 2048
MOST_RSA_BITS = 16_384
_ECDSA = ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
_ON_A_DEVICE = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com")
KINDS = ("ssh-ed25519", *_ECDSA, "ssh-rsa", *_ON_A_DEVICE)
_PRIVATE = ("PRIVATE KEY", "PUTTY-USER-KEY-FILE")

NO_KEY = "That is not an OpenSSH public key, such as “ssh-ed25519 AAAA… you@laptop”."
ONE_LINE = "Paste one public key, on one line."


def parse_public_key(value: object) -> PublicKey:
    """The key in a line of a ``.pub`` file, its comment kept. Raises ValueError with a sentence for the person."""
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise ValueError("Paste a public key.")
    if any(word in text[:MOST_CHARACTERS].upper() for word in _PRIVATE):
        raise ValueError("That is a private key. Paste the public one, from the file that ends in .pub.")
    if len(text) > MOST_CHARACTERS or any(unicodedata.category(c) in ("Cc", "Zl", "Zp") and c != "\t" for c in text):
        raise ValueError(ONE_LINE)
    kind, blob, comment = [*text.split(None, 2), "", ""][:3]
    _check_kind(kind, text)
    bits = _read(kind, blob)
    digest = hashlib.sha256(base64.b64decode(blob)).digest()
    fingerprint = "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
    return PublicKey(kind, bits, blob, _clean_comment(comment), fingerprint)


def _check_kind(kind: str, text: str) -> None:
    if kind == "ssh-dss":
        raise ValueError("DSA keys are no longer safe. Make an Ed25519 key: ssh-keygen -t ed25519")
    if "-cert-v01@" in kind:
        raise ValueError("That is a certificate. Paste the public key it was made for.")
    if kind not in KINDS:
        after = next((word for word in text.split()[1:] if word in KINDS), None)
        raise ValueError(f"Leave out what stands before “{after}”." if after else NO_KEY)


def _read(kind: str, blob: str) -> int:
    """Check that ``blob`` is a key of this kind; its bits."""
    try:
        raw = base64.b64decode(blob, validate=True)
        if base64.b64encode(raw).decode() != blob:  # one key, one spelling
            raise ValueError
        key = load_ssh_public_key(f"{kind} {blob}".encode())
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        raise ValueError(NO_KEY) from None
    if isinstance(key, RSAPublicKey):
        if key.key_size < LEAST_RSA_BITS:
            raise ValueError(f"This RSA key has {key.key_size} bits: {LEAST_RSA_BITS} are the least that is safe.")
        if key.key_size > MOST_RSA_BITS:
            raise ValueError(f"Use an RSA key of at most {MOST_RSA_BITS} bits.")
        return key.key_size
    return key.curve.key_size if isinstance(key, EllipticCurvePublicKey) else 256


def _clean_comment(comment: str) -> str:
    if not comment.strip():
        return ""
    try:
        return clean_name(comment.replace("\t", " "), longest=LONGEST_COMMENT)
    except ValueError:
        raise ValueError(
            f"The comment after the key must be plain text of at most {LONGEST_COMMENT} characters."
        ) from None
