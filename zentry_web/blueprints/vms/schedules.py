"""When Zentry makes snapshots or backups of a machine by itself: one form for both."""

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from zentry_web.blueprints.vms.forms import ScheduleForm
from zentry_web.blueprints.vms.routes import blueprint
from zentry_web.domain.credits.storage import StoredKind
from zentry_web.domain.language import _
from zentry_web.domain.projects.project import ProjectAction
from zentry_web.web.output.flash import success
from zentry_web.web.output.htmx import go_to
from zentry_web.web.services import services
from zentry_web.web.session.actor import current_actor


@blueprint.route("/<vm_id>/snapshots/schedule", methods=["GET", "POST"])
def snapshot_schedule(vm_id: str) -> ResponseReturnValue:
    """When Zentry takes them by itself, and how many it keeps."""
    title, never = _("Snapshots of %(name)s by schedule"), _("No snapshots are taken by themselves.")
    return _schedule(vm_id, StoredKind.SNAPSHOT, title, never, url_for("vms.snapshots", vm_id=vm_id))


@blueprint.route("/<vm_id>/backups/schedule", methods=["GET", "POST"])
def backup_schedule(vm_id: str) -> ResponseReturnValue:
    """When Zentry makes them by itself, and how many it keeps."""
    title, never = _("Backups of %(name)s by schedule"), _("No backups are made by themselves.")
    return _schedule(vm_id, StoredKind.BACKUP, title, never, url_for("vms.backups", vm_id=vm_id))


def _schedule(vm_id: str, kind: StoredKind, title: str, never: str, back: str) -> ResponseReturnValue:
    """``title`` has a place for the machine's name."""
    vms, actor = services().vms, current_actor()
    schedules = vms.backup_schedules if kind == StoredKind.BACKUP else vms.snapshot_schedules
    vm = vms.get_vm(vm_id, actor=actor, action=ProjectAction.RESIZE)
    form = ScheduleForm.showing(schedules.find(vm_id, actor=actor))
    if request.method == "POST" and form.submit(lambda: schedules.set(vm_id, form.typed, actor=actor)):
        success(_("The schedule is saved.") if form.result else never)
        return go_to(back)
    context = {"vm": vm, "form": form, "title": title % {"name": vm.name}, "back": back}
    return render_template("vms/schedule.html", **context), form.status
