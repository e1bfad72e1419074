"""Forms about virtual machines."""

from typing import Any

from wtforms import HiddenField, RadioField, SelectField, SelectMultipleField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from zentry_web.domain.project import Project
from zentry_web.domain.ssh_key import SshKey
from zentry_web.domain.vm import Image, Size
from zentry_web.web.forms import BaseForm, SelectChoice, as_key, without_nul


class LaunchForm(BaseForm):
    """Choices are not checked here: a size withdrawn meanwhile is VMService's to refuse, with its reason."""

    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[as_key])
    name = StringField("Name", validators=[InputRequired("Give the machine a name."), Length(max=63)])
    project_id = SelectField(
        "Project",
        validators=[InputRequired("Choose a project.")],
        choices=[],
        validate_choice=False,
        filters=[without_nul],
    )
    size_id = RadioField(
        "Size",
        validators=[InputRequired("Choose a size.")],
        choices=[],
        validate_choice=False,
        filters=[without_nul],
    )
    image_id = RadioField(
        "Image",
        validators=[InputRequired("Choose an image.")],
        choices=[],
        validate_choice=False,
        filters=[without_nul],
    )
    ssh_key_ids = SelectMultipleField("Your SSH keys", choices=[], validate_choice=False)
    ssh_key = TextAreaField("SSH public key", validators=[Optional(), Length(max=8192)])
    user_data = TextAreaField("User data", validators=[Optional()])
    labels = StringField("Labels", validators=[Optional()], filters=[without_nul])

    def offer(self, projects: list[Project], sizes: list[Size], images: list[Image], keys: list[SshKey]) -> None:
        """Set what can be chosen; the first of each and every key are chosen until the person chooses."""
        self.ssh_key_ids.choices = [SelectChoice(key.id, key.name) for key in keys]
        if not self.is_submitted():
            self.ssh_key_ids.data = [key.id for key in keys]
        self.project_id.choices = [SelectChoice(project.id, project.name) for project in projects]
        for field, options in ((self.project_id, projects), (self.size_id, sizes), (self.image_id, images)):
            if not field.data and options:
                field.data = options[0].id

    @property
    def vm_data(self) -> dict[str, Any]:
        """What VMService.create_vm takes."""
        fields = ("project_id", "name", "size_id", "image_id", "ssh_key", "user_data", "labels")
        return {name: self[name].data or "" for name in fields} | {"ssh_key_ids": self.ssh_key_ids.data or []}


class LabelsForm(BaseForm):
    labels = TextAreaField("Labels", filters=[without_nul])


class MoveForm(BaseForm):
    project_id = SelectField(
        "Project",
        validators=[InputRequired("Choose a project.")],
        choices=[],
        validate_choice=False,
        filters=[without_nul],
    )


class BulkForm(BaseForm):
    """What a change of several machines needs; ``vms`` holds what is said of the choice itself."""

    vms = HiddenField()
    labels = StringField("Labels", filters=[without_nul])
    project_id = SelectField("Project", choices=[], validate_choice=False, filters=[without_nul])
    confirm = StringField("Confirm", filters=[without_nul])

    def offer(self, projects: list[Project]) -> None:
        """Set into which projects machines can be moved."""
        targets = [SelectChoice(each.id, each.name) for each in projects]
        self.project_id.choices = [SelectChoice("", "Choose…"), *targets]


class ResizeForm(BaseForm):
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[as_key])
    size_id = RadioField(
        "Size",
        validators=[InputRequired("Choose a size.")],
        choices=[],
        validate_choice=False,
        filters=[without_nul],
    )


class DeleteForm(BaseForm):
    confirm_name = StringField("Name", validators=[InputRequired("Type the name to confirm.")])
