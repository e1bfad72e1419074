"""What is done with a machine at set times."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import TimerForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.filters import moment
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.get("/<vm_id>/timers")
def timers(vm_id: str) -> ResponseReturnValue:
    """All of them, the next first."""
    vms, actor = services().vms, current_actor()
    vm = vms.payer.with_funds(vms.get_vm(vm_id, actor=actor))
    return render_template("vms/timers.html", vm=vm, timers=vms.timers.list(vm_id, actor=actor))


@blueprint.route("/<vm_id>/timers/new", methods=["GET", "POST"])
def add_timer(vm_id: str) -> ResponseReturnValue:
    """Set a time."""
    vms, actor = services().vms, current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.OPERATE)
    form = TimerForm()
    if request.method == "POST" and form.submit(lambda: vms.timers.add(vm_id, form.typed, actor=actor)):
        success(_("Scheduled: next at %(moment)s.", moment=moment(form.result.next_at)))
        return go_to(url_for("vms.timers", vm_id=vm_id))
    return render_template("vms/timer_new.html", vm=vm, form=form), form.status


@blueprint.route("/<vm_id>/timers/<timer_id>/remove", methods=["GET", "POST"])
def remove_timer(vm_id: str, timer_id: str) -> ResponseReturnValue:
    """Not any more, after a question."""
    vms, actor = services().vms, current_actor()
    vm, back = vms.get_vm(vm_id, actor=actor), url_for("vms.timers", vm_id=vm_id)
    timer = vms.timers.get(vm_id, timer_id, actor=actor)
    if request.method == "POST":
        vms.timers.remove(vm_id, timer_id, actor=actor)
        success(_("The scheduled action is removed."))
        return go_to(back)
    title = _("Remove this scheduled action of %(name)s?", name=vm.name)
    return ask(Question(title, str(timer.words), _("Remove"), back, "vms", icon="trash"))


@blueprint.post("/<vm_id>/timers/<timer_id>/extend")
def extend_timer(vm_id: str, timer_id: str) -> ResponseReturnValue:
    """Its deletion comes a week later."""
    later = services().vms.timers.extend(vm_id, timer_id, actor=current_actor())
    success(_("Put off to %(moment)s.", moment=moment(later)))
    return redirect(url_for("vms.timers", vm_id=vm_id), 303)
