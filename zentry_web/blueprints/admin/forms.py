"""Forms of the admin pages."""

from typing import ClassVar

from wtforms import BooleanField, DateField, HiddenField, IntegerField, RadioField, StringField
from wtforms.validators import InputRequired, Length, NumberRange, Optional

from zentry_web.domain.voucher import MAX_BATCH, MAX_NOTE, MAX_USES
from zentry_web.web.forms import BaseForm, CreditsField, SelectChoice, without_nul


class CreditForm(BaseForm):
    direction = RadioField(choices=[SelectChoice("add", "Add"), SelectChoice("deduct", "Deduct")], default="add")
    amount = CreditsField("Amount", validators=[InputRequired("Enter an amount.")])
    description = StringField("Reason", validators=[InputRequired("Say why: it is written down."), Length(max=200)])
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[without_nul])


class RefundForm(BaseForm):
    amount = CreditsField("Amount", validators=[InputRequired("Enter an amount.")])
    description = StringField("Reason", validators=[InputRequired("Say why: the person reads it."), Length(max=200)])
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[without_nul])


class OfferForm(BaseForm):
    active = BooleanField("On offer")


class PriceForm(BaseForm):
    fields_of_service: ClassVar = {"running_micro_per_hour": "running", "disk_micro_per_gib_hour": "disk"}

    running = CreditsField("Running, per hour", validators=[InputRequired("Enter a price.")])
    disk = CreditsField("Disk, per GiB and hour", validators=[InputRequired("Enter a price.")])


class VoucherForm(BaseForm):
    fields_of_service: ClassVar = {"value_micro": "value", "expires_at": "last_day"}

    value = CreditsField("Value of each", validators=[InputRequired("Enter an amount.")])
    count = IntegerField(
        "How many",
        validators=[
            InputRequired("Enter a number."),
            NumberRange(1, MAX_BATCH, f"Make 1 to {MAX_BATCH} vouchers at a time."),
        ],
    )
    uses = IntegerField(
        "Uses of each",
        validators=[
            InputRequired("Enter a number."),
            NumberRange(1, MAX_USES, f"A voucher can have 1 to {MAX_USES:,} uses."),
        ],
    )
    last_day = DateField("Last day", validators=[Optional()])
    note = StringField("Note", validators=[Length(max=MAX_NOTE)])
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[without_nul])


class ConfirmForm(BaseForm):
    """Only the CSRF token."""
