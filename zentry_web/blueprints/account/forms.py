"""Forms of the account's own page."""

from zoneinfo import available_timezones

from wtforms import (
    EmailField,
    HiddenField,
    PasswordField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length

from zentry_web.domain.language import _, languages, lazy
from zentry_web.domain.people.token import SCOPES
from zentry_web.domain.user import THEME_CHOICES
from zentry_web.web.input.forms import BaseForm, SelectChoice, WholeNumberField
from zentry_web.web.output.regions import region_choices

AREAS = (
    "Africa/",
    "America/",
    "Antarctica/",
    "Arctic/",
    "Asia/",
    "Atlantic/",
    "Australia/",
    "Europe/",
    "Indian/",
    "Pacific/",
)
ZONES = ["UTC", *sorted(name for name in available_timezones() if name.startswith(AREAS))]


def language_choices() -> list[SelectChoice]:
    """Those there are, by their own names."""
    return [SelectChoice("", _("As the browser says")), *(SelectChoice(*each) for each in languages().items())]


class ProfileForm(BaseForm):
    name = StringField(lazy("Your name"), validators=[InputRequired(lazy("Tell us your name.")), Length(max=100)])
    time_zone = SelectField(
        lazy("Time zone"),
        validators=[InputRequired(lazy("Choose a time zone."))],
        choices=[SelectChoice(name, name) for name in ZONES],
    )
    language = SelectField(lazy("Language"), choices=language_choices)
    region = SelectField(lazy("Region"), choices=lambda: [SelectChoice(code, text) for code, text in region_choices()])
    theme = SelectField(lazy("Theme"), choices=[SelectChoice(code, text) for code, text in THEME_CHOICES.items()])
    shortcuts = SelectField(
        lazy("Keyboard shortcuts"), choices=[SelectChoice("on", lazy("On")), SelectChoice("off", lazy("Off"))]
    )


class EmailForm(BaseForm):
    email = EmailField(lazy("New address"), validators=[InputRequired(lazy("Enter the new address.")), Length(max=254)])


class LeaveWithoutPasswordForm(BaseForm):
    """Of somebody who has none: the recent proof has to do."""


class LeaveForm(BaseForm):
    password = PasswordField(
        lazy("Your password"), validators=[InputRequired(lazy("Enter your password.")), Length(max=256)]
    )


class TokenForm(BaseForm):
    name = StringField(lazy("Name"), validators=[InputRequired(lazy("Give it a name.")), Length(max=100)])
    scopes = SelectMultipleField(
        lazy("What it may do"), choices=[SelectChoice(scope.value, text) for scope, text in SCOPES.items()]
    )
    days = WholeNumberField(
        lazy("Days it works"), default=90, validators=[InputRequired(lazy("Enter a number of days."))]
    )


class NotificationsForm(BaseForm):
    mail = SelectMultipleField(lazy("By mail"), choices=[], validate_choice=False)


class SshKeyForm(BaseForm):
    public_key = TextAreaField(
        lazy("Public key"), validators=[InputRequired(lazy("Paste a public key.")), Length(max=8192)]
    )
    name = StringField(lazy("Name"), validators=[Length(max=100)])


class SshKeyNameForm(BaseForm):
    name = StringField(lazy("Name"), validators=[InputRequired(lazy("Give it a name.")), Length(max=100)])


class FirstPasswordForm(BaseForm):
    """Of somebody whom another service let in: there is none yet."""

    new = PasswordField(
        lazy("New password"), validators=[InputRequired(lazy("Choose a new password.")), Length(max=256)]
    )


class PasswordForm(FirstPasswordForm):
    current = PasswordField(
        lazy("Current password"), validators=[InputRequired(lazy("Enter your current password.")), Length(max=256)]
    )


class AppForm(BaseForm):
    sealed = HiddenField()
    code = StringField(
        lazy("Code from the app"), validators=[InputRequired(lazy("Enter the six digits.")), Length(max=20)]
    )


class ProofByPasswordForm(BaseForm):
    password = PasswordField(
        lazy("Password"), validators=[InputRequired(lazy("Enter your password.")), Length(max=256)]
    )
    next = HiddenField()


class PasskeyForm(BaseForm):
    name = StringField(lazy("Name"), validators=[Length(max=60)], description=lazy("Such as the device it is kept on."))
    credential = HiddenField(validators=[Length(max=20_000)])
