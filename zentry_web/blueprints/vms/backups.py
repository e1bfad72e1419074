"""A machine's backups: the list of them, making, restoring, deleting."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import BackupForm, RecoverForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.domain.vms.backup import recovery_facts
from zentry_web.domain.vms.proof import PROOF_SECONDS
from zentry_web.web.input.questions import Question, ask
from zentry_web.web.output.filters import viewer_zone
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.output.regions import credits_text
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.get("/<vm_id>/backups")
def backups(vm_id: str) -> ResponseReturnValue:
    """The copies that there are of it."""
    vms, actor = services().vms, current_actor()
    found, page = vms.backups.list(vm_id, actor=actor), vms.get_vm_page(vm_id, actor=actor)
    return render_template(
        "vms/backups.html",
        vm=page.vm,
        operation=page.operation,
        backups=found,
        rate=sum(each.rate_micro_per_hour or 0 for each in found if each.kept_until is None),
        schedule=vms.backup_schedules.find(vm_id, actor=actor),
        room=vms.backups.find_place(),
    )


@blueprint.route("/<vm_id>/backups/new", methods=["GET", "POST"])
def back_up(vm_id: str) -> ResponseReturnValue:
    """Make one."""
    vms, actor = services().vms, current_actor()
    now = services().clock.now().astimezone(viewer_zone())
    form = BackupForm(data={"name": f"{now:%Y-%m-%d %H:%M}"})
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.RESIZE)
    data = {"name": form.text("name"), "note": form.text("note")}
    if request.method == "POST" and form.submit(lambda: vms.backups.take(vm_id, data, actor=actor)):
        success(_("The backup is ordered."), _("Steps"), url_for("operations.show", operation_id=form.result.id))
        return go_to(url_for("vms.backups", vm_id=vm_id))
    gib, rate = vms.backups.price(vm)
    shown = {"vm": vm, "form": form, "gib": gib, "rate": rate, "room": vms.backups.find_place()}
    return render_template("vms/backup_new.html", **shown), form.status


@blueprint.route("/<vm_id>/backups/<backup_id>/restore", methods=["GET", "POST"])
def recover(vm_id: str, backup_id: str) -> ResponseReturnValue:
    """Give the machine that disk, after saying what is lost, and after its name was typed."""
    vms, actor, form = services().vms, current_actor(), RecoverForm()
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.DELETE_VM)
    backup, becomes = vms.recovering.get(vm_id, backup_id, actor=actor)
    typed, plan = form.text("confirm_name"), form.plan_shown
    if request.method == "POST" and form.submit(
        lambda: vms.recovering.request(vm_id, backup_id, typed, actor=actor, plan=plan)
    ):
        href = url_for("operations.show", operation_id=form.result.id)
        undo = vms.undo.find_offer(vm_id, actor=actor)
        success(
            _("%(name)s gets the disk of “%(backup)s”.", name=vm.name, backup=backup.name), _("Steps"), href, undo=undo
        )
        return go_to(url_for("vms.show", vm_id=vm_id))
    shown = vms.planning.compare([vm], [becomes], recovery_facts(vm, backup, becomes), actor=actor)
    context = {"vm": vm, "backup": backup, "becomes": becomes, "problem": vms.recovering.problem(vm, backup)}
    return render_template("vms/recover.html", form=form, plan=shown, **context), form.status


@blueprint.route("/<vm_id>/backups/<backup_id>/proof", methods=["GET", "POST"])
def prove_backup(vm_id: str, backup_id: str) -> ResponseReturnValue:
    """How its last proof ended; have it proved, or call that off."""
    vms, actor = services().vms, current_actor()
    if request.method == "POST":
        if "abort" in request.form:
            vms.proofs.abort(vm_id, backup_id, actor=actor)
            success(_("The proof is aborted."))
        else:
            vms.proofs.request(vm_id, backup_id, actor=actor)
            success(_("The backup is booted once; what comes of it stands here."))
        return go_to(url_for("vms.backups", vm_id=vm_id))
    backup = vms.backups.get(vm_id, backup_id, actor=actor)
    vm, room = vms.get_vm(vm_id, actor=actor), vms.backups.find_place()
    return render_template("vms/prove.html", vm=vm, backup=backup, room=room, seconds=PROOF_SECONDS)


@blueprint.route("/<vm_id>/backups/<backup_id>/delete", methods=["GET", "POST"])
def delete_backup(vm_id: str, backup_id: str) -> ResponseReturnValue:
    """Have one removed, after a question."""
    vms, actor, back = services().vms, current_actor(), url_for("vms.backups", vm_id=vm_id)
    if request.method == "POST":
        vms.backups.delete(vm_id, backup_id, actor=actor)
        success(_("The backup is deleted."))
        return redirect(back, 303)
    backup = vms.backups.get(vm_id, backup_id, actor=actor)
    text = _(
        "The machine stays as it is, and so do its other backups. Nobody can restore this one any more, and it no "
        "longer costs %(credits)s credits per hour.",
        credits=credits_text(backup.rate_micro_per_hour or 0),
    )
    title = _("Delete the backup “%(name)s”?", name=backup.name)
    return ask(Question(title, text, _("Delete"), back, "vms", icon="trash"))
