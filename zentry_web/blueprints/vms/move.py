"""Moving a machine into another project of its owner."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import MoveForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.vms.plan import facts_of
from zentry_web.web.input.forms import SelectChoice
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.route("/<vm_id>/move", methods=["GET", "POST"])
def move(vm_id: str) -> ResponseReturnValue:
    """Choose another project."""
    vms, actor = services().vms, current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.DELETE_VM)
    targets, form = vms.moving.list_targets(vm_id, actor=actor), MoveForm()
    form.project_id.choices = [SelectChoice("", _("Choose…"))] + [SelectChoice(each.id, each.name) for each in targets]
    if request.method == "POST" and form.submit(
        lambda: vms.moving.move(vm_id, form.text("project_id"), actor=actor, plan=form.plan_shown)
    ):
        name = next((each.name for each in targets if each.id == form.project_id.data), vm.project_name)
        undo = vms.undo.find_offer(vm_id, actor=actor)
        success(_("%(name)s is in %(project)s now.", name=vm.name, project=name), undo=undo)
        return go_to(url_for("vms.show", vm_id=vm_id))
    plan = vms.planning.compare([vm], [vm], facts_of(vm), actor=actor)
    return render_template("vms/move.html", vm=vm, form=form, targets=targets, plan=plan), form.status
