"""Forms about what was deleted."""

from wtforms import StringField
from wtforms.validators import InputRequired, Length

from zentry_web.web.forms import BaseForm


class RestoreForm(BaseForm):
    name = StringField("Name", validators=[InputRequired("Give it a name."), Length(max=63)])


class PurgeForm(BaseForm):
    confirm_name = StringField("Name", validators=[InputRequired("Type the name to confirm.")])


class RestoreProjectForm(BaseForm):
    name = StringField("Name", validators=[InputRequired("Give it a name."), Length(max=60)])


class PurgeProjectForm(BaseForm):
    confirm = StringField("Name", validators=[InputRequired("Type the name to confirm.")])
