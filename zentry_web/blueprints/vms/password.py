"""A new password for a user of a machine's guest, which the agent in it sets."""

from flask import make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.vms.obstacles import obstacles
from zentry_web.services.errors import ConflictError
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.route("/<vm_id>/password", methods=["GET", "POST"])
def password(vm_id: str) -> ResponseReturnValue:
    """Order it, after a question; the answer shows the password, this once."""
    vms, actor = services().vms, current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.LAUNCH)
    user = request.values.get("user") or "root"
    if request.method == "POST":
        fresh = vms.passwords.request(vm_id, user, actor=actor)
        response = make_response(render_template("vms/password.html", vm=vm, user=user, password=fresh))
        response.headers["Cache-Control"] = "no-store"
        return response
    if reason := obstacles(vm)["password"]:
        raise ConflictError(reason)
    user = user if user in vm.users else "root"
    text = _(
        "The agent in its guest sets it while the machine goes on, and the current password stops working. Zentry "
        "makes the new one and shows it once."
    )
    title = _("New password for %(user)s on %(name)s?", user=user, name=vm.name)
    fields, back = {"user": user}, url_for("vms.show", vm_id=vm_id)
    return ask(Question(title, text, _("New password"), back, "vms", fields, is_dangerous=False, icon="password"))
