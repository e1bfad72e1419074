"""Forms about what was deleted."""

from wtforms import HiddenField, StringField
from wtforms.validators import InputRequired, Length

from zentry_web.domain.language import lazy
from zentry_web.web.input.forms import BaseForm, PricedForm


class RestoreForm(PricedForm):
    name = StringField(lazy("Name"), validators=[InputRequired(lazy("Give it a name.")), Length(max=63)])


class PurgeForm(BaseForm):
    confirm_name = StringField(lazy("Name"), validators=[InputRequired(lazy("Type the name to confirm."))])


class RestoreProjectForm(PricedForm):
    name = StringField(lazy("Name"), validators=[InputRequired(lazy("Give it a name.")), Length(max=60)])


class PurgeProjectForm(BaseForm):
    confirm = StringField(lazy("Name"), validators=[InputRequired(lazy("Type the name to confirm."))])


class BinBulkForm(PricedForm):
    """Several machines at once; ``vms`` holds what is said of the choice itself."""

    vms = HiddenField()
    confirm = StringField(lazy("Confirm"))
