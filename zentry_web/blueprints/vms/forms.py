"""Forms about virtual machines."""

from typing import Any

from wtforms import (
    BooleanField,
    DateTimeLocalField,
    HiddenField,
    RadioField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import InputRequired, Length, Optional

from zentry_web.domain.language import _, lazy
from zentry_web.domain.people.ssh_key import SshKey
from zentry_web.domain.projects.project import Project
from zentry_web.domain.vms.catalogue import Image, Size
from zentry_web.domain.vms.outage import RESTARTS
from zentry_web.domain.vms.rebuild import ImageChoice
from zentry_web.domain.vms.schedule import Schedule
from zentry_web.domain.vms.timer import ACTIONS, REPEATS
from zentry_web.web.input.forms import BaseForm, PlannedForm, PricedForm, SelectChoice, as_key


class LaunchForm(PricedForm):
    """Choices are not checked here: a size withdrawn meanwhile is VMService's to refuse, with its reason."""

    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[as_key])
    name = StringField(lazy("Name"), validators=[InputRequired(lazy("Give the machine a name.")), Length(max=63)])
    project_id = SelectField(
        lazy("Project"),
        validators=[InputRequired(lazy("Choose a project."))],
        choices=[],
        validate_choice=False,
    )
    size_id = RadioField(
        lazy("Size"),
        validators=[InputRequired(lazy("Choose a size."))],
        choices=[],
        validate_choice=False,
    )
    image_id = RadioField(
        lazy("Image"),
        validators=[InputRequired(lazy("Choose an image."))],
        choices=[],
        validate_choice=False,
    )
    snapshot_id = HiddenField(validators=[Length(max=40)])
    backup_id = HiddenField(validators=[Length(max=40)])
    count = StringField(lazy("How many"), default="1", validators=[Optional(), Length(max=10)])
    ssh_key_ids = SelectMultipleField(lazy("Your SSH keys"), choices=[], validate_choice=False)
    ssh_key = TextAreaField(lazy("SSH public key"), validators=[Optional(), Length(max=8192)])
    key_name = StringField(lazy("Keep it as"), validators=[Optional(), Length(max=100)])
    user_data = TextAreaField(lazy("User data"), validators=[Optional()])
    labels = StringField(lazy("Labels"), validators=[Optional()])

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
        fields = ("project_id", "name", "size_id", "image_id", "ssh_key", "user_data", "labels", "count")
        sources = ("snapshot_id", "backup_id")
        return {name: self[name].data or "" for name in fields + sources} | {"ssh_key_ids": self.ssh_key_ids.data or []}


class LabelsForm(BaseForm):
    labels = TextAreaField(lazy("Labels"))


class RenameForm(BaseForm):
    name = StringField(lazy("Name"), validators=[InputRequired(lazy("Give the machine a name.")), Length(max=63)])


class SnapshotForm(BaseForm):
    name = StringField(lazy("Name"), validators=[InputRequired(lazy("Give it a name.")), Length(max=60)])
    note = TextAreaField(lazy("Note"), validators=[Length(max=500)])


class BackupForm(SnapshotForm):
    """A name, and what it is good for."""


class RevertForm(PlannedForm):
    """The question before a revert."""

    forget = BooleanField(lazy("Do not keep what it is now: there is no way back then"))


class ScheduleForm(BaseForm):
    every = SelectField(
        lazy("How often"),
        choices=[
            SelectChoice("", lazy("Never")),
            SelectChoice("hour", lazy("Every hour")),
            SelectChoice("day", lazy("Every day")),
            SelectChoice("week", lazy("Every Monday")),
            SelectChoice("month", lazy("On the first of each month")),
        ],
    )
    hour = StringField(lazy("Hour of the day"), validators=[Length(max=5)])
    keep = StringField(lazy("Keep the last"), validators=[Length(max=5)])

    @classmethod
    def showing(cls, now: Schedule | None) -> "ScheduleForm":
        """As it is; without one, what is usual."""
        every, hour, keep = (now.every.value, now.hour, now.keep) if now else ("", 3, 7)
        return cls(data={"every": every, "hour": str(hour), "keep": str(keep)})

    @property
    def typed(self) -> dict[str, object]:
        """What Schedules.set takes."""
        return {name: self.text(name) for name in ("every", "hour", "keep")}


class RestartForm(BaseForm):
    restart = SelectField(
        lazy("Started again"),
        choices=[SelectChoice(each.value, words) for each, words in RESTARTS.items()],
        validators=[InputRequired(lazy("Choose one of these."))],
        validate_choice=False,
    )


class TimerForm(BaseForm):
    action = SelectField(
        lazy("What"),
        choices=[SelectChoice(each.value, words) for each, words in ACTIONS.items()],
        validators=[InputRequired(lazy("Choose what is to be done."))],
        validate_choice=False,
    )
    first = DateTimeLocalField(
        lazy("First at"), format="%Y-%m-%dT%H:%M", validators=[InputRequired(lazy("Choose a day and a time."))]
    )
    repeat = SelectField(
        lazy("How often"), choices=[SelectChoice(each.value, words) for each, words in REPEATS.items()],
        validators=[InputRequired(lazy("Choose how often."))],
        validate_choice=False,
    )  # fmt: skip
    catches_up = BooleanField(lazy("If Zentry is away then: once it is back"), default=True)

    @property
    def typed(self) -> dict[str, object]:
        """What VMTimers.add takes."""
        return {name: self[name].data for name in ("action", "first", "repeat", "catches_up")}


class MoveForm(PlannedForm):
    project_id = SelectField(
        lazy("Project"),
        validators=[InputRequired(lazy("Choose a project."))],
        choices=[],
        validate_choice=False,
    )


class BulkForm(PlannedForm):
    """What a change of several machines needs; ``vms`` holds what is said of the choice itself."""

    vms = HiddenField()
    labels = StringField(lazy("Labels"))
    project_id = SelectField(lazy("Project"), choices=[], validate_choice=False)
    confirm = StringField(lazy("Confirm"))

    def offer(self, projects: list[Project]) -> None:
        """Set into which projects machines can be moved."""
        targets = [SelectChoice(each.id, each.name) for each in projects]
        self.project_id.choices = [SelectChoice("", _("Choose…")), *targets]


class ResizeForm(PlannedForm):
    idempotency_key = HiddenField(validators=[Length(max=100)], filters=[as_key])
    size_id = RadioField(
        lazy("Size"),
        validators=[InputRequired(lazy("Choose a size."))],
        choices=[],
        validate_choice=False,
    )


class RebuildForm(PlannedForm):
    image_id = RadioField(
        lazy("Image"),
        validators=[InputRequired(lazy("Choose an image."))],
        choices=[],
        validate_choice=False,
    )
    access = RadioField(
        lazy("Keys and user data"),
        choices=[SelectChoice("keep", lazy("Keep those it has")), SelectChoice("new", lazy("Choose anew"))],
        default="keep",
    )
    ssh_key_ids = SelectMultipleField(lazy("Your SSH keys"), choices=[], validate_choice=False)
    ssh_key = TextAreaField(lazy("SSH public key"), validators=[Optional(), Length(max=8192)])
    user_data = TextAreaField(lazy("User data"), validators=[Optional()])
    confirm_name = StringField(lazy("Name"), validators=[InputRequired(lazy("Type the name to confirm."))])

    def offer(self, choices: list[ImageChoice], keys: list[SshKey]) -> None:
        """Set what can be chosen: the machine's own image and every key, until the person chooses."""
        self.ssh_key_ids.choices = [SelectChoice(key.id, key.name) for key in keys]
        if not self.is_submitted():
            self.ssh_key_ids.data = [key.id for key in keys]
            possible = [choice for choice in choices if not choice.problem]
            chosen = next((choice for choice in possible if choice.is_current), possible[0] if possible else None)
            self.image_id.data = chosen.image.id if chosen else None

    @property
    def wanted(self) -> dict[str, Any]:
        """What VMRebuilding.request takes."""
        fields = ("image_id", "access", "ssh_key", "user_data", "confirm_name")
        return {name: self[name].data or "" for name in fields} | {"ssh_key_ids": self.ssh_key_ids.data or []}


class RecoverForm(PlannedForm):
    confirm_name = StringField(lazy("Name"), validators=[InputRequired(lazy("Type the name to confirm."))])


class DeleteVMForm(PlannedForm):
    confirm_name = StringField(lazy("Name"), validators=[InputRequired(lazy("Type the name to confirm."))])
