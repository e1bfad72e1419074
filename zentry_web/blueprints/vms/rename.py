"""Giving a machine another name."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import RenameForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.route("/<vm_id>/rename", methods=["GET", "POST"])
def rename(vm_id: str) -> ResponseReturnValue:
    """Choose another name."""
    vms, actor = services().vms, current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.LABEL)
    form = RenameForm(data={"name": vm.name})
    if request.method == "POST" and form.submit(lambda: vms.renaming.rename(vm_id, form.text("name"), actor=actor)):
        undo = vms.undo.find_offer(vm_id, actor=actor)
        success(_("The machine is called %(name)s now.", name=form.result), undo=undo)
        return go_to(url_for("vms.show", vm_id=vm_id))
    return render_template("vms/rename.html", vm=vm, form=form), form.status
