"""Making a machine anew from an image, and bringing back the disk that it had before."""

from dataclasses import replace
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import RebuildForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.vms.plan import rebuild_facts
from zentry_web.domain.vms.rebuild import ImageChoice
from zentry_web.domain.vms.vm import VM
from zentry_web.services.errors import ConflictError
from zentry_web.web.input.forms import rates_shown
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor, me


@blueprint.route("/<vm_id>/rebuild", methods=["GET", "POST"])
def rebuild(vm_id: str) -> ResponseReturnValue:
    """Choose an image; ordered, the machine's page shows the steps."""
    vms, actor = services().vms, current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.DELETE_VM)
    choices = vms.rebuilding.list_choices(vm_id, actor=actor)
    keys = services().users.ssh_keys.list_keys(me().id, actor=actor)
    form = RebuildForm()
    form.offer(choices, keys)
    if request.method == "POST":
        shown = rates_shown(request.form.get(f"price-{form.text('image_id')}"))
        plan = form.plan_shown
        if form.submit(lambda: vms.rebuilding.request(vm_id, form.wanted, me(), actor=actor, shown=shown, plan=plan)):
            success(_("The rebuild is ordered."), undo=vms.undo.find_offer(vm_id, actor=actor))
            return go_to(url_for("vms.show", vm_id=vm_id))
    shown_plan = _plan(vm, choices, form.text("image_id"))
    return render_template("vms/rebuild.html", vm=vm, form=form, choices=choices, keys=keys, **shown_plan), form.status


@blueprint.get("/<vm_id>/rebuild/plan")
def rebuild_plan(vm_id: str) -> ResponseReturnValue:
    """What becomes of it with the chosen image: the part of the page that moves while choosing."""
    vms, actor = services().vms, current_actor()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.DELETE_VM)
    choices = vms.rebuilding.list_choices(vm_id, actor=actor)
    return render_template("vms/_rebuild_plan.html", vm=vm, **_plan(vm, choices, request.args.get("image_id", "")))


def _plan(vm: VM, choices: list[ImageChoice], image_id: str) -> dict[str, Any]:
    chosen = next((each for each in choices if each.image.id == image_id and not each.problem), None)
    if chosen is None:
        return {"chosen": None, "plan": None}
    rates = chosen.rates
    becomes = replace(vm, running_micro_per_hour=rates.running, stopped_micro_per_hour=rates.stopped)
    facts = rebuild_facts(vm, chosen.image, rates)
    plan = services().vms.planning.compare([vm], [becomes], facts, actor=current_actor())
    return {"chosen": chosen, "plan": plan}


@blueprint.route("/<vm_id>/bring_back", methods=["GET", "POST"])
def bring_back(vm_id: str) -> ResponseReturnValue:
    """Have the disk again that was there before the last rebuild, after a question."""
    vms, actor, back = services().vms, current_actor(), url_for("vms.show", vm_id=vm_id)
    if request.method == "POST":
        vms.rebuilding.request_back(vm_id, actor=actor)
        success(_("The disk from before is on its way back."))
        return redirect(back, 303)
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.DELETE_VM)
    aside = vms.rebuilding.find_aside(vm_id, actor=actor)
    if aside is None:
        raise ConflictError(_("The disk from before is not kept any more."))
    text = _(
        "The machine gets back the disk that it had, with %(image)s, its keys and its user data. What was written "
        "since then is lost.",
        image=aside.image_name,
    )
    title, button = _("Bring back the disk of %(name)s?", name=vm.name), _("Bring it back")
    return ask(Question(title, text, button, back, "vms", icon="arrow-back-up"))
