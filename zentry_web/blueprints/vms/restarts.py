"""Whether a machine that went off unasked is started again by itself."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import RestartForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.route("/<vm_id>/restarts", methods=["GET", "POST"])
def restarts(vm_id: str) -> ResponseReturnValue:
    """Choose when; 'never' also calls off a start that waits."""
    outages, actor = services().vms.outages, current_actor()
    vm = services().vms.get_vm(vm_id, actor=actor, action=ProjectAction.RESIZE)
    chosen, _newest = outages.find(vm_id, actor=actor)
    form = RestartForm(data={"restart": chosen})
    if request.method == "POST" and form.submit(lambda: outages.choose(vm_id, form.text("restart"), actor=actor)):
        success(_("That is how %(name)s is started again from now on.", name=vm.name))
        return go_to(url_for("vms.settings", vm_id=vm_id))
    return render_template("vms/restarts.html", vm=vm, form=form), form.status
