"""The base of all forms. Forms check shape; services check truth, and their verdict comes back onto the fields."""

import re
from collections.abc import Callable
from typing import Any, ClassVar

from flask import Response, after_this_request
from flask_wtf import FlaskForm
from wtforms import HiddenField, RadioField, StringField
from wtforms import ValidationError as InvalidField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are older than it
from wtforms.validators import Length
from wtforms.validators import ValidationError as FieldError

from zentry_web.domain.money import parse_credits
from zentry_web.services.errors import (
    ConflictError,
    InsufficientCreditsError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    ServiceError,
    ValidationError,
)
from zentry_web.web.errors import error_text, find_answer, problem_of
from zentry_web.web.form_words import FormWords
from zentry_web.web.regions import viewer_region

__all__ = ["SHOWN_IN_FORM", "BaseForm", "CreditsField", "SelectChoice", "as_key", "number_of", "without_nul"]

# Refusals that belong beside what was typed. Others (not found, not allowed, log-in expired) end the request.
SHOWN_IN_FORM = (
    ValidationError,
    ConflictError,
    InsufficientCreditsError,
    RateLimitedError,
    ProviderUnavailableError,
)
CHANGED = "Something that this page sends along was changed on its way. Reload the page and try again."


# Where thousands have points, "1.000" may mean a thousand or one.
_POINT_OF_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}\.[0-9]{3}")


def without_nul(value: object) -> object:
    """A filter of fields that hold an id or a key: things are looked up by them, and PostgreSQL takes no NUL."""
    return value.replace("\x00", "") if isinstance(value, str) else value


def as_key(value: object) -> object:
    """A filter of fields that hold a request's key, which pages make; with other signs it is as if absent."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,100}", value) else ""


def number_of(text: str) -> int:
    """A row's version or number that a hidden field brought back; -1 for anything else."""
    return int(text) if text.isdecimal() and len(text) < 19 else -1


class CreditsField(StringField):
    """An amount typed in credits; ``micro`` is what it means in micro-credits."""

    micro: int | None = None

    def post_validate(self, form: object, validation_stopped: bool) -> None:
        """Read the amount once the other checks have passed."""
        if validation_stopped or not self.data:
            return
        if viewer_region().group == "." and _POINT_OF_THOUSANDS.fullmatch(self.data.strip()):
            raise FieldError("Write thousands without a point, and decimals behind a comma, such as 1000,50.")
        try:
            self.micro = parse_credits(self.data)
        except ValueError as error:
            raise FieldError(str(error)) from None


class BaseForm(FlaskForm):
    """A form that carries a service's refusal: messages on the fields, and the status to answer with."""

    class Meta(FlaskForm.Meta):
        def get_translations(self, _form: object) -> FormWords:
            """Our words in place of WTForms'."""
            return FormWords()

    status = 200
    result: Any = None
    fields_of_service: ClassVar[dict[str, str]] = {}  # the service's name of a field: the form's
    shown: tuple[type[ServiceError], ...] = SHOWN_IN_FORM
    error: ServiceError | None = None

    def text(self, name: str) -> str:
        """What was typed into a field; '' when it was left out."""
        return str(self._fields[name].data or "")

    @property
    def way_out(self) -> tuple[str, str] | None:
        """(text, address) of the page that helps with a refusal, where there is one."""
        return problem_of(self.error).link if self.error else None

    def submit(self, action: Callable[[], Any]) -> bool:
        """Check the shape, then run ``action`` and keep its answer in ``result``.

        False when either refuses; ``status`` then says how to answer and the form holds the messages.
        """
        if not self.validate_on_submit():
            self.status = 400
            self._tell_of_hidden_fields()
            return False
        try:
            self.result = action()
        except self.shown as error:
            self.take(error)
            return False
        return True

    def refuse(self, field: str, message: str) -> None:
        """Put a message onto a field; the form is answered with 400."""
        self.status = 400
        self._place({field: message})

    def take(self, error: ServiceError) -> None:
        """Put a refusal onto its fields, and what has no field onto the form."""
        self.error = error
        self.status = find_answer(error).status
        placed = isinstance(error, ValidationError) and self._place(error.details)
        if isinstance(error, QuotaExceededError):
            placed = self._place({error.details["field"]: error.message})
        if not placed:
            self.form_errors.append(error_text(error))
        if retry_after := error.details.get("retry_after"):
            after_this_request(lambda response: _with_retry_after(response, int(retry_after)))

    def _tell_of_hidden_fields(self) -> None:
        """What nobody typed has no place beside it for a message."""
        unseen = (HiddenField, RadioField)
        if any(field.errors and isinstance(field, unseen) and field.name != "csrf_token" for field in self):
            self.form_errors.append(CHANGED)

    def _place(self, details: dict[str, Any]) -> bool:
        placed = False
        for key, message in details.items():
            name = self.fields_of_service.get(key, key)
            if name in self._fields:
                self._fields[name].errors = [*self._fields[name].errors, str(message)]
                placed = True
        return placed


def _with_retry_after(response: Response, seconds: int) -> Response:
    response.headers["Retry-After"] = str(seconds)
    return response


class CodeOrPasskeyForm(BaseForm):
    """What brings a second factor: a code of an app or for recovery, or what a passkey answered."""

    code = StringField("Code", validators=[Length(max=60)])
    credential = HiddenField(validators=[Length(max=20_000)])
    next = HiddenField()

    def validate_code(self, field: StringField) -> None:
        """One of both is there."""
        if not field.data and not self.credential.data:
            raise InvalidField("Enter a code.")
