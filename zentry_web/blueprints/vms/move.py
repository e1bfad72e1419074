"""Moving a machine into another project of its owner."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import MoveForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.project import ProjectAction
from zentry_web.web.actor import current_actor
from zentry_web.web.flash import success
from zentry_web.web.forms import SelectChoice
from zentry_web.web.htmx import go_to, is_htmx
from zentry_web.web.services import services


@blueprint.route("/<vm_id>/move", methods=["GET", "POST"])
def move(vm_id: str) -> ResponseReturnValue:
    """Choose another project."""
    vms, actor = services().get_vm_service(), current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.DELETE_VM)
    targets, form = vms.moving.list_targets(vm_id, actor=actor), MoveForm()
    form.project_id.choices = [SelectChoice("", "Choose…")] + [SelectChoice(each.id, each.name) for each in targets]
    if request.method == "POST" and form.submit(lambda: vms.moving.move(vm_id, form.text("project_id"), actor=actor)):
        name = next((each.name for each in targets if each.id == form.project_id.data), vm.project_name)
        success(f"{vm.name} is in {name} now.")
        return go_to(url_for("vms.show", vm_id=vm_id))
    template = "vms/_move.html" if is_htmx() else "vms/move.html"
    return render_template(template, vm=vm, form=form, targets=targets), form.status
