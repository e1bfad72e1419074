"""For admins: settings of the whole installation, each on a page of its own."""

from typing import Any

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import HiddenField, SelectField, StringField, TextAreaField
from wtforms.fields.core import Field
from wtforms.validators import InputRequired, Length

from zentry_web.blueprints.admin.approvals import waiting_url
from zentry_web.blueprints.admin.forms import ConfirmForm
from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.language import _, lazy
from zentry_web.domain.money import format_credits
from zentry_web.domain.projects.quota import as_typed
from zentry_web.domain.setting import ONE_LINE, Definition, Setting, SettingKind, SettingValue, show_setting
from zentry_web.services.shared.settings import Settings
from zentry_web.web.input.forms import BaseForm, CreditsField, SelectChoice, WholeNumberField, number_of
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


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
        return go_to(
            _changed(form.result, _("“%(title)s” is changed, for everybody and at once.", title=found.definition.title))
        )
    return _page(found, form)


@blueprint.route("/settings/<setting_key>/reset", methods=["GET", "POST"])
def reset_setting(setting_key: str) -> ResponseReturnValue:
    """Back to the default."""
    if request.method == "GET":
        return ask(_reset(setting_key))
    service, actor = _service(), current_actor()
    found = service.get_setting(setting_key, actor=actor)
    form = setting_form(found)
    asked = ConfirmForm()
    if asked.submit(lambda: service.reset(setting_key, form.seen, actor=actor)):
        return go_to(_changed(asked.result, _("“%(title)s” is as it is by default.", title=found.definition.title)))
    again = setting_form(found, fresh=True)
    again.form_errors, again.status = list(asked.form_errors), asked.status
    return _page(found, again)


def _reset(setting_key: str) -> Question:
    found = _service().get_setting(setting_key, actor=current_actor())
    now, default = show_setting(found.definition, found.value), show_setting(found.definition, found.default)
    text = _("%(now)s becomes %(default)s, for everybody.", now=now, default=default)
    back, fields = url_for("admin.setting", setting_key=setting_key), {"version": str(found.version)}
    title = _("Reset “%(title)s”?", title=found.definition.title)
    return Question(title, text, _("Reset to default"), back, "admin.settings", fields)


def setting_form(found: Setting, *, fresh: bool = False) -> SettingForm:
    """The form with the one field; ``fresh``: not with what this request brought."""

    class Form(SettingForm):
        value = _field(found.definition)

    data = {"value": _plain(found.definition, found.value), "version": str(found.version)}
    return Form(formdata=None, data=data) if fresh else Form(data=data)


def _field(definition: Definition) -> Field:
    if definition.kind == SettingKind.CREDITS:
        return CreditsField(definition.title, validators=[InputRequired(lazy("Enter an amount."))])
    if definition.kind == SettingKind.NUMBER:
        return WholeNumberField(definition.title, validators=[InputRequired(lazy("Enter a whole number."))])
    if definition.kind == SettingKind.LIMIT:
        needed = InputRequired(lazy("Enter a number, or “none” for no limit."))
        return StringField(definition.title, validators=[needed, Length(max=30)])
    if definition.kind == SettingKind.CHOICE:
        choices = [SelectChoice(value, text) for value, text in definition.choices]
        return SelectField(definition.title, choices=choices, validators=[InputRequired(lazy("Choose one of these."))])
    if definition.kind == SettingKind.TEXT and definition.most <= ONE_LINE:
        return StringField(definition.title, validators=[Length(max=definition.most)])
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


def _changed(result: object, words: str) -> str:
    """Say what became of it; returns where to look at it."""
    if url := waiting_url(result):
        return url
    success(words)
    return url_for("admin.settings")


def _page(found: Setting, form: SettingForm) -> ResponseReturnValue:
    history = _service().list_history(found.key, actor=current_actor())
    shown = {"setting": found, "form": form, "history": history, "show": show_setting}
    return render_template("admin/setting.html", **shown), form.status


def _service() -> Settings:
    return services().billing.settings
