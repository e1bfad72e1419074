"""An image of a machine's own disk."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import SnapshotForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.route("/<vm_id>/image", methods=["GET", "POST"])
def make_image(vm_id: str) -> ResponseReturnValue:
    """Make one; ordered, its operation's page shows how far it is."""
    vms, actor, form = services().vms, current_actor(), SnapshotForm()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.RESIZE)
    data = {"name": form.text("name"), "note": form.text("note")}
    if request.method == "POST" and form.submit(lambda: vms.machine_images.make(vm_id, data, actor=actor)):
        success(_("The image is being made."))
        return go_to(url_for("operations.show", operation_id=form.result.id))
    gib, rate = vms.machine_images.price(vm)
    problem = vms.machine_images.problem(vm)
    return render_template("vms/image_new.html", vm=vm, form=form, gib=gib, rate=rate, problem=problem), form.status
