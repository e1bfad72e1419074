"""A passkey in software: answers what a site asks as a device would, and cheats where a test wants it to."""

import hashlib
import json
import secrets
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, encode_cbor

PRESENT, VERIFIED, HAS_KEY = 0x01, 0x04, 0x40


class SoftKey:
    """One key for one site. ``origin`` and ``host`` may be set to those of another site."""

    def __init__(self, origin="http://localhost:8080", *, counts=True):
        self.origin, self.host, self.counts = origin, origin.partition("://")[2].partition(":")[0], counts
        self.id, self.count, self.user = secrets.token_bytes(16), 0, b""
        self.flags = PRESENT | VERIFIED
        self._key = ec.generate_private_key(ec.SECP256R1())

    def create(self, asked):
        """The answer to the options of a registration."""
        options = json.loads(asked)
        self.user = base64url_to_bytes(options["user"]["id"])
        data = self._data(HAS_KEY) + b"\0" * 16 + struct.pack(">H", len(self.id)) + self.id + self._public()
        attestation = encode_cbor({"fmt": "none", "attStmt": {}, "authData": data})
        client = self._client("webauthn.create", options["challenge"])
        return self._answer(clientDataJSON=client, attestationObject=attestation)

    def get(self, asked, *, user=None):
        """The answer to the options of a log-in or a proof."""
        self.count += 1 if self.counts else 0
        data, client = self._data(), self._client("webauthn.get", json.loads(asked)["challenge"])
        signed = data + hashlib.sha256(client).digest()
        signature = self._key.sign(signed, ec.ECDSA(hashes.SHA256()))
        handle = self.user if user is None else user
        return self._answer(clientDataJSON=client, authenticatorData=data, signature=signature, userHandle=handle)

    def _answer(self, **response):
        name = bytes_to_base64url(self.id)
        written = {key: bytes_to_base64url(value) for key, value in response.items()}
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": written})

    def _data(self, more=0):
        return hashlib.sha256(self.host.encode()).digest() + bytes([self.flags | more]) + struct.pack(">I", self.count)

    def _client(self, kind, challenge):
        found = {"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": False}
        return json.dumps(found).encode()

    def _public(self):
        numbers = self._key.public_key().public_numbers()
        return encode_cbor({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})
