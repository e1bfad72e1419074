"""What only this Zentry can read: keys derived from its secret key, one for each use."""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class CannotOpen(Exception):
    """Sealed by another key, for another use, or too long ago."""


class SecretBox:
    """Seals text (AES-CBC and HMAC: Fernet) and makes keyed hashes, under keys derived for each ``use`` (HKDF)."""

    def __init__(self, secret_key: str) -> None:
        self._secret_key = secret_key.encode()

    def seal(self, text: str, *, use: str, now: datetime) -> str:
        """The text encrypted and signed; only ``unseal`` with the same ``use`` gives it back."""
        return self._fernet(use).encrypt_at_time(text.encode(), int(now.timestamp())).decode()

    def unseal(self, sealed: str, *, use: str, now: datetime, within: timedelta | None = None) -> str:
        """What was sealed, at most ``within`` ago. Raises CannotOpen."""
        fernet = self._fernet(use)
        try:
            if within is None:
                return fernet.decrypt(sealed.encode()).decode()
            seconds = int(within.total_seconds())
            return fernet.decrypt_at_time(sealed.encode(), seconds, int(now.timestamp())).decode()
        except (InvalidToken, ValueError) as error:
            raise CannotOpen from error

    def keyed_hash(self, text: str, *, use: str) -> str:
        """A hash that nobody can search back without the secret key."""
        return hmac.new(self.key_for(use), text.encode(), hashlib.sha256).hexdigest()

    def _fernet(self, use: str) -> Fernet:
        return Fernet(base64.urlsafe_b64encode(self.key_for(use)))

    def key_for(self, use: str) -> bytes:
        """32 bytes derived for this use alone: whoever learns them knows neither the secret key nor other uses'."""
        derivation = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"zentry:{use}".encode())
        return derivation.derive(self._secret_key)
