"""The labels of a machine."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import LabelsForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.label import written
from zentry_web.domain.project import ProjectAction
from zentry_web.web.actor import current_actor
from zentry_web.web.flash import success
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.services import services


@blueprint.route("/<vm_id>/labels", methods=["GET", "POST"])
def labels(vm_id: str) -> ResponseReturnValue:
    """See and change them, all at once."""
    vms, actor = services().get_vm_service(), current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.LABEL)
    form = LabelsForm(data={"labels": written(vms.labels.get(vm_id, actor=actor))})
    if request.method == "POST" and form.submit(lambda: vms.labels.set(vm_id, form.text("labels"), actor=actor)):
        success(f"The labels of {vm.name} are saved.")
        return go_to(url_for("vms.show", vm_id=vm_id))
    template = "vms/_labels.html" if is_htmx() else "vms/labels.html"
    return render_template(template, vm=vm, form=form), form.status
