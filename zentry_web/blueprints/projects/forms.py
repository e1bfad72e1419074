"""Forms about projects."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from wtforms import BooleanField, EmailField, RadioField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional, ValidationError

from zentry_web.domain.credits.budget import parse_alerts
from zentry_web.domain.language import lazy
from zentry_web.domain.projects.project import ProjectRole
from zentry_web.domain.projects.team import ROLE_TITLES
from zentry_web.web.input.forms import BaseForm, CreditsField


class AlertsField(StringField):
    """Percentages typed with commas; ``percents`` is what they mean."""

    percents: tuple[int, ...] = ()

    def post_validate(self, form: object, validation_stopped: bool) -> None:
        """Read them."""
        try:
            self.percents = parse_alerts(self.data)
        except ValueError as error:
            raise ValidationError(str(error)) from None


class ProjectForm(BaseForm):
    name = StringField(lazy("Name"), validators=[InputRequired(lazy("Give the project a name.")), Length(max=60)])


class SettingsForm(BaseForm):
    name = StringField(lazy("Name"), validators=[InputRequired(lazy("Give the project a name.")), Length(max=60)])
    description = TextAreaField(lazy("Description"))
    colour = RadioField(lazy("Colour"), choices=[], validate_choice=False, default="")

    labels = TextAreaField(lazy("Labels"))

    @property
    def values(self) -> dict[str, object]:
        """What ProjectSettings.update takes."""
        return {name: self.text(name) for name in ("name", "description", "colour", "labels")}


class InviteForm(BaseForm):
    """Which roles may be given is the service's to say; ``choices`` are those offered."""

    email = EmailField(lazy("E-mail"), validators=[InputRequired(lazy("Enter an e-mail address.")), Length(max=254)])
    role = RadioField(
        lazy("Role"), validators=[InputRequired(lazy("Choose a role."))], choices=[], validate_choice=False
    )
    choices: Sequence[dict[str, str]] = ()

    def offer(self, roles: Sequence[ProjectRole], words: Mapping[ProjectRole, str]) -> None:
        """Set what can be chosen; the mildest is chosen until the person chooses."""
        self.choices = [{"value": role, "title": ROLE_TITLES[role], "text": words[role]} for role in roles]
        if not self.role.data and roles:
            self.role.data = roles[-1]


class DeleteProjectForm(BaseForm):
    confirm = StringField(lazy("Name"), validators=[InputRequired(lazy("Type the name to confirm."))])


class BudgetForm(BaseForm):
    fields_of_service: ClassVar = {"amount_micro": "amount"}

    amount = CreditsField(lazy("Each month"), validators=[Optional()])
    alerts = AlertsField(lazy("Tell me at"), validators=[Length(max=100)])
    hard_cap = BooleanField(lazy("Refuse what would pass it"))
