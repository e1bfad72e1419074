"""The base of all forms. Forms check shape; services check truth, and their verdict comes back onto the fields."""

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from flask import Response, after_this_request
from flask_wtf import FlaskForm
from wtforms import HiddenField, IntegerField, RadioField, StringField
from wtforms.fields.choices import SelectChoice  # type: ignore[attr-defined]  # the stubs are older than it
from wtforms.validators import Length, StopValidation
from wtforms.validators import ValidationError as FieldError

from zentry_web.domain.language import _
from zentry_web.domain.money import parse_credits
from zentry_web.domain.text import whole_number
from zentry_web.domain.vms.plan import LONGEST_FACTS, Facts, read_facts
from zentry_web.domain.vms.vm import Rates
from zentry_web.services.errors import (
    ConflictError,
    InsufficientCreditsError,
    PlanChangedError,
    PriceChangedError,
    ProviderUnavailableError,
    QuotaExceededError,
    RateLimitedError,
    ServiceError,
    ValidationError,
)
from zentry_web.services.shared.storage import outage
from zentry_web.web.errors import error_text, find_answer, problem_of
from zentry_web.web.input.form_tokens import FormToken
from zentry_web.web.input.form_words import FormWords
from zentry_web.web.output.plans import Difference, differences
from zentry_web.web.output.regions import viewer_region

__all__ = [
    "SHOWN_IN_FORM", "BaseForm", "CreditsField", "PlannedForm", "PricedForm", "SelectChoice",
    "WholeNumberField", "as_key",
    "number_of", "price_field", "rates_shown",
]  # fmt: skip

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


def as_key(value: object) -> object:
    """A filter of fields that hold a request's key, which pages make; with other signs it is as if absent."""
    return value if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_-]{1,100}", value) else ""


def rates_shown(text: object) -> Rates | None:
    """The price that a page showed, as ui.shown_price wrote it into a form; None without one. What says something else
    is a price that nothing has."""
    if not isinstance(text, str) or not text:
        return None
    found = re.fullmatch(r"([0-9]{1,18})-([0-9]{1,18})", text)
    return Rates(int(found[1]), int(found[2])) if found else Rates(-1, -1)


def price_field(rates: Rates) -> str:
    """What ``rates_shown`` reads."""
    return f"{rates.running}-{rates.stopped}"


def number_of(text: str) -> int:
    """A row's version or number that a hidden field brought back; -1 for anything else."""
    number = whole_number(text)
    return -1 if number is None else number


class CreditsField(StringField):
    """An amount typed in credits; ``micro`` is what it means in micro-credits."""

    micro: int | None = None

    def post_validate(self, form: object, validation_stopped: bool) -> None:
        """Read the amount once the other checks have passed."""
        if validation_stopped or not self.data:
            return
        if viewer_region().group == "." and _POINT_OF_THOUSANDS.fullmatch(self.data.strip()):
            raise FieldError(_("Write thousands without a point, and decimals behind a comma, such as 1000,50."))
        try:
            self.micro = parse_credits(self.data)
        except ValueError as error:
            raise FieldError(str(error)) from None


class WholeNumberField(IntegerField):
    """A whole number in the digits 0 to 9 and nothing else; not one with thousands of them."""

    def process_formdata(self, valuelist: Sequence[str]) -> None:
        """Read what was typed."""
        if valuelist and whole_number(valuelist[0]) is None:
            self.data = None
            raise ValueError(self.gettext("Not a valid integer value."))
        super().process_formdata(list(valuelist))

    def pre_validate(self, form: object) -> None:
        """What is no number is not also too small."""
        if self.process_errors and "".join(self.raw_data or ()).strip():
            raise StopValidation


class BaseForm(FlaskForm):
    """A form that carries a service's refusal: messages on the fields, and the status to answer with."""

    class Meta(FlaskForm.Meta):
        csrf_class = FormToken

        def get_translations(self, _form: object) -> FormWords:
            """Our words in place of WTForms'."""
            return FormWords()

    status = 200
    result: Any = None
    changed: Sequence[Difference] = ()  # when the world changed meanwhile: what was shown, and what is true now
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
        except Exception as error:  # what was typed stays on the page when it cannot be saved
            if (trouble := outage(error)) is None:
                raise
            self.take(trouble)
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
        if isinstance(error, PriceChangedError):
            placed = self._place({"shown_price": error_text(error)})
            self.changed = differences(*(_price_facts(error.details[name]) for name in ("shown", "now")))
        if isinstance(error, PlanChangedError):
            self.changed = differences(error.details["shown"], error.details["now"])
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


class PricedForm(BaseForm):
    """An order at a price: it carries the one that its page showed. At another it comes back and says both."""

    shown_price = HiddenField(validators=[Length(max=60)])

    @property
    def price_shown(self) -> Rates | None:
        return rates_shown(self.shown_price.data)


class PlannedForm(PricedForm):
    """An order by a plan: it carries what its page showed. When something else is true it comes back and says both."""

    plan = HiddenField(validators=[Length(max=LONGEST_FACTS)])

    @property
    def plan_shown(self) -> Facts | None:
        return read_facts(self.text("plan"))


def _price_facts(price: Sequence[int]) -> Facts:
    running, stopped = price
    return {"running": str(running), "stopped": str(stopped)}


class CodeOrPasskeyForm(BaseForm):
    """What brings a second factor: a code of an app or for recovery, or what a passkey answered."""

    code = StringField("Code", validators=[Length(max=60)])
    credential = HiddenField(validators=[Length(max=20_000)])
    next = HiddenField()

    def validate_code(self, field: StringField) -> None:
        """One of both is there."""
        if not field.data and not self.credential.data:
            raise FieldError(_("Enter a code."))
