"""Starting, stopping, restarting a machine, and cutting its power."""

import json

from flask import Response, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.blueprints.vms.view import status_context
from zentry_web.domain.language import _, lazy
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.vms.operation import Operation, OperationKind
from zentry_web.domain.vms.state import state_words
from zentry_web.domain.vms.undo import UNDOABLE
from zentry_web.domain.vms.vm import VM
from zentry_web.services.errors import ConflictError, PriceChangedError
from zentry_web.web.errors import error_text
from zentry_web.web.input.forms import price_field, rates_shown
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import is_htmx
from zentry_web.web.output.regions import credits_text
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor

ORDERED = {
    "start": lazy("The start is ordered."),
    "stop": lazy("The stop is ordered: the guest is asked to shut down."),
    "reboot": lazy("The reboot is ordered."),
    "suspend": lazy("The suspend is ordered."),
    "resume": lazy("The resume is ordered."),
}


@blueprint.route("/<vm_id>/<any(start, stop, reboot, suspend, resume):action>", methods=["GET", "POST"])
def act(vm_id: str, action: str) -> ResponseReturnValue:
    """Order one of these; opened, it asks. A start at another price than was shown asks again."""
    vms, actor = services().vms, current_actor()
    if request.method != "POST":
        return ask(_question(vms.get_vm(vm_id, actor=actor, action=ProjectAction.OPERATE), OperationKind(action)))
    if action == "start":
        try:
            done = vms.start_vm(vm_id, actor=actor, shown=rates_shown(request.form.get("shown_price")))
        except PriceChangedError as error:
            return _in_dialog(ask(_at_this_price(vms.get_vm(vm_id, actor=actor), error), 409))
    else:
        orders = {"stop": vms.stop_vm, "reboot": vms.reboot_vm, "suspend": vms.suspend_vm, "resume": vms.resume_vm}
        done = orders[action](vm_id, actor=actor)
    _tell(str(ORDERED[action]), done)
    if is_htmx() and "row" in request.form:  # from the menu of a row: the list stays, its row is fetched
        return Response(headers={"HX-Trigger": json.dumps({"moved": {"topics": [f"vm:{vm_id}", "vms"]}})})
    if is_htmx():
        return render_template("vms/_moving.html", **status_context(vm_id))
    return redirect(url_for("vms.show", vm_id=vm_id), 303)


def _tell(text: str, done: Operation) -> None:
    """That it was ordered, with the way to its steps and, where it can be undone, to that."""
    undo = services().vms.undo.find_offer(done.vm_id, actor=current_actor()) if f"vm.{done.kind}" in UNDOABLE else ""
    success(text, _("Steps"), url_for("operations.show", operation_id=done.id), undo=undo)


def _in_dialog(answer: ResponseReturnValue) -> ResponseReturnValue:
    """A question that a row's menu led to: beside the list, not in its place."""
    response = make_response(answer)
    if is_htmx() and "row" in request.form:
        response.headers.update({"HX-Retarget": "#z-dialog-body", "HX-Reswap": "innerHTML"})
    return response


@blueprint.route("/<vm_id>/force_off", methods=["GET", "POST"])
def force_off(vm_id: str) -> ResponseReturnValue:
    """Cut the power, after a question."""
    vms, actor, back = services().vms, current_actor(), url_for("vms.show", vm_id=vm_id)
    if request.method == "POST":
        done = vms.force_off_vm(vm_id, actor=actor)
        _tell(_("Force off is ordered."), done)
        return redirect(back, 303)
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.OPERATE)
    if not vm.may(OperationKind.FORCE_OFF):
        raise ConflictError(_("%(name)s is %(state)s: it cannot be forced off now.", **_as_it_is(vm)))
    text = _(
        "Like pulling the plug: the guest is not asked, and what it has not written to its disk is lost. "
        "Off, it goes on costing %(credits)s credits per hour for its disk.",
        credits=credits_text(vm.stopped_micro_per_hour),
    )
    return ask(Question(_("Force %(name)s off?", name=vm.name), text, _("Force off"), back, "vms", icon="power"))


@blueprint.route("/<vm_id>/reset", methods=["GET", "POST"])
def reset(vm_id: str) -> ResponseReturnValue:
    """Press its reset button, after a question."""
    vms, actor, back = services().vms, current_actor(), url_for("vms.show", vm_id=vm_id)
    if request.method == "POST":
        done = vms.reset_vm(vm_id, actor=actor)
        _tell(_("The reset is ordered."), done)
        return redirect(back, 303)
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.OPERATE)
    if not vm.may(OperationKind.RESET):
        raise ConflictError(_("%(name)s is %(state)s: it cannot be reset now.", **_as_it_is(vm)))
    text = _(
        "Like pressing its reset button: it boots anew at once, the guest is not asked, and what it has not written to "
        "its disk is lost. Reboot asks the guest."
    )
    return ask(Question(_("Reset %(name)s?", name=vm.name), text, _("Reset"), back, "vms", icon="bolt"))


def _question(vm: VM, kind: OperationKind) -> Question:
    """What is asked before an order that did not come from the machine's own page."""
    if not vm.may(kind):
        raise ConflictError(_("%(name)s is %(state)s: that cannot be done now.", **_as_it_is(vm)))
    back = url_for("vms.show", vm_id=vm.id)
    if kind == OperationKind.START:
        price = credits_text(vm.running_micro_per_hour)
        text = _("Running, it costs %(credits)s credits per hour.", credits=price)
        title = _("Start %(name)s?", name=vm.name)
        return Question(title, text, _("Start"), back, "vms", _price_of(vm), False, "player-play")
    if kind == OperationKind.STOP:
        text = _(
            "The guest is asked to shut down. Stopped, it goes on costing %(credits)s credits per hour for its disk.",
            credits=credits_text(vm.stopped_micro_per_hour),
        )
        return Question(_("Stop %(name)s?", name=vm.name), text, _("Stop"), back, "vms", {}, False, "player-stop")
    if kind == OperationKind.REBOOT:
        text = _("The guest is asked to restart. It is away for a moment and goes on costing what it costs.")
        return Question(_("Reboot %(name)s?", name=vm.name), text, _("Reboot"), back, "vms", {}, False, "rotate")
    if kind == OperationKind.SUSPEND:
        text = _("It stands still with its memory until it is resumed, and costs what it costs running.")
        title = _("Suspend %(name)s?", name=vm.name)
        return Question(title, text, _("Suspend"), back, "vms", {}, False, "player-pause")
    text = _("It goes on where it stood still, and costs what it costs.")
    return Question(_("Resume %(name)s?", name=vm.name), text, _("Resume"), back, "vms", {}, False, "player-play")


def _as_it_is(vm: VM) -> dict[str, str]:
    """What a refusal says of it."""
    return {"name": vm.name, "state": state_words(vm.state)}


def _price_of(vm: VM) -> dict[str, str]:
    return {"shown_price": price_field(vm.rates)}


def _at_this_price(vm: VM, error: PriceChangedError) -> Question:
    button = _("Start: %(credits)s/h", credits=credits_text(vm.running_micro_per_hour))
    back = url_for("vms.show", vm_id=vm.id)
    title = _("Start %(name)s?", name=vm.name)
    return Question(title, error_text(error), button, back, "vms", _price_of(vm), False, "player-play")
