"""The labels of a machine."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import LabelsForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.label import written
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.route("/<vm_id>/labels", methods=["GET", "POST"])
def labels(vm_id: str) -> ResponseReturnValue:
    """See and change them, all at once."""
    vms, actor = services().vms, current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.LABEL)
    form = LabelsForm(data={"labels": written(vms.labels.get(vm_id, actor=actor))})
    if request.method == "POST" and form.submit(lambda: vms.labels.set(vm_id, form.text("labels"), actor=actor)):
        success(_("The labels of %(name)s are saved.", name=vm.name), undo=vms.undo.find_offer(vm_id, actor=actor))
        return go_to(url_for("vms.show", vm_id=vm_id))
    return render_template("vms/labels.html", vm=vm, form=form), form.status
