"""Forms about projects."""

from wtforms import StringField
from wtforms.validators import InputRequired, Length

from zentry_web.web.forms import BaseForm


class ProjectForm(BaseForm):
    name = StringField("Name", validators=[InputRequired("Give the project a name."), Length(max=60)])


class DeleteForm(BaseForm):
    confirm = StringField("Name", validators=[InputRequired("Type the name to confirm.")])
