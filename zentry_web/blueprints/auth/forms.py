"""Forms of signing up and in."""

from wtforms import EmailField, HiddenField, PasswordField, StringField
from wtforms.validators import InputRequired, Length

from zentry_web.domain.language import lazy
from zentry_web.services.errors import AuthenticationRequiredError
from zentry_web.web.input.forms import SHOWN_IN_FORM, BaseForm


class SignupForm(BaseForm):
    name = StringField(lazy("Your name"), validators=[InputRequired(lazy("Tell us your name.")), Length(max=100)])
    email = EmailField(lazy("E-mail"), validators=[InputRequired(lazy("Enter your e-mail address.")), Length(max=254)])
    website = StringField(lazy("Leave this empty"))  # a trap for programs: people do not see it
    stamp = HiddenField()


class SignupWithPasswordForm(SignupForm):
    """Where no mail is sent: nothing is proved, so the password is chosen right away."""

    password = PasswordField(lazy("Password"), validators=[InputRequired(lazy("Choose a password.")), Length(max=256)])


class ForgotForm(BaseForm):
    email = EmailField(lazy("E-mail"), validators=[InputRequired(lazy("Enter your e-mail address.")), Length(max=254)])


class NewPasswordForm(BaseForm):
    password = PasswordField(lazy("Password"), validators=[InputRequired(lazy("Choose a password.")), Length(max=256)])


class LoginForm(BaseForm):
    shown = (*SHOWN_IN_FORM, AuthenticationRequiredError)  # a wrong password is no reason to lead to the log-in

    email = EmailField(lazy("E-mail"), validators=[InputRequired(lazy("Enter your e-mail address.")), Length(max=254)])
    password = PasswordField(
        lazy("Password"), validators=[InputRequired(lazy("Enter your password.")), Length(max=256)]
    )
    next = HiddenField()


class WelcomeForm(BaseForm):
    email = EmailField(lazy("E-mail"), validators=[InputRequired(lazy("Enter your e-mail address.")), Length(max=254)])
    name = StringField(lazy("Your name"), validators=[InputRequired(lazy("Tell us your name.")), Length(max=100)])
    password = PasswordField(lazy("Password"), validators=[InputRequired(lazy("Choose a password.")), Length(max=256)])


class PasskeyLoginForm(BaseForm):
    shown = (*SHOWN_IN_FORM, AuthenticationRequiredError)

    credential = HiddenField(validators=[InputRequired(), Length(max=20_000)])
