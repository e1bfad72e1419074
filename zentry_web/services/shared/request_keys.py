"""The key that comes with a form, by which a request that is sent twice has one effect."""

from zentry_web.domain.language import _
from zentry_web.services.errors import ConflictError, ValidationError

LONGEST_KEY = 100


def check_key(key: str | None) -> None:
    """Raise ValidationError (idempotency_key) unless a request can be known again by ``key``; None: it has none."""
    if key is not None and not 0 < len(key) <= LONGEST_KEY:
        raise ValidationError(_("That request key is not usable."), details={"idempotency_key": _("Not usable.")})


def require_same(is_same: bool, used: str = "") -> None:
    """Raise ConflictError unless what was made with this key before is what is asked for now.

    ``used``: a sentence that says what the form was for, to whoever has it before them still.
    """
    if not is_same:
        raise ConflictError(used or _("This request was made before with other contents."))
