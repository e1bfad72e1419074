"""Forms of the account's own page."""

from zoneinfo import available_timezones

from wtforms import (
    EmailField,
    HiddenField,
    IntegerField,
    PasswordField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length

from zentry_web.domain.token import SCOPES
from zentry_web.domain.user import THEME_CHOICES
from zentry_web.web.forms import BaseForm, SelectChoice
from zentry_web.web.regions import region_choices

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


class ProfileForm(BaseForm):
    name = StringField("Your name", validators=[InputRequired("Tell us your name."), Length(max=100)])
    time_zone = SelectField(
        "Time zone",
        validators=[InputRequired("Choose a time zone.")],
        choices=[SelectChoice(name, name) for name in ZONES],
    )
    region = SelectField("Region", choices=[SelectChoice(code, text) for code, text in region_choices()])
    theme = SelectField("Theme", choices=[SelectChoice(code, text) for code, text in THEME_CHOICES.items()])


class EmailForm(BaseForm):
    email = EmailField("New address", validators=[InputRequired("Enter the new address."), Length(max=254)])


class LeaveWithoutPasswordForm(BaseForm):
    """Of somebody who has none: the recent proof has to do."""


class LeaveForm(BaseForm):
    password = PasswordField("Your password", validators=[InputRequired("Enter your password."), Length(max=256)])


class TokenForm(BaseForm):
    name = StringField("Name", validators=[InputRequired("Give it a name."), Length(max=100)])
    scopes = SelectMultipleField(
        "What it may do", choices=[SelectChoice(scope.value, text) for scope, text in SCOPES.items()]
    )
    days = IntegerField("Days it works", default=90, validators=[InputRequired("Enter a number of days.")])


class NotificationsForm(BaseForm):
    mail = SelectMultipleField("By mail", choices=[], validate_choice=False)


class SshKeyForm(BaseForm):
    public_key = TextAreaField("Public key", validators=[InputRequired("Paste a public key."), Length(max=8192)])
    name = StringField("Name", validators=[Length(max=100)])


class SshKeyNameForm(BaseForm):
    name = StringField("Name", validators=[InputRequired("Give it a name."), Length(max=100)])


class FirstPasswordForm(BaseForm):
    """Of somebody whom another service let in: there is none yet."""

    new = PasswordField("New password", validators=[InputRequired("Choose a new password."), Length(max=256)])


class PasswordForm(FirstPasswordForm):
    current = PasswordField(
        "Present password", validators=[InputRequired("Enter your present password."), Length(max=256)]
    )


class AppForm(BaseForm):
    sealed = HiddenField()
    code = StringField("Code from the app", validators=[InputRequired("Enter the six digits."), Length(max=20)])


class ProofByPasswordForm(BaseForm):
    password = PasswordField("Password", validators=[InputRequired("Enter your password."), Length(max=256)])
    next = HiddenField()


class PasskeyForm(BaseForm):
    name = StringField("Name", validators=[Length(max=60)], description="Such as the device it is kept on.")
    credential = HiddenField(validators=[Length(max=20_000)])
