"""Reading what a form brought: every field is looked at, and all that is wrong is told at once."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import TypeVar

from email_validator import EmailNotValidError, validate_email

from zentry_web.domain import email as addresses
from zentry_web.domain.language import _
from zentry_web.domain.money import MAX_AMOUNT, format_credits
from zentry_web.domain.text import clean_line, clean_name
from zentry_web.domain.user import MAX_NAME
from zentry_web.services.errors import ValidationError

MAX_EMAIL = 254
LONGEST_REASON = 500
_LOCAL_EMAIL = re.compile(r"[a-z0-9._+-]{1,60}@localhost")
T = TypeVar("T")


class Fields:
    """Collects the fields of one form and the sentence for each that is wrong."""

    def __init__(self, data: Mapping[str, object]) -> None:
        self._data = data
        self.errors: dict[str, str] = {}

    def take(self, field: str, parse: Callable[[object], T], default: T) -> T:
        """The parsed field; ``default`` when it is wrong (``check()`` will refuse then)."""
        try:
            return parse(self._data.get(field))
        except ValueError as error:
            self.errors[field] = str(error)
            return default

    def check(self) -> None:
        """Raise ValidationError if anything was wrong."""
        if self.errors:
            raise invalid(self.errors)


def invalid(errors: dict[str, str]) -> ValidationError:
    """The error for a form whose fields have these sentences."""
    first = next(iter(errors.values()))
    return ValidationError(first if len(errors) == 1 else _("Please correct the marked fields."), details=dict(errors))


def parse_email(value: object) -> str:
    """An address that mail could reach, in its usual spelling; no network is asked. Raises ValueError."""
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise ValueError(_("Enter your e-mail address."))
    try:
        email = validate_email(text, check_deliverability=False, strict=True).normalized
    except EmailNotValidError:
        raise ValueError(_("Enter a valid e-mail address, such as ana@example.com.")) from None
    if len(email_key(email)) > MAX_EMAIL:
        raise ValueError(_("That e-mail address is too long."))
    return email


def parse_local_email(value: object) -> str:
    """Like ``parse_email``, but an address on this very machine will do: for admins."""
    text = value.strip().lower() if isinstance(value, str) else ""
    return text if _LOCAL_EMAIL.fullmatch(text) else parse_email(value)


def email_key(email: str) -> str:
    """``domain.email.email_key`` of what somebody typed, however long it is."""
    return addresses.email_key(storable(email.strip()[: 2 * MAX_EMAIL]))


def email_part(text: str) -> str:
    """What to look for in the keys of addresses when somebody typed a part of one."""
    return storable(unicodedata.normalize("NFC", text)).lower()


def storable(text: str) -> str:
    """Words to search for, without NUL, which nothing stored has: SQLite would take it for the end of a pattern."""
    return text.replace("\x00", "")


def require_line(value: object, field: str, *, longest: int, missing: str) -> str:
    """One line of 1 to ``longest`` characters. Raises ValidationError on ``field``: ``missing`` when there is none."""
    try:
        line = clean_line(value, longest=longest)
    except ValueError as error:
        raise invalid({field: str(error)}) from None
    if not line:
        raise invalid({field: missing})
    return line


def parse_reason(value: object, field: str) -> str:
    """Why somebody does something, in one line. Raises ValidationError on ``field``."""
    missing = _("Give a reason of at most %(most)s characters.", most=LONGEST_REASON)
    return require_line(value, field, longest=LONGEST_REASON, missing=missing)


def parse_person(value: object) -> str:
    """A person's name. Raises ValueError."""
    return clean_name(value, longest=MAX_NAME)


def check_micro(field: str, value: object, *, least: int = 0, most: int = MAX_AMOUNT) -> int:
    """``value`` if it is a whole number of micro-credits in range. Raises ValidationError on ``field``."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValidationError(_("Amounts are whole micro-credits."), details={field: _("Enter a whole number.")})
    if not least <= value <= most:
        too_small = _("Enter an amount above zero.") if least else _("Enter zero or more.")
        message = too_small if value < least else _("Enter at most %(most)s credits.", most=format_credits(most))
        raise ValidationError(message, details={field: message})
    return value
