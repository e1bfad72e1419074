"""For admins: machines that only the hypervisor has; each can be taken into a project or removed."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue
from wtforms import SelectField, StringField
from wtforms.validators import InputRequired, Length

from zentry_web.blueprints.admin.routes import blueprint
from zentry_web.domain.language import _, lazy
from zentry_web.domain.vms.catalogue import Size
from zentry_web.domain.vms.stray import Stray
from zentry_web.web.input.forms import BaseForm
from zentry_web.web.input.paging import here, last_key, pages, rows_asked, text_argument
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


class AdoptForm(BaseForm):
    project_id = StringField(
        lazy("Project"), validators=[InputRequired(lazy("Say into which project.")), Length(max=40)]
    )
    name = StringField(lazy("Name"), validators=[InputRequired(lazy("Give it a name.")), Length(max=63)])
    size_id = SelectField(lazy("Size"), validate_choice=False, validators=[InputRequired(lazy("Choose a size."))])


@blueprint.get("/system/strays")
def strays() -> ResponseReturnValue:
    """Machines that nobody owns."""
    before = text_argument("before") or None
    found = services().vms.strays.list_strays(actor=current_actor(), before=before, limit=rows_asked())
    return render_template("admin/strays.html", strays=found, this_url=here(), **pages(last_key(found, "vm_id")))


@blueprint.route("/system/strays/<stray_id>/remove", methods=["GET", "POST"])
def remove_stray(stray_id: str) -> ResponseReturnValue:
    """Have one removed with its disk."""
    service, actor = services().vms.strays, current_actor()
    if request.method == "GET":
        found = service.get(stray_id, actor=actor)
        text = _(
            "%(machine)s is powered off and removed with its disk and all that is on it. "
            "If another Zentry made it, it is that one’s machine. This cannot be undone.",
            machine=found.vm_id,
        )
        title = _("Remove %(name)s?", name=found.name or found.vm_id)
        return ask(Question(title, text, _("Remove"), url_for("admin.strays"), "admin.system", icon="trash"))
    service.ask_removal(stray_id, actor=actor)
    success(_("The machine is removed in the worker’s next round."))
    return go_to(url_for("admin.strays"))


@blueprint.route("/system/strays/<stray_id>/adopt", methods=["GET", "POST"])
def adopt_stray(stray_id: str) -> ResponseReturnValue:
    """Take one into a project."""
    service, actor = services().vms.strays, current_actor()
    found = service.get(stray_id, actor=actor)
    sizes = service.fitting_sizes(found)
    form = _form(found, sizes)
    if form.is_submitted() and form.submit(
        lambda: service.adopt(
            stray_id, form.text("project_id").strip(), form.text("name"), form.text("size_id"), actor=actor
        )
    ):
        success(_("%(machine)s belongs to %(owner)s now.", machine=form.result.name, owner=form.result.owner_email))
        return go_to(url_for("vms.show", vm_id=stray_id))
    return render_template("admin/adopt.html", form=form, stray=found, sizes=sizes), form.status


def _form(found: Stray, sizes: list[Size]) -> AdoptForm:
    form = AdoptForm(data={"name": found.name or ""})
    form.size_id.choices = [(size.id, size.name) for size in sizes]
    return form
