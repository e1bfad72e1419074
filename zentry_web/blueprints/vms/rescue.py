"""Booting the rescue system in the place of a machine's own, and its own again."""

from flask import make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.vms.operation import OperationKind
from zentry_web.domain.vms.state import state_words
from zentry_web.domain.vms.vm import VM
from zentry_web.services.errors import ConflictError
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.flash import success
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.route("/<vm_id>/rescue", methods=["GET", "POST"])
def rescue(vm_id: str) -> ResponseReturnValue:
    """Order it, after a question; the answer shows the password, this once."""
    vms, actor = services().vms, current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.LAUNCH)
    if request.method == "POST":
        password = vms.rescuing.request(vm_id, me(), actor=actor)
        response = make_response(render_template("vms/rescued.html", vm=vm, password=password))
        response.headers["Cache-Control"] = "no-store"
        return response
    _require(vm, OperationKind.RESCUE, is_in_rescue=False)
    text = _(
        "It is switched off and boots a small rescue system, from which its disk can be looked at and mended; its own "
        "system does not run meanwhile. Your SSH keys let in, and a password that is shown once. What it costs stays "
        "as it is."
    )
    title, back = _("Boot %(name)s into rescue?", name=vm.name), url_for("vms.show", vm_id=vm_id)
    return ask(Question(title, text, _("Rescue"), back, "vms", icon="lifebuoy"))


@blueprint.route("/<vm_id>/leave_rescue", methods=["GET", "POST"])
def leave_rescue(vm_id: str) -> ResponseReturnValue:
    """Boot as before, after a question."""
    vms, actor, back = services().vms, current_actor(), url_for("vms.show", vm_id=vm_id)
    if request.method == "POST":
        vms.rescuing.leave(vm_id, actor=actor)
        success(_("Leaving rescue is ordered."))
        return redirect(back, 303)
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.LAUNCH)
    _require(vm, OperationKind.UNRESCUE, is_in_rescue=True)
    text = _("Its own system boots again. What is only in the memory of the rescue system is lost.")
    title = _("Leave the rescue of %(name)s?", name=vm.name)
    return ask(Question(title, text, _("Leave rescue"), back, "vms", icon="lifebuoy"))


def _require(vm: VM, kind: OperationKind, *, is_in_rescue: bool) -> None:
    if not vm.may(kind):
        state = state_words(vm.state)
        raise ConflictError(_("%(name)s is %(state)s: that cannot be done now.", name=vm.name, state=state))
    if (vm.rescued_at is not None) != is_in_rescue:
        text = _("%(name)s is not in rescue.") if is_in_rescue else _("%(name)s is in rescue already.")
        raise ConflictError(text % {"name": vm.name})
