"""Forms of the admin pages."""

from typing import Any, ClassVar

from wtforms import (
    BooleanField,
    DateField,
    DateTimeLocalField,
    HiddenField,
    IntegerField,
    RadioField,
    SelectField,
    StringField,
    SubmitField,
    TextAreaField,
)
from wtforms.validators import AnyOf, InputRequired, Length, NumberRange, Optional

from zentry_web.domain.announcement import MAX_LINK, MAX_LINK_TEXT, MAX_TEXT, Level
from zentry_web.domain.directory import BulkAction
from zentry_web.domain.user import LONGEST_NOTE, Role
from zentry_web.domain.vm import Image, Size
from zentry_web.domain.voucher import MAX_BATCH, MAX_NOTE, MAX_USES
from zentry_web.web.forms import BaseForm, CreditsField, SelectChoice, as_key, without_nul

MINUTE = "%Y-%m-%dT%H:%M"


class CreditForm(BaseForm):
    direction = RadioField(
        choices=[SelectChoice("add", "Add"), SelectChoice("deduct", "Deduct")],
        default="add",
        validate_choice=False,
        validators=[AnyOf(["add", "deduct"], "Choose whether to add or to deduct.")],
    )
    amount = CreditsField("Amount", validators=[InputRequired("Enter an amount.")])
    description = StringField("Reason", validators=[InputRequired("Say why: it is written down."), Length(max=200)])
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[as_key])


class NoteForm(BaseForm):
    fields_of_service: ClassVar = {"text": "body"}

    body = TextAreaField("New note", validators=[InputRequired("Write something."), Length(max=LONGEST_NOTE)])


class RoleForm(BaseForm):
    role = HiddenField(validators=[AnyOf([Role.USER, Role.ADMIN], "There is no such role.")])


class BulkForm(BaseForm):
    action = HiddenField(validators=[AnyOf(list(BulkAction), "There is no such action.")])
    key = HiddenField(validators=[Length(max=40)], filters=[as_key])


class BulkGrantForm(BulkForm):
    amount = CreditsField("For each", validators=[InputRequired("Enter an amount.")])
    description = StringField("Reason", validators=[InputRequired("Say why: it is written down."), Length(max=200)])


class ViewForm(BaseForm):
    reason = StringField("Why", validators=[InputRequired("Say why: it is written down."), Length(max=300)])


class RefundForm(BaseForm):
    amount = CreditsField("Amount", validators=[InputRequired("Enter an amount.")])
    description = StringField("Reason", validators=[InputRequired("Say why: the person reads it."), Length(max=200)])
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[as_key])


class QuotaForm(BaseForm):
    """Limits as typed: a number, 'none', or nothing for the default."""

    vms = StringField("Machines", validators=[Length(max=30)], filters=[without_nul])
    vcpus = StringField("vCPU", validators=[Length(max=30)], filters=[without_nul])
    memory_mib = StringField("Memory", validators=[Length(max=30)], filters=[without_nul])
    disk_gib = StringField("Disk, in GiB", validators=[Length(max=30)], filters=[without_nul])

    @property
    def limits(self) -> dict[str, object]:
        """What Quotas.set_limits takes."""
        return {name: self.text(name) for name in ("vms", "vcpus", "memory_mib", "disk_gib")}


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
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[as_key])


class AnnouncementForm(BaseForm):
    fields_of_service: ClassVar = {"text": "words", "from_at": "starts", "until_at": "ends"}

    level = SelectField(
        "Level",
        choices=[
            SelectChoice(Level.INFO.value, "Information"),
            SelectChoice(Level.WARNING.value, "Warning"),
            SelectChoice(Level.CRITICAL.value, "Critical: cannot be put away"),
        ],
        validators=[InputRequired("Choose a level.")],
    )
    words = TextAreaField("Text", validators=[InputRequired("Write what you want to tell."), Length(max=MAX_TEXT)])
    link = StringField("Link", validators=[Length(max=MAX_LINK)])
    link_text = StringField("Words of the link", validators=[Length(max=MAX_LINK_TEXT)])
    starts = DateTimeLocalField("From", format=MINUTE, validators=[InputRequired("Choose when it appears.")])
    ends = DateTimeLocalField("Until", format=MINUTE, validators=[Optional()])
    is_public = BooleanField("Visitors see it too")
    preview = SubmitField("Preview")
    version = HiddenField(validators=[Length(max=20)])
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[as_key])


class ConfirmForm(BaseForm):
    """Only the CSRF token."""


class ChangeForm(BaseForm):
    """New prices. ``change_form`` adds the fields of the sizes and images there are."""

    title = StringField("Name", validators=[InputRequired("Give it a name: owners read it."), Length(max=80)])
    starts = DateTimeLocalField("From", format=MINUTE, validators=[InputRequired("Choose when they begin.")])


def change_form(sizes: list[Size], images: list[Image], data: dict[str, Any]) -> ChangeForm:
    """The form with three kinds of prices: of sizes running and per GiB of disk, and what images add."""

    class Form(ChangeForm):
        fields_of_service: ClassVar = {"starts_at": "starts"}

    def add(name: str, label: str, target: str) -> None:
        setattr(Form, name, CreditsField(label, validators=[InputRequired("Enter a price, 0 for none.")]))
        Form.fields_of_service[target] = name

    for size in sizes:
        add(f"running_{size.id}", f"{size.name}, running, per hour", size.id)
        add(f"disk_{size.id}", f"{size.name}, disk, per GiB and hour", f"{size.id}_disk")
    for image in images:
        add(f"surcharge_{image.id}", f"{image.name} adds, per hour", image.id)
    return Form(data=data)
