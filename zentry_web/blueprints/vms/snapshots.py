"""A machine's snapshots: the list of them, taking, reverting, deleting."""

from dataclasses import replace

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import RevertForm, SnapshotForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.vms.plan import revert_facts
from zentry_web.domain.vms.state import VMState
from zentry_web.services.errors import ConflictError
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.output.regions import credits_text
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.get("/<vm_id>/snapshots")
def snapshots(vm_id: str) -> ResponseReturnValue:
    """What it can go back to."""
    vms, actor = services().vms, current_actor()
    found = vms.snapshots.list(vm_id, actor=actor)
    vm = vms.get_vm_page(vm_id, actor=actor).vm
    return render_template(
        "vms/snapshots.html",
        vm=vm,
        snapshots=found,
        rate=sum(each.rate_micro_per_hour or 0 for each in found if each.kept_until is None),
        schedule=vms.snapshot_schedules.find(vm_id, actor=actor),
        kept_until=vms.snapshots.find_aside(vm_id, actor=actor),
    )


@blueprint.route("/<vm_id>/snapshots/new", methods=["GET", "POST"])
def take_snapshot(vm_id: str) -> ResponseReturnValue:
    """Take one."""
    vms, actor, form = services().vms, current_actor(), SnapshotForm()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.RESIZE)
    data = {"name": form.text("name"), "note": form.text("note")}
    if request.method == "POST" and form.submit(lambda: vms.snapshots.take(vm_id, data, actor=actor)):
        success(_("The snapshot is ordered."))
        return go_to(url_for("vms.snapshots", vm_id=vm_id))
    gib, rate = vms.snapshots.price(vm)
    return render_template("vms/snapshot_new.html", vm=vm, form=form, gib=gib, rate=rate), form.status


@blueprint.route("/<vm_id>/snapshots/<snapshot_id>/revert", methods=["GET", "POST"])
def revert(vm_id: str, snapshot_id: str) -> ResponseReturnValue:
    """Make the machine what it was, after saying what that costs and loses."""
    vms, actor, form = services().vms, current_actor(), RevertForm()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.RESIZE)
    snapshot = vms.snapshots.get(vm_id, snapshot_id, actor=actor)
    shown, plan, keeps = form.price_shown, form.plan_shown, not form.forget.data
    if request.method == "POST" and form.submit(
        lambda: vms.snapshots.revert(vm_id, snapshot_id, actor=actor, shown=shown, plan=plan, keeps=keeps)
    ):
        undo = vms.undo.find_offer(vm_id, actor=actor)
        success(_("%(name)s goes back to “%(snapshot)s”.", name=vm.name, snapshot=snapshot.name), undo=undo)
        return go_to(url_for("vms.snapshots", vm_id=vm_id))
    becomes = replace(vm, state=VMState.RUNNING if snapshot.has_memory else VMState.STOPPED)
    compared = vms.planning.compare([vm], [becomes], revert_facts(vm, snapshot), actor=actor)
    return render_template("vms/revert.html", vm=vm, snapshot=snapshot, form=form, plan=compared), form.status


@blueprint.route("/<vm_id>/snapshots/unrevert", methods=["GET", "POST"])
def unrevert(vm_id: str) -> ResponseReturnValue:
    """Make it what it was before its last revert, after a question."""
    vms, actor, back = services().vms, current_actor(), url_for("vms.snapshots", vm_id=vm_id)
    if request.method == "POST":
        vms.snapshots.request_back(vm_id, actor=actor)
        success(_("It becomes what it was before the revert."))
        return redirect(back, 303)
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.RESIZE)
    if vms.snapshots.find_aside(vm_id, actor=actor) is None:
        raise ConflictError(_("What it was before the revert is not kept any more."))
    text = _("Disk and memory become what they were just before the revert. What was written since is lost.")
    title, button = _("Undo the revert of %(name)s?", name=vm.name), _("Undo the revert")
    return ask(Question(title, text, button, back, "vms", icon="arrow-back-up"))


@blueprint.route("/<vm_id>/snapshots/<snapshot_id>/delete", methods=["GET", "POST"])
def delete_snapshot(vm_id: str, snapshot_id: str) -> ResponseReturnValue:
    """Forget one, after a question."""
    vms, actor, back = services().vms, current_actor(), url_for("vms.snapshots", vm_id=vm_id)
    if request.method == "POST":
        vms.snapshots.delete(vm_id, snapshot_id, actor=actor)
        success(_("The snapshot is being deleted."))
        return redirect(back, 303)
    snapshot = vms.snapshots.get(vm_id, snapshot_id, actor=actor)
    text = _(
        "The machine stays as it is, and so do its other snapshots. Nobody can go back to this one any more, and it no "
        "longer costs %(credits)s credits per hour.",
        credits=credits_text(snapshot.rate_micro_per_hour or 0),
    )
    title = _("Delete the snapshot “%(name)s”?", name=snapshot.name)
    return ask(Question(title, text, _("Delete"), back, "vms", icon="trash"))
