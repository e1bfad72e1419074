"""Passwords: argon2id, a cap on parallel hashing, and equal time whether or not there is an account."""

import os
import secrets
import threading
import unicodedata
from collections.abc import Callable

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from zentry_web.domain.language import _
from zentry_web.domain.user import MAX_PASSWORD, MIN_PASSWORD
from zentry_web.services.errors import RateLimitedError

log = structlog.get_logger(__name__)


def parse_password(value: object) -> str:
    """A password that may be set: 8 to 128 characters, of any kind. Raises ValueError with a sentence."""
    if not isinstance(value, str) or not value:
        raise ValueError(_("Choose a password."))
    if len(normalised(value)) < MIN_PASSWORD:
        raise ValueError(_("Use at least %(least)s characters.", least=MIN_PASSWORD))
    if len(normalised(value)) > MAX_PASSWORD:
        raise ValueError(_("Use at most %(most)s characters.", most=MAX_PASSWORD))
    return value


def normalised(password: str) -> str:
    """The same password typed on another keyboard: NFKC. Cut where no valid password reaches."""
    return unicodedata.normalize("NFKC", password[: 20 * MAX_PASSWORD])


class Passwords:
    """Hashes and verifies. At most ``parallel`` hashes run at once in this process: each takes memory and a core."""

    def __init__(
        self, *, memory_kib: int, time_cost: int, parallel: int | None = None, patience_seconds: float = 10
    ) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        self._slots = threading.BoundedSemaphore(parallel or os.cpu_count() or 1)
        self._patience_seconds = patience_seconds
        # Verified against when there is no account, so that the answer takes as long as for one.
        self._decoy = self._hasher.hash(secrets.token_hex(16))

    def hash(self, password: str) -> str:
        """The argon2id hash to store. Raises RateLimitedError when too many wait."""
        return str(self._slotted(self._hasher.hash, normalised(password)))

    def verify(self, stored: str | None, password: str) -> bool:
        """Whether ``password`` is the one behind ``stored``; takes as long when ``stored`` is None.

        Raises RateLimitedError when too many wait.
        """
        try:
            matches = bool(self._slotted(self._hasher.verify, stored or self._decoy, normalised(password)))
        except InvalidHashError:
            log.error("stored_password_hash_is_invalid")  # noqa: TRY400 - the trace would show nothing more
            return False
        except VerificationError:
            return False
        return matches and stored is not None

    def needs_rehash(self, stored: str) -> bool:
        """Whether ``stored`` was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _slotted(self, work: Callable[..., object], *arguments: str) -> object:
        if not self._slots.acquire(timeout=self._patience_seconds):
            raise RateLimitedError(
                _("Too many people are logging in right now. Please try again."), None, {"retry_after": 10}
            )
        try:
            return work(*arguments)
        finally:
            self._slots.release()
