"""Vouchers: codes that are easy to read out and hard to guess, and what a voucher's state is. Pure rules."""

import secrets
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from zentry_web.domain.language import _

# 32 signs, 5 bits each. Left out are I, L, O and U: who types I or L means 1, who types O means 0.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 12  # 60 bits
GROUP = 4
MAX_BATCH = 1000
MAX_USES = 1_000_000
MAX_NOTE = 200
MAX_DAYS = 3650
_LONGEST_TYPED = 60
_MEANT = str.maketrans({"I": "1", "L": "1", "O": "0"})
EXAMPLE = "ABCD-EFGH-JKMN"


class VoucherState(StrEnum):
    OPEN = "open"
    USED_UP = "used_up"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Voucher:
    """A code worth ``value_micro`` to each of the first ``uses`` people who redeem it before ``expires_at``."""

    id: str
    code: str  # as stored: without hyphens
    value_micro: int
    uses: int
    used: int
    expires_at: datetime | None
    note: str
    batch_id: str
    created_by: str
    created_at: datetime
    revoked_at: datetime | None
    promo_days: int | None = None  # None: ordinary credits; else promotional, for so many days; 0: they stay

    @property
    def shown_code(self) -> str:
        """``ABCD-EFGH-JKMN``."""
        return grouped(self.code)

    def state(self, now: datetime) -> VoucherState:
        """What keeps it from working, the lasting reason first; OPEN when nothing does."""
        if self.revoked_at is not None:
            return VoucherState.REVOKED
        if self.used >= self.uses:
            return VoucherState.USED_UP
        if self.expires_at is not None and self.expires_at <= now:
            return VoucherState.EXPIRED
        return VoucherState.OPEN


@dataclass(frozen=True, slots=True)
class VoucherDraft:
    """What an admin asks for: ``count`` vouchers alike. ``expires_at``: the first moment they no longer work."""

    value_micro: int
    count: int = 1
    uses: int = 1
    expires_at: datetime | None = None
    note: str = ""
    promo_days: int | None = None  # see Voucher

    @property
    def total_micro(self) -> int:
        """The most that all of them can come to."""
        return self.value_micro * self.count * self.uses

    def as_terms(self) -> dict[str, Any]:
        """The draft as JSON takes it."""
        return asdict(self) | {"expires_at": self.expires_at.isoformat() if self.expires_at else None}

    @classmethod
    def from_terms(cls, terms: Mapping[str, Any]) -> "VoucherDraft":
        """What ``as_terms`` made, read back."""
        end = terms["expires_at"]
        return cls(**{**terms, "expires_at": datetime.fromisoformat(end) if end else None})


@dataclass(frozen=True, slots=True)
class VoucherFilter:
    """Which vouchers to list. ``search``: part of a code or note, or an id."""

    search: str = ""
    state: VoucherState | None = None
    batch_id: str = ""


@dataclass(frozen=True, slots=True)
class Redemption:
    """A voucher that worked for a person."""

    voucher_id: str
    user_id: str
    transfer_id: str
    value_micro: int
    at: datetime


def make_code(choose: Callable[[str], str] = secrets.choice) -> str:
    """A new code as it is stored: LENGTH signs of the alphabet, from the operating system's randomness."""
    return "".join(choose(ALPHABET) for _ in range(LENGTH))


def grouped(code: str) -> str:
    """A stored code as people read it: in groups of four."""
    return "-".join(code[i : i + GROUP] for i in range(0, len(code), GROUP))


def signs_of(typed: str) -> str:
    """What was typed as signs of the alphabet: case, spaces, dashes and look-alikes do not matter."""
    text = unicodedata.normalize("NFKC", typed[:_LONGEST_TYPED]).upper().translate(_MEANT)
    return "".join(c for c in text if not (c.isspace() or unicodedata.category(c) in ("Pd", "Cf") or c in "−_."))


def parse_code(typed: object) -> str:
    """The stored form of a typed code. Raises ValueError with a sentence for the person."""
    if not isinstance(typed, str) or not typed.strip():
        raise ValueError(_("Enter the code of your voucher."))
    code = signs_of(typed)
    if len(typed) > _LONGEST_TYPED or len(code) != LENGTH or any(c not in ALPHABET for c in code):
        raise ValueError(
            _(
                "That is no voucher code: one has %(length)s letters and digits, such as %(example)s.",
                length=LENGTH,
                example=EXAMPLE,
            )
        )
    return code
