"""SSH public keys: what is kept of them."""

import re
from dataclasses import dataclass
from datetime import datetime

MOST_KEYS = 20  # of one account
LONGEST_COMMENT = 200


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key that was read and checked."""

    kind: str  # as OpenSSH names it: 'ssh-ed25519'
    bits: int
    blob: str  # base64: what makes it this key
    comment: str
    fingerprint: str  # as ssh-keygen -l prints it: 'SHA256:…'

    @property
    def line(self) -> str:
        """The line that belongs into authorized_keys."""
        return " ".join(part for part in (self.kind, self.blob, self.comment) if part)


@dataclass(frozen=True, slots=True)
class SshKey:
    """A public key in somebody's account."""

    id: str
    name: str
    kind: str
    bits: int
    fingerprint: str
    comment: str
    created_at: datetime
    last_used_at: datetime | None  # None: no machine was launched with it since it is here

    @property
    def kind_text(self) -> str:
        """The kind and strength in words: 'Ed25519', 'RSA, 3072 bits'."""
        return in_words(self.kind, self.bits)


def in_words(kind: str, bits: int) -> str:
    """'Ed25519', 'ECDSA, 256 bits', 'RSA, 3072 bits'; keys on a security key say so."""
    name = "Ed25519" if "ed25519" in kind else f"{'ECDSA' if 'ecdsa' in kind else 'RSA'}, {bits} bits"
    return f"{name}, on a security key" if kind.startswith("sk-") else name


_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}(?![A-Za-z0-9+/])")
_TINY_SAYS, _CLOUD_INIT_SAYS = "ssh: listening on port 22", "(ED25519)"


def host_key_on(console: str) -> str:
    """The fingerprint that a guest printed of its SSH host key at its last start, as our image and cloud-init do; ''
    where none is to be seen any more. Only the guest itself can say it: over the network anybody could."""
    found = ""
    for line in console.splitlines():
        if (_TINY_SAYS in line or line.rstrip().endswith(_CLOUD_INIT_SAYS)) and (match := _FINGERPRINT.search(line)):
            found = match[0]
    return found
