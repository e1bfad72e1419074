"""Forms of the admin pages."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from wtforms import (
    BooleanField,
    DateField,
    DateTimeLocalField,
    HiddenField,
    RadioField,
    SelectField,
    StringField,
    SubmitField,
    TextAreaField,
)
from wtforms.validators import AnyOf, InputRequired, Length, NumberRange, Optional

from zentry_web.domain.credits.voucher import MAX_BATCH, MAX_DAYS, MAX_NOTE, MAX_USES
from zentry_web.domain.language import _, lazy
from zentry_web.domain.people.announcement import MAX_LINK, MAX_LINK_TEXT, MAX_TEXT, Level
from zentry_web.domain.people.directory import BulkAction
from zentry_web.domain.user import LONGEST_NOTE, Role
from zentry_web.domain.vms.catalogue import Image, Size
from zentry_web.domain.vms.image import UserDataKind, user_data_words
from zentry_web.domain.vms.new_size import LONGEST_NAME
from zentry_web.web.input.forms import BaseForm, CreditsField, SelectChoice, WholeNumberField, as_key
from zentry_web.web.output.filters import viewer_zone

MINUTE = "%Y-%m-%dT%H:%M"


def end_of(day: date) -> datetime:
    """The midnight at the end of a day, in the viewer's zone."""
    if day >= date(9000, 1, 1):
        return datetime(9000, 1, 1, tzinfo=UTC)  # too far away in any zone: the service says so
    after = day + timedelta(days=1)
    return datetime(after.year, after.month, after.day, tzinfo=viewer_zone()).astimezone(UTC)


class CreditForm(BaseForm):
    fields_of_service: ClassVar = {"expires_at": "last_day"}

    direction = RadioField(
        choices=[
            SelectChoice("add", lazy("Add")),
            SelectChoice("promote", lazy("Promote")),
            SelectChoice("deduct", lazy("Deduct")),
        ],
        default="add",
        validate_choice=False,
        validators=[AnyOf(["add", "promote", "deduct"], lazy("Choose whether to add or to deduct."))],
    )
    last_day = DateField(lazy("Last day of promotional credit"), validators=[Optional()])
    amount = CreditsField(lazy("Amount"), validators=[InputRequired(lazy("Enter an amount."))])
    description = StringField(
        lazy("Reason"), validators=[InputRequired(lazy("Say why: it is written down.")), Length(max=200)]
    )
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[as_key])


class NoteForm(BaseForm):
    fields_of_service: ClassVar = {"text": "body"}

    body = TextAreaField(
        lazy("New note"), validators=[InputRequired(lazy("Write something.")), Length(max=LONGEST_NOTE)]
    )


class RoleForm(BaseForm):
    role = HiddenField(validators=[AnyOf([Role.USER, Role.ADMIN], lazy("There is no such role."))])


class UserBulkForm(BaseForm):
    action = HiddenField(validators=[AnyOf(list(BulkAction), lazy("There is no such action."))])
    key = HiddenField(validators=[Length(max=40)], filters=[as_key])


class BulkGrantForm(UserBulkForm):
    amount = CreditsField(lazy("For each"), validators=[InputRequired(lazy("Enter an amount."))])
    description = StringField(
        lazy("Reason"), validators=[InputRequired(lazy("Say why: it is written down.")), Length(max=200)]
    )


class ViewForm(BaseForm):
    reason = StringField(lazy("Why"), validators=[InputRequired(lazy("Say why: it is written down.")), Length(max=300)])


class RefundForm(BaseForm):
    amount = CreditsField(lazy("Amount"), validators=[InputRequired(lazy("Enter an amount."))])
    description = StringField(
        lazy("Reason"), validators=[InputRequired(lazy("Say why: the person reads it.")), Length(max=200)]
    )
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[as_key])


class QuotaForm(BaseForm):
    """Limits as typed: a number, 'none', or nothing for the default."""

    vms = StringField(lazy("Machines"), validators=[Length(max=30)])
    vcpus = StringField(lazy("vCPU"), validators=[Length(max=30)])
    memory_mib = StringField(lazy("Memory"), validators=[Length(max=30)])
    disk_gib = StringField(lazy("Disk, in GiB"), validators=[Length(max=30)])
    stored_gib = StringField(lazy("Snapshots, images and backups, in GiB"), validators=[Length(max=30)])

    @property
    def limits(self) -> dict[str, object]:
        """What Quotas.set_limits takes."""
        return {name: self.text(name) for name in ("vms", "vcpus", "memory_mib", "disk_gib", "stored_gib")}


class OfferForm(BaseForm):
    active = BooleanField(lazy("On offer"))


class PriceForm(BaseForm):
    fields_of_service: ClassVar = {"running_micro_per_hour": "running", "disk_micro_per_gib_hour": "disk"}

    running = CreditsField(lazy("Running, per hour"), validators=[InputRequired(lazy("Enter a price."))])
    disk = CreditsField(lazy("Disk, per GiB and hour"), validators=[InputRequired(lazy("Enter a price."))])


class StoragePriceForm(BaseForm):
    fields_of_service: ClassVar = {"micro_per_gib_hour": "gib"}

    gib = CreditsField(lazy("Per GiB and hour"), validators=[InputRequired(lazy("Enter a price."))])


class SizeForm(BaseForm):
    fields_of_service: ClassVar = {
        "memory_mib": "memory", "disk_gib": "gib", "running_micro_per_hour": "running",
        "disk_micro_per_gib_hour": "disk", "starts_at": "starts",
    }  # fmt: skip

    name = StringField(lazy("Name"), validators=[InputRequired(lazy("Give it a name.")), Length(max=LONGEST_NAME)])
    vcpus = WholeNumberField(lazy("vCPU"), validators=[InputRequired(lazy("Enter a number."))])
    memory = StringField(lazy("Memory"), validators=[InputRequired(lazy("Say how much.")), Length(max=20)])
    gib = WholeNumberField(lazy("Disk, in GiB"), validators=[InputRequired(lazy("Enter a number."))])
    running = CreditsField(lazy("Running, per hour"), validators=[InputRequired(lazy("Enter a price."))])
    disk = CreditsField(lazy("Disk, per GiB and hour"), validators=[InputRequired(lazy("Enter a price, 0 for none."))])
    starts = DateTimeLocalField(lazy("On offer from"), format=MINUTE, validators=[Optional()])


class ImageFactsForm(BaseForm):
    """What an image says of itself."""

    fields_of_service: ClassVar = {"min_memory_mib": "memory", "min_disk_gib": "gib"}

    name = StringField(lazy("Name"), validators=[Optional(), Length(max=60)])
    description = TextAreaField(lazy("Description"), validators=[Optional(), Length(max=500)])
    memory = StringField(lazy("Memory from"), default="512 MiB", validators=[Optional(), Length(max=20)])
    gib = StringField(lazy("Disk from, in GiB"), default="5", validators=[Optional(), Length(max=10)])
    default_user = StringField(lazy("Log in as"), default="root", validators=[Optional(), Length(max=32)])
    first_login = TextAreaField(lazy("More about the first log-in"), validators=[Optional(), Length(max=500)])
    user_data = SelectField(lazy("User data"), choices=[], validate_choice=False, default="cloud")

    def offer(self) -> None:
        """Set what can be chosen, and say what has to be there: of the next version of an image none of it is asked."""
        self.user_data.choices = [SelectChoice(kind.value, user_data_words(kind)) for kind in UserDataKind]
        for field in (self.name, self.memory, self.gib, self.default_user, self.user_data):
            field.flags.required = True

    @property
    def facts(self) -> dict[str, Any]:
        """As VMImages takes them."""
        plain = {name: self.text(name) for name in ("name", "description", "default_user", "first_login", "user_data")}
        return plain | {"min_memory_mib": self.text("memory"), "min_disk_gib": self.text("gib")}


class ImageForm(ImageFactsForm):
    """A new image, or the next version of one (``image_id``), by its address."""

    image_id = HiddenField(validators=[Length(max=40)])
    address = StringField(lazy("Address"), validators=[InputRequired(lazy("Enter an address.")), Length(max=2000)])
    sha256 = StringField("SHA-256", validators=[InputRequired(lazy("Enter its SHA-256.")), Length(max=64)])


class VoucherForm(BaseForm):
    fields_of_service: ClassVar = {"value_micro": "value", "expires_at": "last_day"}

    value = CreditsField(lazy("Value of each"), validators=[InputRequired(lazy("Enter an amount."))])
    count = WholeNumberField(
        lazy("How many"),
        validators=[
            InputRequired(lazy("Enter a number.")),
            NumberRange(1, MAX_BATCH, lazy("Make 1 to %(most)s vouchers at a time.", most=MAX_BATCH)),
        ],
    )
    uses = WholeNumberField(
        lazy("Uses of each"),
        validators=[
            InputRequired(lazy("Enter a number.")),
            NumberRange(1, MAX_USES, lazy("A voucher can have 1 to %(most)s uses.", most=f"{MAX_USES:,}")),
        ],
    )
    last_day = DateField(lazy("Last day"), validators=[Optional()])
    is_promo = BooleanField(lazy("It gives promotional credit"))
    promo_days = WholeNumberField(
        lazy("Days that promotional credit lasts"),
        validators=[
            Optional(),
            NumberRange(0, MAX_DAYS, lazy("Promotional credit lasts for 0 to %(most)s days.", most=f"{MAX_DAYS:,}")),
        ],
    )
    note = StringField(lazy("Note"), validators=[Length(max=MAX_NOTE)])
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[as_key])


class AnnouncementForm(BaseForm):
    fields_of_service: ClassVar = {"text": "words", "from_at": "starts", "until_at": "ends"}

    level = SelectField(
        lazy("Level"),
        choices=[
            SelectChoice(Level.INFO.value, lazy("Information")),
            SelectChoice(Level.WARNING.value, lazy("Warning")),
            SelectChoice(Level.CRITICAL.value, lazy("Critical: cannot be put away")),
        ],
        validators=[InputRequired(lazy("Choose a level."))],
    )
    words = TextAreaField(
        lazy("Text"), validators=[InputRequired(lazy("Write what you want to tell.")), Length(max=MAX_TEXT)]
    )
    link = StringField(lazy("Link"), validators=[Length(max=MAX_LINK)])
    link_text = StringField(lazy("Words of the link"), validators=[Length(max=MAX_LINK_TEXT)])
    starts = DateTimeLocalField(
        lazy("From"), format=MINUTE, validators=[InputRequired(lazy("Choose when it appears."))]
    )
    ends = DateTimeLocalField(lazy("Until"), format=MINUTE, validators=[Optional()])
    is_public = BooleanField(lazy("Visitors see it too"))
    preview = SubmitField(lazy("Preview"))
    version = HiddenField(validators=[Length(max=20)])
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[as_key])


class ConfirmForm(BaseForm):
    """Only the CSRF token."""


class ChangeForm(BaseForm):
    """New prices. ``change_form`` adds the fields of the sizes and images there are."""

    title = StringField(
        lazy("Name"), validators=[InputRequired(lazy("Give it a name: owners read it.")), Length(max=80)]
    )
    starts = DateTimeLocalField(
        lazy("From"), format=MINUTE, validators=[InputRequired(lazy("Choose when they begin."))]
    )


def change_form(sizes: list[Size], images: list[Image], data: dict[str, Any]) -> ChangeForm:
    """The form with three kinds of prices: of sizes running and per GiB of disk, and what images add."""

    class Form(ChangeForm):
        fields_of_service: ClassVar = {"starts_at": "starts"}

    def add(name: str, label: str, target: str) -> None:
        setattr(Form, name, CreditsField(label, validators=[InputRequired(lazy("Enter a price, 0 for none."))]))
        Form.fields_of_service[target] = name

    for size in sizes:
        add(f"running_{size.id}", _("%(size)s, running, per hour", size=size.name), size.id)
        add(f"disk_{size.id}", _("%(size)s, disk, per GiB and hour", size=size.name), f"{size.id}_disk")
    for image in images:
        add(f"surcharge_{image.id}", _("%(image)s adds, per hour", image=image.name), image.id)
    return Form(data=data)
