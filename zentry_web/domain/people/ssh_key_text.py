"""Reading an SSH public key that somebody pasted: one key, public, of a kind that is still safe."""

import base64
import binascii
import hashlib
import unicodedata

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key

from zentry_web.domain.language import _, lazy
from zentry_web.domain.people.ssh_key import LONGEST_COMMENT, PublicKey
from zentry_web.domain.text import clean_name

MOST_CHARACTERS = 8192
LEAST_RSA_BITS = 2048
MOST_RSA_BITS = 16_384
_ECDSA = ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521")
_ON_A_DEVICE = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com")
KINDS = ("ssh-ed25519", *_ECDSA, "ssh-rsa", *_ON_A_DEVICE)
_PRIVATE = ("PRIVATE KEY", "PUTTY-USER-KEY-FILE")

SSH2_BEGIN, SSH2_END = "---- BEGIN SSH2 PUBLIC KEY ----", "---- END SSH2 PUBLIC KEY ----"
NO_KEY = lazy("That is not an OpenSSH public key, such as “ssh-ed25519 AAAA… you@laptop”.")
ONE_LINE = lazy("Paste one public key, on one line.")


def parse_public_key(value: object) -> PublicKey:
    """The key in a line of a ``.pub`` file, its comment kept. Raises ValueError with a sentence for the person."""
    text = value[: 2 * MOST_CHARACTERS].strip() if isinstance(value, str) else ""
    if not text:
        raise ValueError(_("Paste a public key."))
    if any(word in text[:MOST_CHARACTERS].upper() for word in _PRIVATE):
        raise ValueError(_("That is a private key. Paste the public one, from the file that ends in .pub."))
    text = _on_one_line(text)
    if len(text) > MOST_CHARACTERS or any(unicodedata.category(c) in ("Cc", "Zl", "Zp") and c != "\t" for c in text):
        raise ValueError(ONE_LINE)
    kind, blob, comment = [*text.split(None, 2), "", ""][:3]
    _check_kind(kind, text)
    bits = _read(kind, blob)
    digest = hashlib.sha256(base64.b64decode(blob)).digest()
    fingerprint = "SHA256:" + base64.b64encode(digest).decode().rstrip("=")
    return PublicKey(kind, bits, blob, _clean_comment(comment), fingerprint)


def _on_one_line(text: str) -> str:
    """A key that a program wrote over several lines, as OpenSSH writes it; any other text as it is.

    PuTTYgen's "Save public key" writes RFC 4716; a terminal breaks a long line where its window ends.
    """
    lines = text.splitlines()
    if lines[0].strip() == SSH2_BEGIN:
        return _from_rfc4716([line.strip() for line in lines])
    kind, _, blob = lines[0].partition(" ")
    if len(lines) == 1 or kind not in KINDS or " " in blob.strip() or _is_whole(kind, blob):
        return text
    return f"{kind} {''.join((blob, *lines[1:]))}"


def _from_rfc4716(lines: list[str]) -> str:
    body, comment, header = [], "", ""
    for line in lines[1:]:
        if line == SSH2_END:
            break
        if header or ":" in line:  # a header goes on in the next line after a backslash (section 3.3)
            header += line.removesuffix("\\")
            if not line.endswith("\\"):
                name, _, value = header.partition(":")
                comment, header = (value.strip().strip('"') if name.lower() == "comment" else comment), ""
        else:
            body.append(line)
    blob = "".join(body)
    try:
        raw = base64.b64decode(blob, validate=True)
        kind = raw[4 : 4 + int.from_bytes(raw[:4], "big")].decode("ascii")
    except (ValueError, binascii.Error):
        raise ValueError(NO_KEY) from None
    return f"{kind} {blob} {comment}".rstrip()


def _is_whole(kind: str, blob: str) -> bool:
    try:
        _read(kind, blob)
    except ValueError as error:
        return str(error) != NO_KEY
    return True


def _check_kind(kind: str, text: str) -> None:
    if kind == "ssh-dss":
        raise ValueError(_("DSA keys are no longer safe. Make an Ed25519 key: ssh-keygen -t ed25519"))
    if "-cert-v01@" in kind:
        raise ValueError(_("That is a certificate. Paste the public key it was made for."))
    if kind not in KINDS:
        after = next((word for word in text.split()[1:] if word in KINDS), None)
        raise ValueError(_("Leave out what stands before “%(after)s”.", after=after) if after else NO_KEY)


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
            raise ValueError(
                _(
                    "This RSA key has %(key_size)s bits: %(least)s are the least that is safe.",
                    key_size=key.key_size,
                    least=LEAST_RSA_BITS,
                )
            )
        if key.key_size > MOST_RSA_BITS:
            raise ValueError(_("Use an RSA key of at most %(most)s bits.", most=MOST_RSA_BITS))
        return key.key_size
    return key.curve.key_size if isinstance(key, EllipticCurvePublicKey) else 256


def _clean_comment(comment: str) -> str:
    if not comment.strip():
        return ""
    try:
        return clean_name(comment.replace("\t", " "), longest=LONGEST_COMMENT)
    except ValueError:
        raise ValueError(
            _("The comment after the key must be plain text of at most %(most)s characters.", most=LONGEST_COMMENT)
        ) from None
