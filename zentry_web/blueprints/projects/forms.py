"""Forms about projects."""

from typing import ClassVar

from wtforms import BooleanField, StringField
from wtforms.validators import InputRequired, Length, Optional, ValidationError

from zentry_web.domain.budget import parse_alerts
from zentry_web.web.forms import BaseForm, CreditsField


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
    name = StringField("Name", validators=[InputRequired("Give the project a name."), Length(max=60)])


class DeleteForm(BaseForm):
    confirm = StringField("Name", validators=[InputRequired("Type the name to confirm.")])


class BudgetForm(BaseForm):
    fields_of_service: ClassVar = {"amount_micro": "amount"}

    amount = CreditsField("Each month", validators=[Optional()])
    alerts = AlertsField("Tell me at", validators=[Length(max=100)])
    hard_cap = BooleanField("Refuse what would pass it")
