"""For admins: settings of the whole installation, each on a page of its own."""

from typing import Any

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import HiddenField, IntegerField, SelectField, StringField, TextAreaField
from wtforms.fields.core import Field
from wtforms.validators import InputRequired, Length

from zentry_web.blueprints.admin.forms import ConfirmForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.money import format_credits
from zentry_web.domain.quota import as_typed
from zentry_web.domain.setting import Definition, Setting, SettingKind, SettingValue, show_setting
from zentry_web.services.settings import Settings
from zentry_web.web.actor import current_actor
from zentry_web.web.flash import success
from zentry_web.web.forms import BaseForm, CreditsField, SelectChoice, number_of
from zentry_web.web.htmx import go_to
from zentry_web.web.services import services


class SettingForm(BaseForm):
    """``setting_form`` adds the field of the setting's kind."""

    version = HiddenField(validators=[Length(max=20)])

    @property
    def seen(self) -> int:
        """The version that the person saw."""
        return number_of(self.text("version"))


@blueprint.get("/settings")
def settings() -> ResponseReturnValue:
    """What holds, and who set it."""
    found = _service().list_settings(actor=current_actor())
    return render_template("admin/settings.html", settings=found, show=show_setting)


@blueprint.route("/settings/<setting_key>", methods=["GET", "POST"])
def setting(setting_key: str) -> ResponseReturnValue:
    """One of them, and what it was before."""
    service, actor = _service(), current_actor()
    found = service.get_setting(setting_key, actor=actor)
    form = setting_form(found)
    if request.method == "POST" and form.submit(
        lambda: service.change(setting_key, _typed(form, found.definition), form.seen, actor=actor)
    ):
        success(f"“{found.definition.title}” is changed, for everybody and at once.")
        return go_to(url_for("admin.settings"))
    return _page(found, form)


@blueprint.post("/settings/<setting_key>/reset")
def reset_setting(setting_key: str) -> ResponseReturnValue:
    """Back to the default."""
    service, actor = _service(), current_actor()
    found = service.get_setting(setting_key, actor=actor)
    form = setting_form(found)
    asked = ConfirmForm()
    if asked.submit(lambda: service.reset(setting_key, form.seen, actor=actor)):
        success(f"“{found.definition.title}” is as it is by default.")
        return go_to(url_for("admin.settings"))
    again = setting_form(found, fresh=True)
    again.form_errors, again.status = list(asked.form_errors), asked.status
    return _page(found, again)


def setting_form(found: Setting, *, fresh: bool = False) -> SettingForm:
    """The form with the one field; ``fresh``: not with what this request brought."""

    class Form(SettingForm):
        value = _field(found.definition)

    data = {"value": _plain(found.definition, found.value), "version": str(found.version)}
    return Form(formdata=None, data=data) if fresh else Form(data=data)


def _field(definition: Definition) -> Field:
    if definition.kind == SettingKind.CREDITS:
        return CreditsField(definition.title, validators=[InputRequired("Enter an amount.")])
    if definition.kind == SettingKind.NUMBER:
        return IntegerField(definition.title, validators=[InputRequired("Enter a whole number.")])
    if definition.kind == SettingKind.LIMIT:
        needed = InputRequired("Enter a number, or “none” for no limit.")
        return StringField(definition.title, validators=[needed, Length(max=30)])
    if definition.kind == SettingKind.CHOICE:
        choices = [SelectChoice(value, text) for value, text in definition.choices]
        return SelectField(definition.title, choices=choices, validators=[InputRequired("Choose one of these.")])
    return TextAreaField(definition.title, validators=[Length(max=30_000)])


def _plain(definition: Definition, value: SettingValue) -> Any:
    if isinstance(value, tuple):
        return "\n".join(value)
    if definition.kind == SettingKind.CREDITS and isinstance(value, int):
        return format_credits(value).replace(",", "")
    if (resource := definition.resource) is not None:
        return as_typed(resource, {resource: value if isinstance(value, int) else None})
    return value


def _typed(form: SettingForm, definition: Definition) -> object:
    field = form["value"]
    return field.micro if definition.kind == SettingKind.CREDITS else field.data


def _page(found: Setting, form: SettingForm) -> ResponseReturnValue:
    history = _service().list_history(found.key, actor=current_actor())
    shown = {"setting": found, "form": form, "history": history, "show": show_setting}
    return render_template("admin/setting.html", **shown), form.status


def _service() -> Settings:
    return services().get_billing_service().settings
